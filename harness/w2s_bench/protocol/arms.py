"""Arms: the ways of choosing what the student trains on. Controls and references belong to the harness, not to plugins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from w2s_bench.arm_facts import MadeOfArm, OwnArm, Rows
from w2s_bench.controls import MADE_OF_ARM, OWN_ARMS, RANDOM
from w2s_bench.names import of_arm, selected, short
from w2s_bench.plugins.checks import Declared
from w2s_bench.plugins.spec import write_spec
from w2s_bench.protocol import calibration, diversity, evaluation, majority, selection, training, trust
from w2s_bench.protocol.diversity import EMBEDDING
from w2s_bench.protocol.generation import Generation, Student
from w2s_bench.protocol.needs import PlannedNeed, own_need
from w2s_bench.protocol.objectives import PlannedObjective
from w2s_bench.protocol.planned import PlannedTask
from w2s_bench.protocol.recipes import recipe_of
from w2s_bench.protocol.trust import MOST_SECONDS, Labelled
from w2s_bench.results.references import ArmRef, PluginRef
from w2s_bench.selections import Guarantee, guarantee_of
from w2s_bench.store.stage import Stage
from w2s_bench.types import KINDS, Kind, Need, Selection


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
            kept = selection.alike(
                kept,
                subset=graph.subset(graph.pool),
                labels=graph.weak_labels(graph.pool),
                seed=graph.stream(RANDOM),
                label=graph.label(f"rows drawn for {name}"),
            )
        trained_on = (_weak_rows if of_pool.labels == "weak" else _gold_rows)(graph, kept, name)
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
        kept = selection.draw(
            rows.drawn,
            labels=graph.weak_labels(graph.pool),
            grades=graph.label_grades(graph.pool),
            coverage=coverage,
            stream=graph.stream,
            difficulty=lambda: graph.difficulty,
            label=graph.label(f"rows drawn {rows.drawn}"),
        )
    if rows.labels == "weak":
        return _Part(_weak_rows(graph, kept, name), kept)
    if rows.whole_pool:
        subset, gold = graph.whole_pool
        return _Part(training.gold_rows(subset, gold, None, graph.label(f"gold rows of {name}")))
    return _Part(_gold_rows(graph, kept, name), kept)


def _own(arm: OwnArm, coverage: float) -> ArmRef:
    """How cells name an arm of the harness, at the suite's coverage."""
    return ArmRef(name=arm.name, role=arm.role, supervision=arm.supervision, coverage=arm.coverage(coverage))


def trust_arm(
    name: str,
    parameters: Mapping[str, Any],
    declared: Declared,
    needs: Sequence[PlannedNeed],
    plugin: PluginRef,
    coverage: float,
    libraries: tuple[str, ...],
    how: Selection = "top",
) -> Arm:
    """The arm of one trust function: score the pool, keep `coverage` of it by the selection `how` (`weighted`: all).

    Scores are those of the arm by `top`, whatever the selection; `balanced` has no arm where answers are generated.
    `needs` are those that it declared, `libraries` as for `trust.score`.
    """
    function = _Function(name, dict(parameters), declared, tuple(needs), plugin, libraries)
    guarantee, supervision = guarantee_of(how), declared.supervision
    ref = ArmRef(
        name=selected(how, function.spec),
        role="trust_function",
        supervision="trust_set" if guarantee and supervision == "none" else supervision,
        trust_function=name,
        parameters=dict(parameters),
        selection=how,
        coverage=None if guarantee else 1.0 if how == "weighted" else coverage,
    )

    def build(graph: Generation) -> ArmStages:
        if guarantee is not None:
            return _certified(graph, function, guarantee, short(ref.name))
        scores = _scores(graph, function)
        kept = _kept(graph, scores, how, coverage, graph.label(f"rows kept by {short(ref.name)}"))
        return replace(_on_weak_labels(graph, kept, short(ref.name)), scores=scores)

    kinds = tuple(kind for kind in declared.kinds if how != "balanced" or kind == "choice")
    return Arm(ref, build, plugin, kinds=kinds)


