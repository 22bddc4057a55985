"""Labels of easy items that look like hard ones to the student."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader, Scope
from w2s_bench_baselines.change_point import change_point
from w2s_bench_baselines.likelihood import label_probability, one_of, pooled_log_probability
from w2s_bench_baselines.states import unit_rows
from w2s_bench_baselines.unfitted import Unfitted

#: Rows whose cosines are held at once: 16 MiB against 4096 hard ones.
ROWS = 512


class OverlapDensity(Unfitted):
    """Overlap density: easy labels whose states resemble those of hard ones, from which a student learns what is hard.

    The teacher's confidence c (choice: (K p(label) - 1) / (K - 1) over K options, which is 2 |p - ½| for two; generate: the mean
    log-probability of the tokens) is sorted and cut where its mean changes; rows at or below the value there are hard. An easy
    row scores max |cos(h, h of a hard row)|, in [0, 1], h the student's state at the label's end (`of`, `layer`). A hard row
    scores below every easy one, in [-2, -1], the higher the closer its confidence is to the cut. Higher = more trusted. Where
    nothing is easy, the confidence orders all. Shin, Cooper & Sala (ICLR 2025), by the formula of their code: change points by
    binary segmentation with cost l2 at every `jump`-th place (theirs: 5). They cut the cosines a second time, for how many rows to
    take, which is the suite's coverage here. Cost: a pass of the student over the labels; n² cosines.
    """

    scope: Scope = "pool"

    def __init__(self, of: Reader = "student", layer: int = -1, jump: int = 5) -> None:
        one_of("of", of, ("teacher", "student"))
        if jump < 1:
            raise ValueError(f"jump must be 1 or more, got {jump!r}")
        self.of: Reader = of
        self.layer, self.jump = layer, jump
        self.needs: tuple[Need, ...] = (
            Need("teacher", "choice_probs", when="choice"),
            Need("teacher", "label_logprobs", when="generate"),
            Need(of, "hidden_states", layer),
        )

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        confidence = chance_corrected(evidence)
        states = unit_rows(evidence.hidden_states(self.of, self.layer))
        ordered = np.sort(confidence)
        cut = ordered[min(change_point(ordered, self.jump), len(ordered) - 1)] if len(ordered) else 0.0
        hard = confidence <= cut
        gap = cut - confidence
        scores = -1 - gap / (1 + np.abs(gap))
        easy = np.flatnonzero(~hard)
        for start in range(0, len(easy), ROWS):
            rows = easy[start : start + ROWS]
            scores[rows] = np.abs(states[rows] @ states[hard].T).max(axis=1)
        return np.asarray(scores)


def chance_corrected(evidence: Evidence) -> FloatArray:
    """(n,) the teacher's confidence; in choice domains 0 at chance and 1 at certainty."""
    if evidence.choices is None:
        return pooled_log_probability(evidence, "teacher", "mean")
    options = np.array([max(len(row), 2) for row in evidence.choices], dtype=np.float64)
    return np.asarray((options * label_probability(evidence, "teacher") - 1) / (options - 1))
