"""What teacher and student say of the label together."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_baselines.likelihood import logarithm, pooled_log_probability
from w2s_bench_baselines.unfitted import Unfitted


class ProductOfExperts(Unfitted):
    """What the teacher and the untuned student say of the label together, their probabilities multiplied.

    Choice: the label's share of p_W^(1 - weight) · p_S^weight over the options, in [0, 1]. Generate: (1 - weight) · mean log p_W +
    weight · mean log p_S over the label's tokens, nats, at most 0. Higher = more trusted. `weight`, in [0, 1], is the student's:
    0 is `confidence`, 1 `student_probability`. Cost: a pass of the student. Hinton (2002); as a target of training the product
    loss of Burns et al. (2023).
    """

    needs: tuple[Need, ...] = (
        Need("teacher", "choice_probs", when="choice"),
        Need("student", "choice_probs", when="choice"),
        Need("teacher", "label_logprobs", when="generate"),
        Need("student", "label_logprobs", when="generate"),
    )

    def __init__(self, weight: float = 0.5) -> None:
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must lie in [0, 1], got {weight!r}")
        self.weight = weight

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        a = self.weight
        if evidence.label_index is None:
            teacher, student = (pooled_log_probability(evidence, of, "mean") for of in ("teacher", "student"))
            return (1 - a) * teacher + a * student
        scores = np.zeros(len(evidence))
        both = zip(
            evidence.choice_probs("teacher"), evidence.choice_probs("student"), evidence.label_index, strict=True
        )
        for row, (teacher, student, index) in enumerate(both):
            logits = (1 - a) * logarithm(teacher) + a * logarithm(student)
            weights = np.exp(logits - logits.max())
            scores[row] = weights[index] / weights.sum()
        return scores
