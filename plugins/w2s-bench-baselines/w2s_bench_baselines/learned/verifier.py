"""The student, tuned on the trust set's gold, reads the weak labels."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision
from w2s_bench_baselines.likelihood import Pooling, label_probability, pooled_log_probability


class Verifier:
    """How likely the weak label is to the student tuned on the trust set's gold answers.

    Choice: p(label) / Σ p(option), in [0, 1]. Generate: the log-probabilities of the label's tokens, ≤ 0, pooled by
    their mean or their minimum (`pooling`; a solution breaks at its weakest step). Higher = more trusted. The verifier
    does the learning, and the harness trains it; `fit` reads nothing, as the verifier's opinion of the very items that
    it was trained on would be too good.
    """

    supervision: Supervision = "trust_set"
    needs: tuple[Need, ...] = (
        Need("verifier", "choice_probs", when="choice"),
        Need("verifier", "label_logprobs", when="generate"),
    )
    scope: Scope = "row"

    def __init__(self, pooling: Pooling = "mean") -> None:
        if pooling not in ("mean", "min"):
            raise ValueError(f"pooling must be 'mean' or 'min', got {pooling!r}")
        self.pooling = pooling

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing to learn here: the verifier itself was trained on the trust set."""

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if evidence.choices is None:
            return pooled_log_probability(evidence, "verifier", self.pooling)
        return label_probability(evidence, "verifier")
