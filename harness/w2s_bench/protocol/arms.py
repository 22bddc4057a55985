"""Arms: the ways of choosing what the student trains on. Controls and references belong to the harness, not to plugins."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from w2s_bench.arm_facts import MadeOfArm, OwnArm, Rows
from w2s_bench.controls import MADE_OF_ARM, OWN_ARMS, RANDOM
from w2s_bench.names import of_arm, short
from w2s_bench.protocol import draws, evaluation, majority, training
from w2s_bench.protocol.generation import Generation, Student
from w2s_bench.protocol.needs import own_need
from w2s_bench.protocol.objectives import PlannedObjective
from w2s_bench.protocol.planned import PlannedTask
from w2s_bench.protocol.recipes import recipe_of
from w2s_bench.results.references import ArmRef, PluginRef
from w2s_bench.store.stage import Stage
from w2s_bench.types import KINDS, Kind, Need


@dataclass(frozen=True)
class ArmStages:
    """An arm's stages for one domain and seed; None where the arm has no such step.

    `certainty` reads how likely the teacher found its labels of the pool, where the labels themselves do not say.
    """

    student: Student
    rows: Stage | None = None
    kept: Stage | None = None
    scores: Stage | None = None
    certainty: Stage | None = None


@dataclass(frozen=True)
class Arm:
    """An arm's identity and how it hangs onto a seed's graph.

    `kinds` says on which domains it exists; what it trains on, `ref.facts`. `plugin` is where its trust function came from,
    `trainer` where its objective did, if that is a plugin's.
    """

    ref: ArmRef
    build: Callable[[Generation], ArmStages]
    plugin: PluginRef | None = None
    kinds: tuple[Kind, ...] = KINDS
    trainer: PluginRef | None = None

    def lacks_order(self, task: PlannedTask) -> str | None:
        """Why the arm is nothing of its own there: its rows have an order, and to the student it is all the same; else None."""
        return recipe_of(task.student).no_order(task.spec.student) if self.ref.facts.in_order else None


def own_arms(coverage: float, *, explain: Collection[str] = ()) -> list[Arm]:
    """The harness's references and controls at the suite's coverage, each built from its row of `controls.py`.

    Of those that are there only to explain others, the ones named by `explain`.
    """
    return [_own_arm(arm, coverage) for arm in OWN_ARMS.values() if not arm.explains or arm.name in explain]


def explanations(arm: Arm, words: Collection[str]) -> list[Arm]:
    """The controls of these words, made of an arm which keeps rows by a trust function; an arm of all rows has none."""
    of_pool = arm.ref.facts.of_pool
    if of_pool is None or of_pool.share == "all":
        return []
    return [_made_of(arm, made) for made in MADE_OF_ARM.values() if made.word in words]


def _made_of(arm: Arm, made: MadeOfArm) -> Arm:
    name = of_arm(made.word, arm.ref.name)
    of_pool = made.of_pool
    assert of_pool is not None, f"{made.word} says of no row of the pool what is done with it"

    def build(graph: Generation) -> ArmStages:
        own = arm.build(graph)
        kept = own.kept
        assert kept is not None, f"{arm.ref.name} keeps all rows"
        if made.in_order:
            trained_on = _rows_by_trust(graph, own, of_pool, name)
            return ArmStages(graph.student(trained_on, name), trained_on, kept)
        if of_pool.drawn == "alike":
            kept = draws.alike(
                kept,
                subset=graph.subset(graph.pool),
                labels=graph.weak_labels(graph.pool),
                seed=graph.stream(RANDOM),
                label=graph.label(f"rows drawn for {name}"),
            )
        trained_on = (weak_rows if of_pool.labels == "weak" else _gold_rows)(graph, kept, name)
        if made.with_trust_set:
            trained_on = training.joined_rows([trained_on, graph.trust_gold_rows], graph.label(f"rows of {name}"))
        return ArmStages(graph.student(trained_on, name), trained_on, kept)

    said = {"name": name, "kind": "control", "supervision": made.track(arm.ref.supervision)}
    ref = ArmRef.model_validate({**arm.ref.model_dump(), **said})
    return Arm(ref, build, arm.plugin, arm.kinds)


def _own_arm(arm: OwnArm, coverage: float) -> Arm:
    def build(graph: Generation) -> ArmStages:
        if arm.answers == "teacher":
            return _teacher_itself(graph)
        if arm.answers == "commonest label":
            return _commonest_label(graph, arm.name)
        if not arm.rows:
            return ArmStages(graph.student(None, arm.name))
        parts = [_part(graph, rows, arm.name, coverage) for rows in arm.rows]
        together = [part.rows for part in parts]
        rows = together[0] if len(together) == 1 else training.joined_rows(together, graph.label(f"rows of {arm.name}"))
        kept = next((part.kept for part in parts if part.kept), None)
        return ArmStages(graph.student(rows, arm.name), rows, kept)

    return Arm(_own(arm, coverage), build, kinds=arm.kinds)


def _teacher_itself(graph: Generation) -> ArmStages:
    split = graph.suite.evaluate_on
    answers = Student(graph.teacher.weights, graph.weak_labels(split), graph.label_grades(split))
    tokens = Need("teacher", "label_logprobs", when="generate")  # the scores of options come with the labels
    own = () if graph.lacking((own_need(tokens),)) else (own_need(tokens),)
    read = graph.evidence(own, graph.pool, with_grades=False, with_gold=False).readings
    return ArmStages(answers, certainty=read.get(tokens))


def _commonest_label(graph: Generation, name: str) -> ArmStages:
    split = graph.suite.evaluate_on
    subset, label = graph.subset(split), graph.label(f"answers of {name}")
    answers = majority.majority(graph.weak_labels(graph.pool), subset, label)
    grades = evaluation.grade(graph.task.domain, answers, graph.gold(split), subset, graph.label(f"grades of {name}"))
    return ArmStages(Student(None, answers, grades))


@dataclass(frozen=True)
class _Part:
    """Training rows of one split, and which of the split were drawn (None: all of it)."""

    rows: Stage
    kept: Stage | None = None


def _part(graph: Generation, rows: Rows, name: str, coverage: float) -> _Part:
    """What one `Rows` of an arm's facts stands for in the graph."""
    if rows.split == "trust":
        return _Part(graph.trust_gold_rows)
    kept = None
    if rows.share == "coverage":
        kept = draws.draw(
            rows.drawn,
            labels=graph.weak_labels(graph.pool),
            grades=graph.label_grades(graph.pool),
            coverage=coverage,
            stream=graph.stream,
            difficulty=lambda: graph.difficulty,
            label=graph.label(f"rows drawn {rows.drawn}"),
        )
    if rows.labels == "weak":
        return _Part(weak_rows(graph, kept, name), kept)
    if rows.whole_pool:
        subset, gold = graph.whole_pool
        return _Part(training.gold_rows(subset, gold, None, graph.label(f"gold rows of {name}")))
    return _Part(_gold_rows(graph, kept, name), kept)


