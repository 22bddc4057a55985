"""From the rows on which a rule is broken to few on which it still is, so that a failure shows a counter-example one can look at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from w2s_bench.results.pages.style import significant
from w2s_bench.testing.evidence import MemoryEvidence
from w2s_bench.types import FloatArray, IntArray

#: Shares that are rounding of a row's own score, of the size of most scores and of the spread of half of them: a network in
#: float32 gives a row other last digits in another batch. What reads other rows, ids or the order of options moves scores by far
#: more.
_OF_ROW, _OF_SIZE, _OF_SPREAD = 2e-5, 2e-5, 3e-4
#: What most scores are rounded to where they are all but 0 and a few are not: they may be differences of numbers of about 1.
_OF_ONE = 1e-6
#: How often a rule is tried anew; a function that takes a second to score is not asked for an hour.
_MOST_TRIES = 120
_LONGEST_LABEL = 40


def smallest(rows: IntArray, broken: Callable[[IntArray], bool]) -> IntArray:
    """Some of `rows`, in their order, on which `broken` holds as it does on all of them; without any one of them it does not.

    Where `broken` itself fails an assertion the rule is not the one that is broken. Halves are left out, then quarters, and so on
    down to single rows (Zeller & Hildebrandt 2002); after `_MOST_TRIES` tries what was found by then is given.
    """
    tries, size = 0, max(1, len(rows) // 2)
    while len(rows) > 1:
        start, before = 0, len(rows)
        while start < len(rows) and len(rows) > 1:
            if tries == _MOST_TRIES:
                return rows
            tries += 1
            fewer = np.concatenate([rows[:start], rows[start + size :]])
            if len(fewer) and _holds(broken, fewer):
                rows = fewer
            else:
                start += size
        if size == 1 and len(rows) == before:
            return rows
        size = max(1, size // 2)
    return rows


def _holds(broken: Callable[[IntArray], bool], rows: IntArray) -> bool:
    try:
        return broken(rows)
    except AssertionError:
        return False


def moved(one: FloatArray, other: FloatArray, among: FloatArray) -> str | None:
    """By how much two scores of the same rows differ, where that is more than rounding `among` all scores; None: by no more."""
    apart = np.abs(one - other)
    beyond = apart / _rounding(one, among)
    at = int(np.argmax(beyond))
    if beyond[at] <= 1:
        return None
    spread = significant(_spread(np.unique(among)), 3)
    return f"by up to {significant(float(apart[at]), 3)}, where half of all scores lie within {spread}"


def _rounding(scores: FloatArray, among: FloatArray) -> FloatArray:
    """(n,) above 0: how far a score may move by rounding alone.

    A score far from the others, as −1e9 of a row that a function abstains from, allows much for rows of that score and nothing
    for others: equal scores count once, and of those the size of three quarters and the spread of half.
    """
    different = np.unique(among)
    size = float(np.quantile(np.abs(different), 0.75, method="lower"))
    least = _OF_ONE * min(1.0, float(np.abs(among).max())) + np.finfo(np.float64).tiny
    return np.asarray(_OF_ROW * np.abs(scores) + _OF_SIZE * size + _OF_SPREAD * _spread(different) + least)


def _spread(different: FloatArray) -> float:
    """The shortest range that holds half of these scores, which are sorted."""
    half = -(-len(different) // 2)
    return float(np.min(different[half - 1 :] - different[: len(different) - half + 1]))


def told(pool: MemoryEvidence, rows: IntArray, one: FloatArray, other: FloatArray, ways: tuple[str, str]) -> str:
    """The counter-example in words: which rows, and the one whose two scores differ most, as rounding goes. Both: (len(rows),)."""
    at = int(np.argmax(np.abs(one - other) / _rounding(one, one)))
    row = int(rows[at])
    return (
        f"smallest counter-example: {_rows(rows)}; row {row}, {_label(pool, row)}, scores {significant(one[at], 9)} {ways[0]} and "
        f"{significant(other[at], 9)} {ways[1]}"
    )


def told_of_rows(pool: MemoryEvidence, rows: IntArray) -> str:
    """The counter-example where there are no scores to compare."""
    return f"smallest counter-example: {_rows(rows)}, the first {_label(pool, int(rows[0]))}"


def _rows(rows: IntArray) -> str:
    if len(rows) == 1:
        return f"row {rows[0]} alone"
    shown = ", ".join(map(str, rows[:6].tolist())) + (", …" if len(rows) > 6 else "")
    return f"{len(rows)} rows ({shown})"


def _label(pool: MemoryEvidence, row: int) -> str:
    label = pool.labels[row]
    return f"label {label[:_LONGEST_LABEL]!r}" + ("" if len(label) <= _LONGEST_LABEL else "…")
