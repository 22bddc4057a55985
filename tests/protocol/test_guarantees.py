"""Selections with a guarantee keep it, over a thousand seeded trust sets; known answers; when they abstain."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from w2s_bench.protocol import guarantees as g

SIMULATIONS = 1000
TRUST, POOL = 300, 400


def _population(kind):
    """(scores, correct, true purity of rows of at least t) for draws of one population."""

    def right(scores):
        if kind == "flat":  # whatever is certified is a violation
            return np.full_like(scores, 0.79)
        return 0.4 + 0.6 * scores**0.7

    grid = np.linspace(0, 1, 4001)
    tail = np.cumsum(right(grid)[::-1])[::-1] / np.arange(len(grid), 0, -1)
    return right, lambda t: np.interp(t, grid, tail)


@pytest.fixture(scope="module", params=["flat", "rising"])
def simulated(request):
    right, purity_above = _population(request.param)
    rng = np.random.default_rng(7)
    scores, pool = rng.random((SIMULATIONS, TRUST)), rng.random((SIMULATIONS, POOL))
    correct = rng.random(scores.shape) < right(scores)
    pool_correct = rng.random(pool.shape) < right(pool)
    return request.param, scores, correct, pool, pool_correct, purity_above


@pytest.mark.parametrize("method", ["ltt", "sgr", "hoeffding"])
def test_violations_are_as_rare_as_promised(simulated, method):
    kind, scores, correct, pool, _, purity_above = simulated
    found = [
        g.METHODS[method](s, c, p, purity=0.8, confidence=0.9) for s, c, p in zip(scores, correct, pool, strict=True)
    ]
    kept = [one for one in found if one.threshold is not None]
    violations = sum(purity_above(one.threshold) < one.purity for one in kept)
    # 1,000 draws of a rate of .1 stray by .0095; 2.33 of it is one chance in a hundred.
    assert violations <= SIMULATIONS * 0.1 + 2.33 * 9.5
    if kind == "rising":
        assert len(kept) > (0.9 if method != "hoeffding" else 0.02) * SIMULATIONS  # and they do select something


def test_the_false_discovery_rate_is_as_promised(simulated):
    kind, scores, correct, pool, pool_correct, _ = simulated
    shares = []
    for s, c, p, truth in zip(scores, correct, pool, pool_correct, strict=True):
        threshold = g.conformal(s, c, p, purity=0.8).threshold
        kept = p >= threshold if threshold is not None else np.zeros(len(p), bool)
        shares.append((kept & ~truth).sum() / max(kept.sum(), 1))
    assert np.mean(shares) <= 0.2 + 2.33 * np.std(shares) / SIMULATIONS**0.5
    if kind == "rising":
        assert np.mean(shares) > 0.1  # it is not kept by keeping nothing


def test_bounds_by_hand():
    wrong, count = np.array([0, 3, 5, 0]), np.array([59, 40, 5, 0])
    upper = g.binomial_upper(wrong, count, 0.05)
    assert upper[0] == pytest.approx(1 - 0.05 ** (1 / 59))  # no wrong row: (1 - rate)^n = error
    assert upper[1] == pytest.approx(beta.ppf(0.95, 4, 37))
    assert binom.cdf(3, 40, upper[1]) == pytest.approx(0.05)  # the inversion that Geifman & El-Yaniv write
    assert upper[2] == upper[3] == 1
    assert g.binomial_lower(np.array([0, 5]), np.array([0, 5]), 0.05) == pytest.approx([0, 0.05**0.2])
    assert g.hoeffding_upper(np.array([10]), np.array([200]), 0.05)[0] == pytest.approx(
        0.05 + np.sqrt(np.log(20) / 400)
    )
    assert g.least_rows(0.95, 0.05) == 59


def test_counts_and_thresholds():
    scores, correct = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, False, True, True])
    above, wrong = g.counts_above(scores, correct, np.array([0.9, 0.5, 0.1]))
    assert above.tolist() == [1, 3, 4] and wrong.tolist() == [0, 1, 2]
    assert g.thresholds_of(np.array([3.0, 1.0, 2.0, 2.0]), 4).tolist() == [3.0, 2.0, 1.0]
    assert g.thresholds_of(np.arange(100.0), 4).tolist() == [75.0, 50.0, 25.0, 0.0]
    assert len(g.thresholds_of(np.zeros(0))) == 0


def test_benjamini_hochberg_of_their_own_example():
    # Table 1 of Benjamini & Hochberg (1995), section 3.1: four are rejected at .05.
    p = [.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719, .6528, .7590, 1.0]  # fmt: skip
    assert g.benjamini_hochberg(np.array(p), 0.05).sum() == 4
    assert not g.benjamini_hochberg(np.zeros(0), 0.05).any()


def test_p_values_count_wrong_rows_that_score_as_high():
    p = g.conformal_p_values(np.array([0.2, 0.6, 0.8]), np.array([False, False, True]), np.array([0.1, 0.6, 0.7]))
    assert p.tolist() == [0.75, 0.5, 0.25]


@pytest.mark.parametrize("method", g.METHODS)
def test_three_rows_are_too_few_and_that_is_said(method):
    pool = np.linspace(0, 1, 50)
    found = g.METHODS[method](np.array([0.2, 0.6, 0.9]), np.ones(3, bool), pool, purity=0.95, confidence=0.95)
    assert found.threshold is None and "trust set" in found.why and "3" in found.why


@pytest.mark.parametrize("method", ["ltt", "sgr", "conformal"])
def test_a_score_that_tells_all_keeps_nearly_all_right_rows(method):
    rng = np.random.default_rng(3)
    correct, pool_correct = rng.random(600) < 0.5, rng.random(1000) < 0.5
    scores, pool = correct + rng.random(600) * 0.5, pool_correct + rng.random(1000) * 0.5
    found = g.METHODS[method](scores, correct, pool, purity=0.9, confidence=0.95)
    assert found.threshold is not None and (pool >= found.threshold)[pool_correct].mean() > 0.9
    assert found.right / found.above >= 0.9
    assert found.purity >= 0.9


def test_a_score_that_tells_nothing_abstains():
    rng = np.random.default_rng(4)
    scores, correct, pool = rng.random(800), rng.random(800) < 0.5, rng.random(800)
    for method in g.METHODS.values():
        assert method(scores, correct, pool, purity=0.9, confidence=0.95).threshold is None


def test_wrong_arguments_are_said():
    with pytest.raises(ValueError, match="purity must lie between 0 and 1, got 95"):
        g.learn_then_test(np.zeros(3), np.ones(3, bool), np.zeros(3), purity=95, confidence=0.95)
    with pytest.raises(ValueError, match="one shape"):
        g.hoeffding(np.zeros(3), np.ones(2, bool), np.zeros(3), purity=0.9, confidence=0.95)


def test_learn_then_test_takes_as_few_rows_as_it_says():
    """All of a trust set that just does, all right: its one start is the lowest threshold, and one row less is too few."""
    least = g.least_rows(0.95, 0.05 / g.STARTS)
    pool = np.linspace(0, 1, 500)
    for rows, passes in ((least, True), (least - 1, False)):
        scores = np.linspace(0.001, 1, rows)
        found = g.learn_then_test(scores, np.ones(rows, dtype=bool), pool, purity=0.95, confidence=0.95)
        assert (found.threshold is not None) == passes
        assert passes or f"it takes {least} rows" in found.why
