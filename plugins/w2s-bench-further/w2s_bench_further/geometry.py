"""Directions of states, and the rows nearest to a row."""

from __future__ import annotations

import numpy as np

from w2s_bench import FloatArray, IntArray


def middle_of(states: FloatArray) -> FloatArray:
    """(n, layers, d) → (n, d): the layer in the middle of those that were read."""
    return np.asarray(states[:, states.shape[1] // 2])


def unit(states: FloatArray) -> FloatArray:
    """(n, d) at length 1; rows of zeros stay what they are."""
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    return np.asarray(np.divide(states, lengths, out=np.zeros_like(states), where=lengths > 0))


def distances(one: FloatArray, other: FloatArray) -> FloatArray:
    """(n, d), (m, d) → (n, m) squared Euclidean distances; rounded, so that equal rows are equally far whatever their place."""
    squared = (one**2).sum(1)[:, None] - 2 * one @ other.T + (other**2).sum(1)
    return np.asarray(np.round(np.maximum(squared, 0.0), 9), dtype=np.float64)


def classes_of(texts: tuple[str, ...]) -> IntArray:
    """(n,) the same number for the same text, blanks around it aside."""
    return np.unique([text.strip() for text in texts], return_inverse=True)[1].astype(np.int64)
