"""The label's weakest token."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader
from w2s_bench_baselines.likelihood import of_tokens, one_of
from w2s_bench_baselines.unfitted import Unfitted


class MinLogprob(Unfitted):
    """How likely the teacher finds the label's weakest token: a solution breaks at its weakest step.

    min_t log p(token t), nats, at most 0 (-100 for a label without tokens); higher = more trusted. `of` = "teacher" or
    "student", the untuned one. Cost: a pass of the reader over the labels. Manakul et al. (2023) take it for sentences.
    """

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "label_logprobs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return of_tokens(evidence, self.of, np.min)
