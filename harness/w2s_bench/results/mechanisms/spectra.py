"""Gradients of n training rows, (n, d), as figures: how far they point one way, and in how many directions they spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2s_bench.types import FloatArray

Rows = NDArray[np.float32] | FloatArray


def mean_pairwise_cosine(gradients: Rows) -> float | None:
    """Mean cosine of all pairs of different rows, (|Σ u|² − n) / (n (n − 1)) with u = g / |g|; in [−1 / (n − 1), 1].

    Rows without length point nowhere and are left out; None where fewer than two are left.
    """
    rows = np.asarray(gradients, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    units = rows[lengths > 0] / lengths[lengths > 0, None]
    if len(units) < 2:
        return None
    total = units.sum(axis=0)
    return float((total @ total - len(units)) / (len(units) * (len(units) - 1)))


def cosine(first: FloatArray, second: FloatArray) -> float | None:
    """Of two vectors (d,), in [−1, 1]; None where one has no length."""
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second / size) if size > 0 else None


def effective_rank(gradients: Rows) -> float | None:
    """exp of the entropy of the singular values, as shares of their sum: r for r equal ones (Roy & Vetterli 2007).

    From 1 to min(n, d), more where the gradients spread over more directions; None where all are 0.
    """
    values = np.sqrt(_squares(gradients))
    if not values.sum() > 0:
        return None
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def stable_rank(gradients: Rows) -> float | None:
    """|G|²_F / |G|²₂, the squares of the singular values by the largest of them: from 1 to the rank; None where all are 0."""
    squares = _squares(gradients)
    return float(squares.sum() / squares.max()) if squares.max(initial=0.0) > 0 else None


def noise_scale(gradients: Rows) -> float | None:
    """tr Σ / |g|², the variance of one row's gradient by the square of the true mean: how many rows a batch must have before
    their mean says more than their noise (McCandlish et al. 2018, arXiv 1812.06162, the simple noise scale).

    |g|² is estimated without bias, |mean|² − tr Σ / n; None where that is not above 0: the mean is not told from noise.
    """
    rows = np.asarray(gradients, dtype=np.float64)
    if len(rows) < 2:
        return None
    mean = rows.mean(axis=0)
    spread = float(((rows - mean) ** 2).sum() / (len(rows) - 1))
    signal = float(mean @ mean) - spread / len(rows)
    # What is left of equal terms that cancel is rounding.
    return spread / signal if signal > 1e-12 * float(mean @ mean) else None


def _squares(gradients: Rows) -> FloatArray:
    """Squares of the singular values; those below rounding are 0."""
    rows = np.asarray(gradients, dtype=np.float64)
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    values = np.linalg.eigvalsh(gram)
    kept: FloatArray = np.where(values > 1e-10 * values.max(initial=0.0), values, 0.0)
    return kept
