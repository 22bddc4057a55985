"""L2-regularised logistic regression on standardised features, and the choice of its strength by cross-fitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Logistic:
    """A fitted model: log-odds = (x - mean) / scale · weights + intercept."""

    mean: FloatArray  # (d,)
    scale: FloatArray  # (d,) standard deviation; 1 where a feature is constant
    weights: FloatArray  # (d,)
    intercept: float

    def log_odds(self, features: FloatArray) -> FloatArray:
        """(n, d) → (n,), the log-odds that a row is correct."""
        return ((features - self.mean) / self.scale) @ self.weights + self.intercept


def fit_path(features: FloatArray, correct: BoolArray, strengths: Sequence[float]) -> list[Logistic]:
    """One model a strength: the minimum of mean log-loss + strength / 2 · |weights|², the intercept free.

    Strengths are given from strong to weak, so that each fit starts near its end. Where all rows are right or all wrong
    nothing can be told apart: the weights are 0 and the intercept is log((right + 1) / (wrong + 1)).
    """
    from scipy.optimize import minimize

    features = np.asarray(features, dtype=np.float64)
    n, d = features.shape
    mean = features.mean(axis=0) if n else np.zeros(d)
    spread = features.std(axis=0) if n else np.zeros(d)
    scale = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, 1.0)
    right = int(correct.sum())
    prior = float(np.log((right + 1) / (n - right + 1)))
    if right in (0, n):
        return [Logistic(mean, scale, np.zeros(d), prior) for _ in strengths]
    x = (features - mean) / scale
    sign = np.where(correct, 1.0, -1.0)
    # With more features than rows the minimum lies in the rows' span: n coordinates say all.
    basis = np.linalg.svd(x, full_matrices=False)[2].T if d > n else None  # (d, n)
    z = x if basis is None else x @ basis

    def loss(theta: FloatArray, strength: float) -> tuple[float, FloatArray]:
        w, b = theta[:-1], theta[-1]
        margin = sign * (z @ w + b)
        pull = -sign * np.exp(-np.logaddexp(0, margin)) / n  # derivative of the mean log-loss by the log-odds
        value = np.logaddexp(0, -margin).mean() + strength / 2 * (w @ w)
        return float(value), np.append(pull @ z + strength * w, pull.sum())

    theta, models = np.append(np.zeros(z.shape[1]), prior), []
    for strength in strengths:
        options = {"maxiter": 2000, "gtol": 1e-7, "ftol": 1e-12}
        theta = minimize(loss, theta, (strength,), method="L-BFGS-B", jac=True, options=options).x
        weights = theta[:-1] if basis is None else basis @ theta[:-1]
        models.append(Logistic(mean, scale, weights, float(theta[-1])))
    return models


def stratified_folds(correct: BoolArray, folds: int) -> IntArray:
    """(n,) the fold of each row: right and wrong rows are dealt out in turn, in the order in which they come."""
    fold = np.empty(len(correct), dtype=np.int64)
    for value in (True, False):
        rows = np.flatnonzero(correct == value)
        fold[rows] = np.arange(len(rows)) % folds
    return fold


def held_out_losses(features: FloatArray, correct: BoolArray, strengths: Sequence[float], folds: int) -> FloatArray:
    """(strengths,) mean log-loss, in nats, of rows that the scoring model was not fitted on."""
    fold = stratified_folds(correct, folds)
    losses = np.zeros(len(strengths))
    for held in range(folds):
        out = fold == held
        sign = np.where(correct[out], 1.0, -1.0)
        for i, model in enumerate(fit_path(features[~out], correct[~out], strengths)):
            losses[i] += np.logaddexp(0, -sign * model.log_odds(features[out])).sum() / len(correct)
    return losses
