"""How undecided the teacher was before each token of its label."""

from __future__ import annotations

from typing import Literal, cast, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Ragged
from w2s_bench_further.unfitted import Unfitted

Who = Literal["teacher", "student"]


class TokenEntropy(Unfitted):
    """Token entropy: minus the mean entropy of what is expected in the place of each token of the label.

    Nats, at most 0, 0 for a label without tokens; higher = more trusted. Unlike a log-probability it does not ask which token came. `of`:
    "teacher" or "student", the untuned one. Cost: a pass of the reader over the labels. Malinin & Gales (2021), data uncertainty.
    """

    def __init__(self, of: Who = "teacher") -> None:
        if of not in get_args(Who):
            raise ValueError(f"of must be 'teacher' or 'student', got {of!r}")
        self.needs: tuple[Need, ...] = (Need(of, "label_entropies"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        rows = cast(Ragged, evidence.read(self.needs[0]))
        return -np.array([row.mean() if len(row) else 0.0 for row in rows], dtype=np.float64)
