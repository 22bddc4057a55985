"""What the trust set says of the purity of the rows that are kept, where scores tie and where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_bench.coverage import count_to_keep
from w2s_bench.protocol.guarantees import binomial_lower, binomial_upper
from w2s_bench.results.pages.style import percent
from w2s_bench.scoring.selecting import Goal, purity_at
from w2s_bench.types import BoolArray, FloatArray


def drawn(rng: np.random.Generator, rows: int) -> tuple[FloatArray, BoolArray]:
    """A tenth of the rows are trusted most and all right; the others share a score, and half of them are right."""
    unanimous = rng.random(rows) < 0.1
    return np.where(unanimous, 0.9, 0.6), unanimous | (rng.random(rows) < 0.5)


def test_purity_of_tied_rows_is_that_of_the_share_that_is_kept() -> None:
    """Of a fifth of the pool half is unanimous: purity .75, not the .55 of all rows of at least the lowest score."""
    rng = np.random.default_rng(0)
    estimates, covered = [], 0
    for _ in range(200):
        pool, truth = drawn(rng, 5000)
        trust, right = drawn(rng, 400)
        kept = count_to_keep(0.2, len(pool))
        above = pool > 0.7
        purity = (above.sum() + (kept - above.sum()) * truth[~above].mean()) / kept
        found = purity_at(0.2, pool, trust, right, 0.95)
        assert found is not None
        estimates.append(found[0] - purity)
        covered += found[1] <= purity <= found[2]
    assert abs(np.mean(estimates)) < 0.01
    assert covered >= 190


def test_purity_without_ties_is_by_one_interval() -> None:
    rng = np.random.default_rng(1)
    pool, trust, right = rng.random(1000), rng.random(300), rng.random(300) < 0.7
    there = trust >= np.sort(pool)[-500]
    wrong, rows = np.array([(~right[there]).sum()]), np.array([there.sum()])
    expected = (right[there].mean(), 1 - binomial_upper(wrong, rows, 0.05)[0], 1 - binomial_lower(wrong, rows, 0.05)[0])
    assert purity_at(0.5, pool, trust, right, 0.9) == pytest.approx(expected)


def test_what_the_trust_set_has_no_row_of_may_be_anything() -> None:
    pool = np.repeat([1.0, 0.0], [10, 90])
    nothing_above = purity_at(0.2, pool, np.zeros(50), np.ones(50, dtype=bool), 0.95)
    assert nothing_above is not None
    purity, low, high = nothing_above
    assert purity == 1 and high == pytest.approx(1) and low < 0.5, (
        "half of what is kept has a score of which nothing is known"
    )
    assert purity_at(0.1, pool, np.zeros(50), np.ones(50, dtype=bool), 0.95) is None
    assert purity_at(0.2, pool, np.zeros(0), np.zeros(0, dtype=bool), 0.95) is None


def test_shares_are_written_as_they_were_given() -> None:
    assert [percent(share) for share in (0.5, 0.35, 0.95, 0.999, 0.005, 0.07, 1.0)] == [
        "50%", "35%", "95%", "99.9%", "0.5%", "7%", "100%",
    ]  # fmt: skip
    assert Goal(keep=0.005).words == "the 0.5% of the pool that it trusts most"
    assert "99.9%" in Goal(keep=None, purity=0.9, confidence=0.999).words
