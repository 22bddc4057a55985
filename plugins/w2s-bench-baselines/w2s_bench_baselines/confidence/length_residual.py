"""How likely the label is for its length."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader, Scope
from w2s_bench_baselines.likelihood import of_tokens, one_of
from w2s_bench_baselines.unfitted import Unfitted


class LengthResidual(Unfitted):
    """How likely the teacher finds the label for its length: what the number of tokens does not explain of its likelihood.

    sum_t log p(token t) - (a + b · tokens), with a and b by least squares over the pool; nats, any sign, mean 0; higher = more
    trusted. A summed log-probability favours short labels and a mean long ones; this neither. Where all labels have one
    length it ranks as `sequence_logprob`. `of` = "teacher" or "student", the untuned one. Cost: a pass of the reader over the
    labels.
    """

    scope: Scope = "pool"

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "label_logprobs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        total = of_tokens(evidence, self.of, np.sum)
        tokens = np.diff(evidence.label_logprobs(self.of).offsets).astype(np.float64)
        length: FloatArray = tokens - tokens.mean()
        residual: FloatArray = total - total.mean()
        spread = float(length @ length)
        slope = float(length @ residual) / spread if spread > 0 else 0.0
        return np.asarray(residual - slope * length)
