"""How likely an item's options are as continuations, all together."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_baselines.likelihood import LEAST, label_probability, of_tokens
from w2s_bench_baselines.unfitted import Unfitted


class Energy(Unfitted):
    """How likely an item's options are to the teacher all together: the negative energy of their scores.

    log sum exp z over the options, z an option's summed log-probability; nats, at most 0 up to the chance that options begin
    each other; higher = more trusted. It is taken as z(label) - log p(label). Cost: a pass of the teacher over its labels.
    Liu et al. (2020), there over a classifier's logits.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    needs: tuple[Need, ...] = (Need("teacher", "choice_probs"), Need("teacher", "label_logprobs"))

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        log_likelihood = of_tokens(evidence, "teacher", np.sum)
        return log_likelihood - np.log(np.maximum(label_probability(evidence, "teacher"), LEAST))
