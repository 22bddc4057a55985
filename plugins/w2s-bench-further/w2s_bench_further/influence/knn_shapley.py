"""What each weak label adds to a nearest-neighbour classifier, over all orders in which labels could come."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Kind, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_further.geometry import distances, middle_of, unit

_STATES = Need("student", "prompt_states", layers="middle")


class KnnShapley:
    """Data Shapley by nearest neighbours: a label's exact Shapley value for classifying the trust set's right labels from the pool.

    The classifier takes the `k` pool rows whose prompts are nearest (untuned student, end of the prompt, middle layer, less the pool's
    mean, at length 1) and its worth on an item is the share of them labelled with the right text. From the farthest row on:
    s_N = 1[y_N = y] / N, s_i = s_i+1 + (1[y_i = y] - 1[y_i+1 = y]) / k · min(k, i) / i; the mean over the trust set's right rows.
    Any sign, higher = more trusted. Rows whose text no right row of the trust set has are worth nothing or less: it tells something
    where texts of labels recur. Jia et al. (2019), arXiv 1908.08619. Cost: a pass of the untuned student over the prompts; as many
    distances as pool and trust set have pairs.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "pool"
    kinds: tuple[Kind, ...] = ("choice",)
    needs: tuple[Need, ...] = (_STATES,)

    def __init__(self, k: int = 10) -> None:
        if type(k) is not int or k < 1:
            raise ValueError(f"k must be a whole number from 1 on, got {k!r}")
        self.k = k
        self._right: tuple[FloatArray, list[str]] | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Keep the right rows: of the others it is not known what would be right."""
        states = middle_of(evidence.prompt_states("student"))[correct]
        self._right = states, [text.strip() for text, right in zip(evidence.labels, correct, strict=True) if right]

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._right is None:
            raise TrustFunctionError("KnnShapley was not fitted; call fit with a trust set before score")
        states, texts = self._right
        if not texts or not len(evidence):
            return np.zeros(len(evidence))
        pool = middle_of(evidence.prompt_states("student"))
        mean = pool.mean(0)
        far = distances(unit(states - mean), unit(pool - mean))
        said = np.array([text.strip() for text in evidence.labels])
        told = [shapley(row, said == text, self.k) for row, text in zip(far, texts, strict=True)]
        return np.asarray(np.mean(told, axis=0))


def shapley(far: FloatArray, same: BoolArray, k: int) -> FloatArray:
    """(n,) Shapley values of rows at distances `far` (n,) whose labels are the `same` (n,) as the item's or not.

    Rows that are equally far share the mean of their values over the orders that put the same ones first and last, so that their
    place means nothing.
    """
    found = np.zeros(len(far))
    for last in (True, False):
        order = np.lexsort((same if last else ~same, far))
        hit = np.asarray(same, dtype=np.float64)[order]
        n, place = len(far), np.arange(1, len(far) + 1)
        step = (hit[:-1] - hit[1:]) / k * np.minimum(k, place[:-1]) / place[:-1]
        values = np.append(np.cumsum(step[::-1])[::-1], 0.0) + hit[-1] * min(k, n) / (k * n)
        found[order] += values / 2
    return _shared(far, same, found)


def _shared(far: FloatArray, same: BoolArray, values: FloatArray) -> FloatArray:
    """Rows equally far and labelled alike have the mean of their values."""
    keys = np.unique(np.stack([far, same.astype(np.float64)], axis=1), axis=0, return_inverse=True)[1].ravel()
    return np.asarray((np.bincount(keys, values) / np.bincount(keys))[keys])
