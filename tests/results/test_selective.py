"""Figures over all coverages: against sorting by hand, libraries, closed forms, and the mean over orders of equal scores."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from w2s_bench.results.statistics import auroc
from w2s_bench.results.statistics.selective import (
    average_precision,
    calibration_error,
    expected_right,
    reliability,
    selective_figures,
)

ROWS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=6)
MANY = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=2, max_size=80)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([s for s, _ in rows], dtype=float), np.array([c for _, c in rows], dtype=bool)


@given(ROWS)
@settings(deadline=None, max_examples=40)
def test_ties_count_by_the_mean_over_all_their_orders(rows: list[tuple[int, bool]]) -> None:
    scores, correct = arrays(rows)
    orders = [list(o) for o in permutations(range(len(rows))) if all(scores[a] >= scores[b] for a, b in pairwise(o))]
    kept = np.arange(1, len(rows) + 1)
    sums = np.array([np.cumsum(correct[order]) for order in orders])
    assert np.allclose(expected_right(scores, correct), sums.mean(axis=0))
    found = selective_figures(scores, correct)
    assert found.aurc == pytest.approx((1 - sums / kept).mean())
    assert found.augrc == pytest.approx(((kept - sums) / len(rows)).mean())
    if correct.any():
        precisions = [(correct[order] * (np.cumsum(correct[order]) / kept)).sum() / correct.sum() for order in orders]
        assert found.auprc_right == pytest.approx(np.mean(precisions))
    else:
        assert found.auprc_right is None


@given(MANY)
@settings(deadline=None, max_examples=60)
def test_augrc_has_its_closed_form_and_a_perfect_order_no_excess(rows: list[tuple[int, bool]]) -> None:
    scores, correct = arrays(rows)
    n, right = len(rows), int(correct.sum())
    wrong, area = n - right, auroc(scores, correct)
    pairs = 0.0 if area is None else (1 - area) * right * wrong
    assert selective_figures(scores, correct).augrc == pytest.approx((pairs + wrong * (wrong + 1) / 2) / n**2)
    assert selective_figures(correct.astype(float), correct).e_aurc == pytest.approx(0.0, abs=1e-12)
    found = selective_figures(scores, correct)
    assert 0 <= found.e_aurc <= found.aurc <= 1
    assert selective_figures(3 * scores - 7, correct).aurc == found.aurc
    assert found.purity_at["1.0"] == pytest.approx(right / n)


@given(MANY)
@settings(deadline=None, max_examples=30)
def test_a_score_that_says_nothing_has_the_error_rate_as_aurc(rows: list[tuple[int, bool]]) -> None:
    _, correct = arrays(rows)
    found = selective_figures(np.zeros(len(rows)), correct)
    assert found.aurc == pytest.approx(1 - correct.mean())
    assert set(np.round(list(found.purity_at.values()), 12)) == {round(float(correct.mean()), 12)}


def test_without_ties_average_precision_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores, correct = rng.permutation(500).astype(float), rng.uniform(size=500) < 0.3
    assert average_precision(scores, correct) == pytest.approx(average_precision_score(correct, scores))
    found = selective_figures(scores, correct)
    assert found.auprc_wrong == pytest.approx(average_precision_score(~correct, -scores))
    assert (found.brier, found.ece) == (None, None), "these are no probabilities"


def test_probabilities_are_held_against_what_came_true() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(size=20_000)
    found = selective_figures(chance, rng.uniform(size=20_000) < chance)
    assert found.brier == pytest.approx(1 / 6, abs=0.01)  # mean of p(1 - p)
    assert found.ece is not None and found.ece < 0.02
    assert calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, False, False])) == pytest.approx(0.4)


def test_what_is_no_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="expected finite scores"):
        selective_figures(np.array([1.0, np.nan]), np.array([True, False]))
    with pytest.raises(ValueError, match="one score or more"):
        selective_figures(np.zeros(0), np.zeros(0, dtype=bool))


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=80))
@settings(deadline=None, max_examples=60)
def test_reliability_has_the_bins_of_the_calibration_error(rows: list[tuple[int, bool]]) -> None:
    scores, correct = arrays(rows)
    scores = scores / 20
    bins = reliability(scores, correct)
    assert sum(one.rows for one in bins) == len(rows)
    assert sum(one.rows * one.right for one in bins) == pytest.approx(correct.sum())
    assert [one.score for one in bins] == sorted(one.score for one in bins)
    apart = sum(one.rows * abs(one.score - one.right) for one in bins) / len(rows)
    assert apart == pytest.approx(calibration_error(scores, correct))
    assert selective_figures(scores, correct).reliability == bins
    assert selective_figures(scores + 2, correct).reliability is None, "scores beyond 1 are no probabilities"
