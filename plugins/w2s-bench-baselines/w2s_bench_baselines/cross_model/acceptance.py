"""How much of the label speculative decoding would accept."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.unfitted import Unfitted


class Acceptance(Unfitted):
    """Speculative acceptance: how much of the teacher's label the untuned student would let stand as a draft of its own.

    mean_t min(1, p_S(token t) / p_W(token t)), in [0, 1]; higher = more trusted. `pooling` = "min" takes the worst token instead of
    the mean. A label that the two cut into different numbers of tokens has no pairs of them: its score is min(1, (p_S / p_W)^(1/n)),
    p the whole label's probability and n the teacher's tokens. A label without tokens scores 1. Cost: a pass of the teacher and
    one of the student over the labels. Leviathan et al. (2023); as trust in a token TrOPD (2026), there with a strong teacher.
    """

    needs: tuple[Need, ...] = (Need("teacher", "label_logprobs"), Need("student", "label_logprobs"))

    def __init__(self, pooling: str = "mean") -> None:
        one_of("pooling", pooling, ("mean", "min"))
        self.pooling = pooling

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        both = zip(evidence.label_logprobs("teacher"), evidence.label_logprobs("student"), strict=True)
        return np.array([self._accepted(teacher, student) for teacher, student in both], dtype=np.float64)

    def _accepted(self, teacher: FloatArray, student: FloatArray) -> float:
        if len(teacher) != len(student):
            teacher, student = (np.array([row.sum() / max(len(teacher), 1)]) for row in (teacher, student))
        gaps = student - teacher
        accepted = np.exp(np.minimum(gaps, 0.0))
        if len(accepted) == 0:
            return 1.0
        return float(accepted.mean() if self.pooling == "mean" else accepted.min())
