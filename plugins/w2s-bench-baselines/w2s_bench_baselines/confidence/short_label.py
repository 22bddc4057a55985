"""The label's length."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_baselines.unfitted import Unfitted


class ShortLabel(Unfitted):
    """The shorter the label the better: what a score that favours short labels is worth by that alone.

    -(number of characters), at most 0; higher = more trusted. No evidence is read: a yardstick for likelihoods, which hang on
    length too. Cost: none.
    """

    needs: tuple[Need, ...] = ()

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return -np.array([len(label) for label in evidence.labels], dtype=np.float64)
