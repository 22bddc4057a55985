"""How likely the whole label is."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader
from w2s_bench_baselines.likelihood import of_tokens, one_of
from w2s_bench_baselines.unfitted import Unfitted


class SequenceLogprob(Unfitted):
    """How likely the teacher finds the whole label: its summed token log-probability.

    sum_t log p(token t), nats, at most 0 (-100 for a label without tokens); higher = more trusted. Favours short labels. In
    choice domains it is the label's score before it is compared with the other options' (the "max logit"). `of` = "teacher" or
    "student", the untuned one. Cost: a pass of the reader over the labels.
    """

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "label_logprobs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return of_tokens(evidence, self.of, np.sum)
