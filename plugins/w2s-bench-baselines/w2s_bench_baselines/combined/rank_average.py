"""The mean of ranks."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Kind, Scope
from w2s_bench_baselines.combined.components import Components, rank_shares


class RankAverage:
    """Rank average: the mean, over functions, of the share of the pool that a row stands above.

    Σ_m (rank_m - 1/2) / n / M, ties by half, in (0, 1); higher = more trusted. `of`: names of functions joined by +, as
    `rank_average:of=confidence+student_probability`. Scales do not matter, only orders; all functions count alike. Track and
    domains are those that suit all of them. After Borda's count (1784). Cost: that of the functions.
    """

    scope: Scope = "pool"

    def __init__(self, of: str = "confidence+student_probability") -> None:
        self.components = Components(of)
        self.supervision, self.needs = self.components.supervision, self.components.needs
        self.kinds: tuple[Kind, ...] = self.components.kinds

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Fit the functions that learn, each as if it were alone."""
        self.components.fit(evidence, correct, rng)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return self.combined(rank_shares(self.components.scores(evidence, rng)))

    def combined(self, shares: FloatArray) -> FloatArray:
        """(functions, n) shares of the pool → (n,)."""
        return np.asarray(shares.mean(axis=0))
