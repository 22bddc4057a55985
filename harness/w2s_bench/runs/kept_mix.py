"""What an arm's rows are like beside the pool's: the share that is kept of the rows of each length, and of each difficulty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from w2s_bench.results.seed_results import KEPT_BY_DIFFICULTY, KEPT_BY_LENGTH
from w2s_bench.store.stage import Stage
from w2s_bench.types import Prediction

if TYPE_CHECKING:
    from w2s_bench.arm_facts import Facts
    from w2s_bench.protocol.generation import Generation

QUARTERS: Final = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")


def stages(arm: Facts, graph: Generation) -> list[Stage]:
    """The weak labels and the difficulties of the pool, which `kept_mix` reads, for a cell with full diagnostics; else nothing.

    Difficulty is gold of the pool: no arm reads it but the privileged controls that are about it. Generations of a chain have none.
    """
    full = graph.suite.diagnostics == "full" and graph.of is None and arm.of_pool is not None
    return [graph.weak_labels(graph.pool), graph.difficulty] if full else []


def kept_mix(kept: Mapping[str, bool], labels: Sequence[Prediction], difficulty: Mapping[str, float]) -> dict[str, Any]:
    """`kept_by_length` (of the weak labels' texts, in characters) and `kept_by_difficulty` of a pool: id → whether it is kept."""
    told = {KEPT_BY_LENGTH: by_quarter(lengths(labels), kept), KEPT_BY_DIFFICULTY: by_quarter(difficulty, kept)}
    return {name: shares for name, shares in told.items() if shares}


def lengths(labels: Sequence[Prediction]) -> dict[str, float]:
    """Id → characters of a label as the model wrote it, without space around it."""
    return {label.id: float(len(label.completion.strip())) for label in labels}


def by_quarter(values: Mapping[str, float], kept: Mapping[str, bool]) -> dict[str, float]:
    """Quarter of the pool by `values`, lowest first → the share of it that is kept.

    Equal values stand in one quarter, that of their mean rank, so that quarters need not be of one size, and some may be
    missing; of values that are all equal there is nothing to tell.
    """
    ids = [row for row in values if row in kept]
    if not ids:
        return {}
    found = np.array([values[row] for row in ids], dtype=np.float64)
    taken = np.array([kept[row] for row in ids], dtype=np.float64)
    different, which, times = np.unique(found, return_inverse=True, return_counts=True)
    if len(different) < 2:
        return {}
    below = np.cumsum(times) - times / 2  # how many rows lie below the middle of those that are equal
    places = np.floor(4 * below / len(found)).astype(np.int64)[which]
    return {QUARTERS[place]: float(taken[places == place].mean()) for place in np.unique(places).tolist()}
