"""What an analysis says of the weak labels themselves: how students come to fit them, and whether solutions hang together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from w2s_bench.protocol.evidence.readings.base import array_of
from w2s_bench.protocol.evidence.readings.dynamics import COLUMNS, grid
from w2s_bench.protocol.files import ITEMS, READING
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.needs import own_need
from w2s_bench.record import read_arrays, read_records
from w2s_bench.results.mechanisms import solutions
from w2s_bench.results.mechanisms.facts import ArmSolutions, BySeed, Fit
from w2s_bench.results.mechanisms.fitting import OfSeed, of_seed
from w2s_bench.types import Item, Need

if TYPE_CHECKING:
    from w2s_bench.protocol.generation import Generation
    from w2s_bench.runs.outcomes import Results
    from w2s_bench.store.stage import Stage

#: Students whose fit is asked for; with as many as trust functions of training dynamics, so that a run has them.
POINTS: Final = 6


def dynamics_of(graph: Generation) -> Stage:
    """Stage: what students, trained on all weak labels for longer and longer, say of each weak label of the pool."""
    need = Need("student", "dynamics", points=POINTS)
    read = graph.evidence([own_need(need)], graph.pool, with_grades=False, with_gold=False)
    return read.readings[need]


def fit_of(results: Results, graphs: Sequence[Generation]) -> Fit:
    """How well students fit the labels that are right and those that are wrong, over seeds."""
    seeds = [_fit_of_seed(results, graph) for graph in graphs]
    steps = tuple(grid(graphs[0].task.spec.student.steps, POINTS))

    def by_point(of: Sequence[tuple[float | None, ...]]) -> tuple[BySeed, ...]:
        return tuple(BySeed(at) for at in zip(*of, strict=True))

    def saturated(of: Sequence[int | None]) -> BySeed:
        return BySeed(tuple(None if at is None else float(steps[at]) for at in of))

    return Fit(
        steps,
        by_point([seed.right for seed in seeds]),
        by_point([seed.wrong for seed in seeds]),
        saturated([seed.right_saturates for seed in seeds]),
        saturated([seed.wrong_saturates for seed in seeds]),
    )


def _fit_of_seed(results: Results, graph: Generation) -> OfSeed:
    read = array_of(read_arrays(results.folder(dynamics_of(graph)) / READING)).astype(np.float64)
    right = results.grades(graph.label_grades(graph.pool))
    is_right = np.array([right[label.id] for label in results.labels(graph.weak_labels(graph.pool))])
    return of_seed(read[:, :, COLUMNS.index("agreement")], is_right)


def solutions_of(
    results: Results, graphs: Sequence[Generation], arms: Sequence[tuple[str, str, Sequence[Stage | None]]]
) -> tuple[ArmSolutions, ...]:
    """Of every arm that trains on weak labels of the pool alone: its name, its track, and a seed what it kept (None: the whole pool)."""
    faithful = [_faithful(results, graph) for graph in graphs]
    right = [results.grades(graph.label_grades(graph.pool)) for graph in graphs]
    out = []
    for name, track, kept in arms:
        told = []
        for stage, sound, correct in zip(kept, faithful, right, strict=True):
            ids = list(sound) if stage is None else list(Kept.read(results.folder(stage)).weights)
            told.append(solutions.shares([correct[row] for row in ids], [sound[row] for row in ids]))
        out.append(ArmSolutions(name, track, *(BySeed(tuple(figure)) for figure in zip(*told, strict=True))))
    return tuple(out)


def _faithful(results: Results, graph: Generation) -> dict[str, bool]:
    """Id → whether the weak label of an item of the pool, a worked solution, is faithful."""
    prompts = {item.id: item.prompt for item in read_records(results.folder(graph.subset(graph.pool)) / ITEMS, Item)}
    labels = results.labels(graph.weak_labels(graph.pool))
    return {label.id: solutions.is_faithful(prompts[label.id], label.answer) for label in labels}
