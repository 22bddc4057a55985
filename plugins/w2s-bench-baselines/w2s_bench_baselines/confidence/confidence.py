"""How sure the teacher is of its own label."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision
from w2s_bench_baselines.likelihood import label_probability, pooled_log_probability


class Confidence:
    """The teacher's own confidence in its label; learns from nothing.

    Choice: p(label) / Σ p(option), in [0, 1]. The label is the most likely option, so this is the maximum softmax
    probability of Hendrycks & Gimpel (2017). Generate: the mean log-probability of the label's tokens, ≤ 0, the
    length-normalised likelihood of Malinin & Gales (2021). Higher = more trusted. The two scales are not comparable.
    """

    supervision: Supervision = "none"
    needs: tuple[Need, ...] = (
        Need("teacher", "choice_probs", when="choice"),
        Need("teacher", "label_logprobs", when="generate"),
    )
    scope: Scope = "row"

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing to learn."""

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if evidence.choices is None:
            return pooled_log_probability(evidence, "teacher", "mean")
        return label_probability(evidence, "teacher")
