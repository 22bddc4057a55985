"""Scores of the same rows by two processes → the rows whose scores differ by more than rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from w2s_bench.protocol.scores import Scores
from w2s_bench.types import BoolArray, FloatArray

#: Relative to a score: a difference of sums in 32 bits, and one of sums in 64 bits.
_ROUNDING_32, _ROUNDING_64 = 1e-6, 1e-12
#: Scores near 0 are held against the size of others: a quarter of the different ones are smaller, and a sentinel is one of them.
_SMALL: Final = 0.25
#: They may be what is left of larger numbers, which leave so much of their size: numbers as large as three quarters of the different
#: scores, or as one in twenty rows, where that is no more than 1 and so hardly a sentinel.
_LARGE, _REACHED_BY, _CANCELLED = 0.75, 0.05, 1e-15
#: The share of all places that a row may move by rounding among neighbours, and the least number of places.
_MOVED, _LEAST_MOVED = 1e-3, 1.0


@dataclass(frozen=True)
class Row:
    """A row whose score changed: its item, the scores as run and as audited."""

    item: str
    run: float
    audited: float


def differing(first: Scores, again: Scores, *, exact: bool = False) -> list[Row]:
    """Rows whose scores differ by more than rounding, those that differ most first. A row that is missing differs.

    `exact`: of scores that one machine gave, where only what sums in 64 bits are off by is rounding.
    """
    other = dict(again.items())
    named = list(first.items())
    before = np.array([score for _, score in named], dtype=np.float64)
    after = np.array([other.get(item, np.nan) for item, _ in named], dtype=np.float64)
    differ = differ_by_more_than_rounding(before, after, exact=exact)
    rows = [
        Row(item, score, other.get(item, np.nan))
        for (item, score), is_other in zip(named, differ, strict=True)
        if is_other
    ]
    return sorted(rows, key=lambda row: (-abs(row.run - row.audited), row.item))


def differ_by_more_than_rounding(before: FloatArray, after: FloatArray, *, exact: bool = False) -> BoolArray:
    """(n,) each: of which rows the score is another.

    A row's own size is what its difference is held against, so that no sentinel, and no spread of others, hides it. Below
    what sums in 32 bits are off by, it is another if it also moves the row among the others, as selection sees it: then only
    what sums in 64 bits are off by is rounding.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(before - after)
    small, large = _usual_sizes(before, after)
    size = np.maximum(np.maximum(np.abs(before), np.abs(after)), small)
    apart[apart <= _CANCELLED * large] = 0.0
    far = ~(apart <= (_ROUNDING_64 if exact else _ROUNDING_32) * size)
    moved = np.abs(_places(before) - _places(after)) > max(_LEAST_MOVED, _MOVED * len(before))
    return far | (moved & ~(apart <= _ROUNDING_64 * size))


def _usual_sizes(*scores: FloatArray) -> tuple[float, float]:
    """Of scores near 0, the size of others, and that of numbers they may be left of."""
    sizes = np.abs(np.concatenate(scores))
    sizes = sizes[np.isfinite(sizes)]
    different = np.unique(sizes[sizes > 0])
    if not len(different):
        return 0.0, 0.0
    small, large = np.quantile(different, [_SMALL, _LARGE], method="lower")
    reached = np.quantile(sizes, 1 - _REACHED_BY, method="lower")
    return float(small), max(float(large), min(1.0, float(reached)))


def _places(scores: FloatArray) -> FloatArray:
    """(n,) each row's place from the lowest score up, equal scores sharing the mean of theirs."""
    _, which, count = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    return np.asarray((ends - (count - 1) / 2)[which], dtype=np.float64)
