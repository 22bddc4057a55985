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


@dataclass(frozen=True)
class _Rows:
    """Standardised features in coordinates of their own span: x = (features - mean) / scale = z · basisᵀ."""

    mean: FloatArray  # (d,)
    scale: FloatArray  # (d,)
    z: FloatArray  # (n, r), columns orthogonal
    basis: FloatArray  # (d, r), columns orthonormal
    size: FloatArray  # (r,) lengths of z's columns


def _in_their_span(features: FloatArray) -> _Rows:
    features = np.asarray(features, dtype=np.float64)
    n, d = features.shape
    mean = features.mean(axis=0) if n else np.zeros(d)
    spread = features.std(axis=0) if n else np.zeros(d)
    scale = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, 1.0)
    x = (features - mean) / scale
    # The minimum lies in the rows' span, so min(n, d) coordinates say all. The smaller of the two products gives them:
    # a singular value decomposition takes several times as long.
    square, vectors = np.linalg.eigh(x @ x.T if d > n else x.T @ x)
    kept = square > 1e-10 * max(float(square.max(initial=0.0)), 1e-300)
    size = np.sqrt(square[kept])
    basis = x.T @ vectors[:, kept] / size if d > n else vectors[:, kept]
    return _Rows(mean, scale, x @ basis, basis, size)


def _weights_path(
    z: FloatArray, size: FloatArray, correct: BoolArray, strengths: Sequence[float]
) -> list[tuple[FloatArray, float]]:
    """Weights (r,) and intercept for each strength; `correct` has both right and wrong rows."""
    from scipy.optimize import minimize

    n = len(z)
    sign = np.where(correct, 1.0, -1.0)
    weights, intercept, path = np.zeros(z.shape[1]), _prior(correct), []
    for strength in strengths:
        # Coordinates in which the loss curves about equally: the minimiser then needs a handful of steps.
        stretch = np.sqrt(size**2 / (4 * n) + strength)

        def loss(
            theta: FloatArray, strength: float = strength, stretch: FloatArray = stretch
        ) -> tuple[float, FloatArray]:
            w, b = theta[:-1] / stretch, theta[-1]
            margin = sign * (z @ w + b)
            pull = -sign * np.exp(-np.logaddexp(0, margin)) / n  # derivative of the mean log-loss by the log-odds
            value = np.logaddexp(0, -margin).mean() + strength / 2 * (w @ w)
            return float(value), np.append((pull @ z + strength * w) / stretch, pull.sum())

        start = np.append(weights * stretch, intercept)
        options = {"maxiter": 2000, "gtol": 1e-6, "ftol": 1e-11}
        theta = minimize(loss, start, method="L-BFGS-B", jac=True, options=options).x
        weights, intercept = theta[:-1] / stretch, float(theta[-1])
        path.append((weights, intercept))
    return path


def _prior(correct: BoolArray) -> float:
    right = int(correct.sum())
    return float(np.log((right + 1) / (len(correct) - right + 1)))


def fit_path(features: FloatArray, correct: BoolArray, strengths: Sequence[float]) -> list[Logistic]:
    """One model a strength: the minimum of mean log-loss + strength / 2 · |weights|², the intercept free.

    Strengths are given from strong to weak, so that each fit starts near its end. Where all rows are right or all wrong
    nothing can be told apart: the weights are 0 and the intercept is log((right + 1) / (wrong + 1)).
    """
    rows = _in_their_span(features)
    if one_sided(correct):
        zeros = np.zeros(len(rows.mean))
        return [Logistic(rows.mean, rows.scale, zeros, _prior(correct)) for _ in strengths]
    path = _weights_path(rows.z, rows.size, correct, strengths)
    return [Logistic(rows.mean, rows.scale, rows.basis @ weights, intercept) for weights, intercept in path]


def one_sided(correct: BoolArray) -> bool:
    """Whether no row is right, or none wrong: then nothing can be told apart."""
    return bool(correct.all() or not correct.any())


def stratified_folds(correct: BoolArray, folds: int) -> IntArray:
    """(n,) the fold of each row: right and wrong rows are dealt out in turn, in the order in which they come."""
    fold = np.empty(len(correct), dtype=np.int64)
    for value in (True, False):
        rows = np.flatnonzero(correct == value)
        fold[rows] = np.arange(len(rows)) % folds
    return fold


def held_out_log_odds(features: FloatArray, correct: BoolArray, strengths: Sequence[float], folds: int) -> FloatArray:
    """(strengths, n) log-odds that each row is correct, by models that were fitted on the other folds' correctness.

    The features' means and deviations are those of all rows, which say nothing of what is correct.
    """
    rows, fold = _in_their_span(features), stratified_folds(correct, folds)
    odds = np.empty((len(strengths), len(correct)))
    for held in range(folds):
        out = fold == held
        if one_sided(correct[~out]):
            odds[:, out] = _prior(correct[~out])
            continue
        path = _weights_path(rows.z[~out], rows.size, correct[~out], strengths)
        odds[:, out] = [rows.z[out] @ weights + intercept for weights, intercept in path]
    return odds


def log_losses(log_odds: FloatArray, correct: BoolArray) -> FloatArray:
    """(…, n) log-odds → (…,) mean log-loss in nats."""
    losses: FloatArray = np.logaddexp(0, -np.where(correct, 1.0, -1.0) * log_odds).mean(axis=-1)
    return losses


def held_out_losses(features: FloatArray, correct: BoolArray, strengths: Sequence[float], folds: int) -> FloatArray:
    """(strengths,) mean log-loss, in nats, of rows by models that were not fitted on them."""
    return log_losses(held_out_log_odds(features, correct, strengths, folds), correct)
