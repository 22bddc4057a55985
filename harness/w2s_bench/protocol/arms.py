"""Arms: the ways of choosing what the student trains on. Controls and references belong to the harness, not to plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_bench.controls import OwnArm, of_kind
from w2s_bench.names import short
from w2s_bench.plugins.checks import Declared
from w2s_bench.plugins.spec import write_spec
from w2s_bench.protocol import selection, training, trust
from w2s_bench.protocol.generation import Generation, Student
from w2s_bench.protocol.needs import PlannedNeed, own_need
from w2s_bench.results.cells import ArmRef, PluginRef
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

    `kinds` says on which domains it exists; what it trains on, `ref.facts`.
    """

    ref: ArmRef
    build: Callable[[Generation], ArmStages]
    plugin: PluginRef | None = None
    kinds: tuple[Kind, ...] = KINDS


def references(coverage: float) -> list[Arm]:
    """`weak` (the teacher), `base` (the untuned student), `ceiling` (the student trained on the pool's gold)."""

    def weak(graph: Generation) -> ArmStages:
        split = graph.suite.evaluate_on
        answers = Student(graph.teacher.weights, graph.weak_labels(split), graph.label_grades(split))
        tokens = Need("teacher", "label_logprobs", when="generate")  # the scores of options come with the labels
        read = graph.evidence((own_need(tokens),), graph.pool, with_grades=False, with_gold=False).readings
        return ArmStages(answers, certainty=read.get(tokens))

    def base(graph: Generation) -> ArmStages:
        return ArmStages(graph.student(None, "base"))

    def ceiling(graph: Generation) -> ArmStages:
        rows = training.gold_rows(graph.subset(graph.pool), graph.gold(graph.pool), None, graph.label("ceiling's rows"))
        return ArmStages(graph.student(rows, "ceiling"), rows)

    build = {"weak": weak, "base": base, "ceiling": ceiling}
    return [Arm(_own(arm, coverage), build[arm.name]) for arm in of_kind("reference")]


def controls(coverage: float) -> list[Arm]:
    """`naive`, `random`, `oracle`, `gold_trust_set`, `naive_plus_gold`, `gold_random`, at the suite's coverage."""

    def random_rows(graph: Generation) -> Stage:
        labels = graph.weak_labels(graph.pool)
        return selection.random(
            labels, coverage=coverage, seed=graph.stream("random"), label=graph.label("random rows")
        )

    def naive(graph: Generation) -> ArmStages:
        return _on_weak_labels(graph, None, "naive")

    def random(graph: Generation) -> ArmStages:
        return _on_weak_labels(graph, random_rows(graph), "random")

    def oracle(graph: Generation) -> ArmStages:
        grades = graph.label_grades(graph.pool)
        kept = selection.oracle(
            grades, coverage=coverage, seed=graph.stream("oracle"), label=graph.label("oracle's rows")
        )
        return _on_weak_labels(graph, kept, "oracle")

    def gold_trust_set(graph: Generation) -> ArmStages:
        return ArmStages(graph.student(graph.trust_gold_rows, "gold_trust_set"), graph.trust_gold_rows)

    def naive_plus_gold(graph: Generation) -> ArmStages:
        rows = training.joined_rows(
            [_weak_rows(graph, None, "naive"), graph.trust_gold_rows],
            graph.label("weak labels and the trust set's gold"),
        )
        return ArmStages(graph.student(rows, "naive_plus_gold"), rows)

    def gold_random(graph: Generation) -> ArmStages:
        kept = random_rows(graph)
        rows = training.gold_rows(
            graph.subset(graph.pool), graph.gold(graph.pool), kept, graph.label("gold of random rows")
        )
        return ArmStages(graph.student(rows, "gold_random"), rows, kept)

    build = {
        "naive": naive,
        "random": random,
        "oracle": oracle,
        "gold_trust_set": gold_trust_set,
        "naive_plus_gold": naive_plus_gold,
        "gold_random": gold_random,
    }
    return [Arm(_own(arm, coverage), build[arm.name]) for arm in of_kind("control")]


def _own(arm: OwnArm, coverage: float) -> ArmRef:
    """How cells name an arm of the harness, at the suite's coverage."""
    return ArmRef(name=arm.name, kind=arm.kind, supervision=arm.supervision, coverage=arm.coverage(coverage))


def trust_arm(
    name: str,
    parameters: Mapping[str, Any],
    declared: Declared,
    needs: Sequence[PlannedNeed],
    plugin: PluginRef,
    coverage: float,
    libraries: tuple[str, ...],
) -> Arm:
    """The arm of one trust function: score the pool, keep the top `coverage`.

    `needs` are those that it declared, `libraries` as for `trust.score`.
    """
    supervision = declared.supervision
    arm_name = write_spec(name, parameters)
    identity = {
        "name": name,
        "parameters": dict(parameters),
        "supervision": supervision,
        "needs": [str(need) for need in declared.needs],
        "plugin": plugin.model_dump(),
    }

    def build(graph: Generation) -> ArmStages:
        privileged = supervision == "privileged"
        pool = graph.evidence(needs, graph.pool, with_grades=False, with_gold=privileged)
        fitted = None
        if supervision != "none":
            fitted = graph.evidence(needs, "trust", with_grades=True, with_gold=privileged)
        shown = short(arm_name)
        scores = trust.score(
            identity,
            pool,
            fitted,
            salt=f"{graph.task.spec.name} {graph.seed}",
            seed=graph.stream(f"trust function {arm_name}"),
            libraries=libraries,
            label=graph.label(f"scores of {shown}"),
        )
        kept = selection.top(
            scores,
            coverage=coverage,
            seed=graph.stream("ties"),
            label=graph.label(f"rows kept by {shown}"),
        )
        stages = _on_weak_labels(graph, kept, shown)
        return ArmStages(stages.student, stages.rows, kept, scores)

    ref = ArmRef(
        name=arm_name,
        kind="trust_function",
        supervision=supervision,
        trust_function=name,
        parameters=dict(parameters),
        selection="top",
        coverage=coverage,
    )
    return Arm(ref, build, plugin, kinds=declared.kinds)


def _on_weak_labels(graph: Generation, kept: Stage | None, name: str) -> ArmStages:
    rows = _weak_rows(graph, kept, name)
    return ArmStages(graph.student(rows, name), rows, kept)


def _weak_rows(graph: Generation, kept: Stage | None, name: str) -> Stage:
    label = graph.label(f"rows of {name}")
    return training.weak_rows(graph.subset(graph.pool), graph.weak_labels(graph.pool), kept, label)
