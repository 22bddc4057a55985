"""Squared Mahalanobis distances of states to their class, or to all."""

from __future__ import annotations

import numpy as np

from w2s_bench import FloatArray, IntArray


def squared_distances(states: FloatArray, classes: IntArray, shrinkage: float) -> FloatArray:
    """(n,) (h - m)ᵀ S⁻¹ (h - m): m the mean of the row's class, S the covariance within classes, shared by all.

    S is shrunk towards a multiple of the identity of the same trace: (1 - shrinkage) S + shrinkage · tr(S) / d · I. Where all
    states are equal within their class, the distances are 0.
    """
    sums = np.zeros((int(classes.max(initial=0)) + 1, states.shape[1]))
    np.add.at(sums, classes, states)
    counts = np.bincount(classes, minlength=len(sums))
    apart = states - (sums / np.maximum(counts, 1)[:, None])[classes]
    covariance = apart.T @ apart / max(len(states), 1)
    d = covariance.shape[0]
    level = float(np.trace(covariance)) / d
    if level <= 0:
        return np.zeros(len(states))
    shrunk = (1 - shrinkage) * covariance + shrinkage * level * np.eye(d)
    return np.asarray((apart * np.linalg.solve(shrunk, apart.T).T).sum(axis=1))
