"""Calibrated confidence against scikit-learn, and a stack that never reads a component's own training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from w2s_bench.testing import synthetic_evidence
from w2s_bench_baselines.learned import Calibrated, Stack, stack
from w2s_bench_baselines.learned.calibrated import fitted_map
from w2s_bench_baselines.learned.calibration import log_odds_of
from w2s_bench_baselines.learned.logistic import fit_path
from w2s_bench_baselines.learned.stack import out_of_fold

RNG = np.random.default_rng(0)


def overconfident(n: int = 400) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    p = rng.beta(4, 2, n)
    return p, rng.random(n) < 1 / (1 + np.exp(-0.5 * np.log(p / (1 - p))))


def test_each_map_is_scikit_learns() -> None:
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    p, correct = overconfident()

    def logistic(x: Any, intercept: bool = True) -> Any:
        model = LogisticRegression(C=1e8, fit_intercept=intercept, tol=1e-10, max_iter=10_000)
        return model.fit(x, correct).predict_proba(x)[:, 1]

    logit = log_odds_of(p)[:, None]
    np.testing.assert_allclose(fitted_map("temperature", p, correct)(p), logistic(logit, False), atol=1e-4)
    np.testing.assert_allclose(fitted_map("platt", p, correct)(p), logistic(logit), atol=3e-3)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit_transform(p, correct.astype(float))
    np.testing.assert_allclose(fitted_map("isotonic", p, correct)(p), isotonic)


def test_beta_is_scikit_learns_where_both_slopes_rise() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    p = rng.beta(1, 1, 4000)
    correct = rng.random(4000) < 1 / (1 + np.exp(-(1.5 * np.log(p) - 0.7 * np.log(1 - p) + 0.3)))
    x = np.stack([np.log(p), -np.log1p(-p)], axis=1)
    model = LogisticRegression(C=1e8, tol=1e-10, max_iter=10_000).fit(x, correct)
    assert (model.coef_ > 0).all()
    np.testing.assert_allclose(fitted_map("beta", p, correct)(p), model.predict_proba(x)[:, 1], atol=1e-3)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic", "beta"])
def test_a_map_never_falls_and_lowers_the_error(method: Any) -> None:
    p, correct = overconfident()
    for right in (correct, ~correct):
        fitted = fitted_map(method, p, right)
        assert (np.diff(fitted(np.linspace(0, 1, 101))) >= 0).all()
    assert ((fitted_map(method, p, correct)(p) - correct) ** 2).mean() < ((p - correct) ** 2).mean()
    assert fitted_map(method, p, np.ones(len(p), dtype=bool))(p).tolist() == pytest.approx([401 / 402] * 400)


def test_an_unknown_method() -> None:
    with pytest.raises(ValueError, match="method must be one of temperature, platt, isotonic, beta; got 'vector'"):
        Calibrated(method="vector")  # type: ignore[arg-type]


def test_no_row_is_scored_by_a_component_that_saw_it() -> None:
    correct = np.arange(30) % 3 == 0
    states = np.arange(30.0)[:, None]
    scored: list[float] = []

    def fit(rows: Any, right: Any) -> Any:
        np.testing.assert_array_equal(right, correct[rows[:, 0].astype(int)])

        def score(x: Any) -> Any:
            assert not set(x[:, 0]) & set(rows[:, 0])
            scored.extend(x[:, 0])
            return x[:, 0]

        return score

    assert out_of_fold(fit, states, correct, 5).tolist() == states[:, 0].tolist()
    assert sorted(scored) == states[:, 0].tolist()


def test_out_of_fold_scores_of_noise_say_nothing_where_in_sample_ones_say_all() -> None:
    rng = np.random.default_rng(0)
    states, correct = rng.normal(size=(200, 400)), rng.random(200) < 0.5

    def fit(x: Any, right: Any) -> Any:
        return fit_path(x, right, [0.01])[0].log_odds

    in_sample = fit(states, correct)(states)
    assert ((in_sample > 0) == correct).mean() > 0.95
    assert abs(((out_of_fold(fit, states, correct, 5) > 0) == correct).mean() - 0.5) < 0.12


def test_a_stack_without_folds_is_one_constant() -> None:
    evidence, correct = synthetic_evidence("choice", 20, 0)
    one = np.zeros(len(correct), dtype=bool)
    one[0] = True
    function = Stack()
    function.fit(evidence, one, rng=RNG)
    assert function.score(evidence, rng=RNG).tolist() == pytest.approx([np.log(2 / 20)] * 20)


@pytest.mark.parametrize("kind", ["choice", "generate"])
def test_the_stack_is_fitted_on_out_of_fold_scores_and_scores_by_components_of_all_rows(kind: Any) -> None:
    evidence, correct = synthetic_evidence(kind, 80, 0)
    function = Stack(l2=0.1)
    function.fit(evidence, correct, rng=RNG)
    told, learned = stack._told(evidence), stack._learned(evidence)
    held_out = [out_of_fold(fit, states, correct, 5) for fit, states in learned]
    in_sample = [fit(states, correct)(states) for fit, states in learned]
    fitted = np.stack([*told, *in_sample], axis=1)
    expected = fit_path(np.stack([*told, *held_out], axis=1), correct, [0.1])[0].log_odds(fitted)
    np.testing.assert_allclose(function.score(evidence, rng=RNG), expected)
    assert not np.allclose(fit_path(fitted, correct, [0.1])[0].log_odds(fitted), expected)
