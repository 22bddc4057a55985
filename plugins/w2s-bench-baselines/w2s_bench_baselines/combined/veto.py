"""The mean of ranks, below which stands what any function distrusts."""

from __future__ import annotations

import numpy as np

from w2s_bench import FloatArray
from w2s_bench_baselines.combined.rank_average import RankAverage
from w2s_bench_baselines.learned.parameters import check_share


class Veto(RankAverage):
    """Veto: the rank average, and below all other rows those that any function puts into its lowest `share` of the pool.

    Σ_m (rank_m - 1/2) / n / M, less the number of functions by which the row is among the lowest `share`; in (-M, 1), higher = more
    trusted. `of` as in `rank_average`. With `share` 0 it is `rank_average`. Cost: that of the functions.
    """

    def __init__(self, of: str = "confidence+student_probability", share: float = 0.25) -> None:
        super().__init__(of)
        self.share = check_share("share", share)

    def combined(self, shares: FloatArray) -> FloatArray:
        return np.asarray(shares.mean(axis=0) - (shares < self.share).sum(axis=0))
