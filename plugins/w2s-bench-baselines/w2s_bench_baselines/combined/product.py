"""The product of ranks."""

from __future__ import annotations

import numpy as np

from w2s_bench import FloatArray
from w2s_bench_baselines.combined.rank_average import RankAverage


class Product(RankAverage):
    """Rank product: the geometric mean, over functions, of the share of the pool that a row stands above.

    (Π_m (rank_m - 1/2) / n)^(1/M), ties by half, in (0, 1); higher = more trusted. A low rank by one function weighs more than in
    `rank_average`, so that it asks for rows which all functions trust. `of` as there. After Breitling et al. (2004), rank
    products. Cost: that of the functions.
    """

    def combined(self, shares: FloatArray) -> FloatArray:
        return np.asarray(np.exp(np.log(shares).mean(axis=0)))
