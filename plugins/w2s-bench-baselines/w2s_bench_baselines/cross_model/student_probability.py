"""How likely the untuned student finds the label."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_baselines.likelihood import label_probability, pooled_log_probability
from w2s_bench_baselines.unfitted import Unfitted


class StudentProbability(Unfitted):
    """How likely the untuned student finds the label, zero-shot.

    Choice: p_S(label) / sum p_S(option), in [0, 1]. Generate: the mean log-probability of the label's tokens, nats, at most 0.
    Higher = more trusted. The two scales are not comparable. Cost: a pass of the student, over the options or the labels.
    """

    needs: tuple[Need, ...] = (
        Need("student", "choice_probs", when="choice"),
        Need("student", "label_logprobs", when="generate"),
    )

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if evidence.choices is None:
            return pooled_log_probability(evidence, "student", "mean")
        return label_probability(evidence, "student")
