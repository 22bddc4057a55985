"""What a larger model sees in the label that a smaller one does not."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_baselines.likelihood import label_probability, logarithm, of_tokens
from w2s_bench_baselines.unfitted import Unfitted


class SizeContrast(Unfitted):
    """How much likelier the untuned student finds the label than the teacher does: what size adds.

    Choice: log p_S(label) - log p_W(label) over the options. Generate: the difference of the summed log-probabilities of the
    label's tokens. Nats, any sign; higher = more trusted. Cost: a pass of the student. Contrastive decoding, Li et al. (2023).
    """

    needs: tuple[Need, ...] = (
        Need("teacher", "choice_probs", when="choice"),
        Need("student", "choice_probs", when="choice"),
        Need("teacher", "label_logprobs", when="generate"),
        Need("student", "label_logprobs", when="generate"),
    )

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if evidence.choices is None:
            teacher, student = (of_tokens(evidence, of, np.sum) for of in ("teacher", "student"))
        else:
            teacher, student = (logarithm(label_probability(evidence, of)) for of in ("teacher", "student"))
        return student - teacher
