"""The label's weaker tokens."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader
from w2s_bench_baselines.likelihood import of_tokens, one_of
from w2s_bench_baselines.unfitted import Unfitted


class QuantileLogprob(Unfitted):
    """How likely the teacher finds the label's weaker tokens: a low quantile of their log-probabilities.

    The `q`-quantile over tokens, linear between two of them, nats, at most 0 (-100 for a label without tokens); higher = more
    trusted. `q` = 0 is `min_logprob`. `of` = "teacher" or "student", the untuned one. Cost: a pass of the reader over the
    labels. Gupta et al. (2024).
    """

    def __init__(self, q: float = 0.2, of: Reader = "teacher") -> None:
        if not 0 <= q <= 1:
            raise ValueError(f"q must lie in [0, 1], got {q!r}")
        one_of("of", of, ("teacher", "student"))
        self.q, self.of = q, of
        self.needs: tuple[Need, ...] = (Need(of, "label_logprobs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return of_tokens(evidence, self.of, lambda row: float(np.quantile(row, self.q)))