@dataclass(frozen=True)
class _Function:
    """A trust function with its parameters, what it declared of itself and needs, and where it came from."""

    name: str
    parameters: dict[str, Any]
    declared: Declared
    needs: tuple[PlannedNeed, ...]
    plugin: PluginRef
    libraries: tuple[str, ...]

    @property
    def spec(self) -> str:
        return write_spec(self.name, self.parameters)

    @property
    def identity(self) -> dict[str, Any]:
        """What is in the key of its scores."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "supervision": self.declared.supervision,
            "needs": [str(need) for need in self.declared.needs],
            "plugin": self.plugin.model_dump(),
        }

    def pool(self, graph: Generation) -> Labelled:
        """The pool as it is scored; no grades are among it."""
        privileged = self.declared.supervision == "privileged"
        return graph.evidence(self.needs, graph.pool, with_grades=False, with_gold=privileged)


def _scores(graph: Generation, function: _Function) -> Stage:
    """Of the pool, by the function that has learnt from the whole trust set, where it learns."""
    supervision, label = function.declared.supervision, graph.label(f"scores of {short(function.spec)}")
    if (why := graph.lacking(function.needs)) is not None:
        return trust.not_applicable(graph.weak_labels(graph.pool), why, label)
    fitted = None
    if supervision != "none":
        gold = supervision == "privileged"
        fitted = graph.with_trust_set.evidence(function.needs, "trust", with_grades=True, with_gold=gold)
    return trust.score(
        function.identity,
        function.pool(graph),
        fitted,
        salt=f"{graph.task.spec.name} {graph.seed}",
        seed=graph.stream(f"trust function {function.spec}"),
        libraries=function.libraries,
        fitted_on=None if graph.learns_from is None else graph.learns_from.task.domain.short_name,
        label=label,
    )


def _kept(graph: Generation, scores: Stage, how: Selection, coverage: float, label: str) -> Stage:
    """The share `coverage` of the pool that the selection `how` makes of scores."""
    labels, ties = graph.weak_labels(graph.pool), graph.stream("ties")
    if how == "diverse":
        embedded = graph.evidence((own_need(EMBEDDING),), graph.pool, with_grades=False, with_gold=False)
        read = embedded.readings[EMBEDDING]
        return diversity.diverse(scores, read, labels, coverage=coverage, seed=ties, label=label)
    subset = graph.subset(graph.pool)
    return selection.by_scores(how, scores, subset=subset, labels=labels, coverage=coverage, seed=ties, label=label)


def _certified(graph: Generation, function: _Function, guarantee: Guarantee, shown: str) -> ArmStages:
    """Rows of a purity that the half of the trust set which taught nobody guarantees; `shown` is the arm's name in labels of stages."""
    declared, label = function.declared, graph.label(f"rows kept by {shown}")
    applying = [need for need in declared.needs if need.applies(graph.task.domain.kind)]
    elsewhere = None if graph.learns_from is None else graph.learns_from.task.domain.short_name
    lacks = calibration.not_applicable(declared.supervision, applying, elsewhere) or graph.lacking(function.needs)
    if lacks:
        why = f"selection `{guarantee.method}` of {short(function.spec)}: {lacks}"
        return _on_weak_labels(graph, selection.not_applicable(why, graph.weak_labels(graph.pool), label=label), shown)
    learns = declared.supervision != "none"
    scores = calibration.held_out(
        function.identity,
        function.pool(graph),
        graph.evidence(function.needs, "trust", with_grades=learns, with_gold=False),
        salt=f"{graph.task.spec.name} {graph.seed}",
        seed=graph.stream(f"trust function {function.spec}"),
        half=graph.stream("calibration"),
        libraries=function.libraries,
        seconds=MOST_SECONDS,
        label=graph.label(f"scores of {short(function.spec)} beside gold that it has not learnt from"),
    )
    kept = selection.certified(scores, graph.training_grades("trust"), guarantee, label=label)
    return replace(_on_weak_labels(graph, kept, shown), scores=scores)


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


def _on_weak_labels(graph: Generation, kept: Stage | None, name: str) -> ArmStages:
    rows = _weak_rows(graph, kept, name)
    return ArmStages(graph.student(rows, name), rows, kept)


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


def _weak_rows(graph: Generation, kept: Stage | None, name: str) -> Stage:
    label = graph.label(f"rows of {name}")
    return training.weak_rows(graph.subset(graph.pool), graph.weak_labels(graph.pool), kept, label)
