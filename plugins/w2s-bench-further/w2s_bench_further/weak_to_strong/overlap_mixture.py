"""The automated weak-to-strong researcher's overlap: four signs that teacher and student both have a hold on a row."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Scope
from w2s_bench_further.geometry import classes_of, distances, middle_of, unit
from w2s_bench_further.unfitted import Unfitted


class OverlapMixture(Unfitted):
    """Overlap as a mixture: cross-fitted probability, agreement and density of neighbours, and the teacher's half-sure entropy.

    z(p(label) of students trained on the other folds) + z(share of the `k` nearest rows with the same label) + z(1 / mean distance to
    them) + z(-(H - ½ log K)² / (2 w²)), z over the pool, H the teacher's entropy over K options in nats, w = ¼ log K; any sign, higher =
    more trusted. States: untuned student, at the prompt's end, middle layer. After the automated weak-to-strong researcher (2026), with a
    logistic probe of the student's states in the first place, K = 2, and selections of half the rows, balanced by class (take
    `balanced`). Equal weights and w are ours. Cost: five students of the suite's steps, a pass of the untuned student; n² distances.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"
    needs: tuple[Need, ...] = (
        Need("student_cv", "choice_probs"),
        Need("student", "prompt_states", layers="middle"),
        Need("teacher", "choice_probs"),
    )

    def __init__(self, k: int = 10) -> None:
        if type(k) is not int or k < 1:
            raise ValueError(f"k must be a whole number from 1 on, got {k!r}")
        self.k = k

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        assert evidence.label_index is not None, "for choice domains alone"
        n = len(evidence)
        if n < 2:
            return np.zeros(n)
        fitted = np.array(
            [row[at] for row, at in zip(evidence.choice_probs("student_cv"), evidence.label_index, strict=True)]
        )
        states = middle_of(evidence.prompt_states("student", "middle"))
        far = distances(unit(states - states.mean(0)), unit(states - states.mean(0)))
        np.fill_diagonal(far, np.inf)
        classes, k = classes_of(evidence.labels), min(self.k, n - 1)
        limit = np.sort(far, axis=1)[:, k - 1 : k]
        near = far <= limit  # all that are as near as the k-th
        agreeing = (near & (classes == classes[:, None])).sum(1) / near.sum(1)
        mean_distance = np.sqrt(np.where(near, far, 0.0)).sum(1) / near.sum(1)
        density = 1 / np.maximum(mean_distance, 1e-6)
        parts = (fitted, agreeing, density, self._half_sure(evidence))
        return np.asarray(np.sum([_standard(part) for part in parts], axis=0))

    def _half_sure(self, evidence: Evidence) -> FloatArray:
        told = []
        for row in evidence.choice_probs():
            p = np.sort(np.asarray(row, dtype=np.float64))
            most = np.log(max(len(p), 2))
            entropy = -float((p[p > 0] * np.log(p[p > 0])).sum())
            told.append(-((entropy - most / 2) ** 2) / (2 * (most / 4) ** 2))
        return np.array(told)


def _standard(values: FloatArray) -> FloatArray:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-12 else np.zeros(len(values))
