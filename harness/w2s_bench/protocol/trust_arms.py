"""Arms of trust functions: the pool is scored, rows are kept by a selection, and the student trains on their weak labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from w2s_bench.names import selected, short
from w2s_bench.plugins.checks import Declared
from w2s_bench.plugins.spec import write_spec
from w2s_bench.protocol import calibration, diversity, selection, trust
from w2s_bench.protocol.arms import Arm, ArmStages, weak_rows
from w2s_bench.protocol.diversity import EMBEDDING
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.needs import PlannedNeed, own_need
from w2s_bench.protocol.trust import MOST_SECONDS, Labelled
from w2s_bench.results.references import ArmRef, PluginRef
from w2s_bench.selections import Guarantee, guarantee_of
from w2s_bench.store.stage import Stage
from w2s_bench.types import Selection


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


def _on_weak_labels(graph: Generation, kept: Stage | None, name: str) -> ArmStages:
    rows = weak_rows(graph, kept, name)
    return ArmStages(graph.student(rows, name), rows, kept)
