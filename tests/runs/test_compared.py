"""Scores of two processes: a difference is found whatever the others are, and rounding is none."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_bench.protocol.scores import Scores
from w2s_bench.runs.compared import differ_by_more_than_rounding, differing
from w2s_bench.types import FloatArray

COUNT = 300
RNG = np.random.default_rng(0)
RIGHT = RNG.integers(0, 2, COUNT).astype(float)
WRONG = 1 - RIGHT
SMOOTH = RNG.normal(size=COUNT)


def share(before: FloatArray, after: FloatArray) -> float:
    return float(differ_by_more_than_rounding(before, after).mean())


def sentinel(scores: FloatArray, rows: int, value: float) -> FloatArray:
    """The scores with the first of them abstained from."""
    return np.where(np.arange(COUNT) < rows, value, scores)


@pytest.mark.parametrize("value", [-1e12, 1e12, np.finfo(float).min])
@pytest.mark.parametrize("rows", [1, COUNT // 2, COUNT - 5])
def test_sentinels_hide_nothing(rows: int, value: float) -> None:
    for before, after in ((RIGHT, WRONG), (SMOOTH + RIGHT, SMOOTH + WRONG), (RIGHT - 0.5, WRONG - 0.5)):
        differ = differ_by_more_than_rounding(sentinel(before, rows, value), sentinel(after, rows, value))
        assert not differ[:rows].any() and differ[rows:].all()


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e6, 1e9])
def test_an_offset_hides_nothing(offset: float) -> None:
    assert share(offset + RIGHT, offset + WRONG) == 1
    assert share(np.round(SMOOTH) + offset + 1e-3 * RIGHT, np.round(SMOOTH) + offset + 1e-3 * WRONG) > 0.9, (
        "ties broken"
    )


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_the_size_of_scores_says_nothing(size: float) -> None:
    assert share(size * SMOOTH, size * (SMOOTH + 1e-3)) > 0.9
    assert share(size * SMOOTH, size * SMOOTH) == 0
    assert share(np.exp(-80 - 10 * RIGHT), np.exp(-80 - 10 * WRONG)) == 1


def test_among_scores_of_one_machine_the_last_digits_count() -> None:
    before, after = 1e4 * SMOOTH + 1e-4 * RIGHT, 1e4 * SMOOTH + 1e-4 * WRONG
    assert share(before, after) < 0.1, "too little for the order, and less than other machines may be off by"
    assert differ_by_more_than_rounding(before, after, exact=True).mean() > 0.9
    assert not differ_by_more_than_rounding(before, before * (1 + 1e-14), exact=True).any()


def test_one_score_that_differs_is_found() -> None:
    for before in (np.zeros(COUNT), np.full(COUNT, 0.1), SMOOTH, sentinel(SMOOTH, 1, -1e12)):
        after = before.copy()
        after[7] += 0.5
        assert np.flatnonzero(differ_by_more_than_rounding(before, after)).tolist() == [7]


@pytest.mark.parametrize("offset", [0.0, -1e6, 1e9])
def test_rounding_is_no_difference(offset: float) -> None:
    """Of sums in 64 bits whatever the scores are, and of sums in 32 bits where scores do not lie together."""
    noise = RNG.normal(size=COUNT)
    constant, but_one = np.full(COUNT, offset + 0.1), sentinel(np.full(COUNT, offset + 0.1), 1, 3.0)
    zeros = (offset or 1.0) * SMOOTH * RIGHT
    for scores in (constant, but_one, offset + SMOOTH, offset + RIGHT, offset + np.round(SMOOTH), zeros):
        ulp = 4 * np.finfo(float).eps * max(1.0, abs(offset))
        assert share(scores, scores + ulp * noise.clip(-2, 2) / 16) == 0
    assert share(SMOOTH, SMOOTH.astype(np.float32).astype(float)) == 0
    assert share(np.zeros(COUNT), np.zeros(COUNT)) == 0
    assert len(differ_by_more_than_rounding(np.zeros(0), np.zeros(0))) == 0


def test_rows_are_joined_by_id_and_those_that_differ_most_come_first() -> None:
    first = Scores.of(["a", "b", "c", "d"], np.array([1.0, 2.0, 3.0, 4.0]))
    again = Scores.of(["d", "c", "a", "b"], np.array([4.0, 5.0, 1.0, 2.5]))
    assert [(row.item, row.run, row.audited) for row in differing(first, again)] == [("c", 3.0, 5.0), ("b", 2.0, 2.5)]
    (gone,) = differing(first, Scores.of(["a", "b", "c"], np.array([1.0, 2.0, 3.0])))
    assert gone.item == "d" and np.isnan(gone.audited)
