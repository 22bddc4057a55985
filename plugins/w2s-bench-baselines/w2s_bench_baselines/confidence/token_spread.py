"""How even the label's tokens are."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.unfitted import Unfitted


class TokenSpread(Unfitted):
    """How evenly likely the teacher finds the label's tokens: minus the standard deviation of their log-probabilities.

    Nats, at most 0, 0 for a label of one token or none; higher = more trusted. A solution with one doubtful step among sure
    ones is uneven. `of` = "teacher" or "student", the untuned one. Cost: a pass of the reader over the labels.
    """

    kinds: tuple[Kind, ...] = ("generate",)

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "label_logprobs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        rows = evidence.label_logprobs(self.of)
        return np.array([-row.std() if len(row) else 0.0 for row in rows], dtype=np.float64)