def _own(arm: OwnArm, coverage: float) -> ArmRef:
    """How cells name an arm of the harness, at the suite's coverage."""
    return ArmRef(name=arm.name, role=arm.role, supervision=arm.supervision, coverage=arm.coverage(coverage))


def by_objective(arm: Arm, objective: PlannedObjective) -> Arm:
    """The arm whose students see the same rows, and are trained by another objective; on domains where there is that one."""
    word = objective.written
    ref = ArmRef(**{**dict(arm.ref), "name": of_arm(word, arm.ref.name), "objective": word})

    def build(graph: Generation) -> ArmStages:
        own = arm.build(graph)
        return replace(own, student=graph.student(own.rows, short(ref.name), objective=objective))

    kinds = tuple(kind for kind in arm.kinds if kind in objective.kinds)
    trainer = None if objective.plugin is None else PluginRef.model_validate(objective.plugin)
    return Arm(ref, build, arm.plugin, kinds=kinds, trainer=trainer)


def _gold_rows(graph: Generation, kept: Stage | None, name: str) -> Stage:
    return training.gold_rows(
        graph.subset(graph.pool), graph.training_gold(graph.pool), kept, graph.label(f"gold rows of {name}")
    )


def _rows_by_trust(graph: Generation, arm: ArmStages, rows: Rows, name: str) -> Stage:
    """The arm's own rows in an order that its scores alone give."""
    assert arm.kept is not None and arm.scores is not None, f"{name} is made of an arm that keeps rows by no score"
    return training.rows_by_trust(
        graph.subset(graph.pool),
        graph.weak_labels(graph.pool),
        arm.kept,
        arm.scores,
        first="most" if rows.seen == "most trusted first" else "least",
        seed=graph.stream("ties"),
        label=graph.label(f"rows of {name}"),
    )


def weak_rows(graph: Generation, kept: Stage | None, name: str) -> Stage:
    """Stage: the pool's weak labels as training rows, those that are kept or (None) all of them."""
    label = graph.label(f"rows of {name}")
    return training.weak_rows(graph.subset(graph.pool), graph.weak_labels(graph.pool), kept, label)
