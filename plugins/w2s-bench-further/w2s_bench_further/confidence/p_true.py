"""What a model says when it is asked whether the label is true."""

from __future__ import annotations

from typing import Literal, cast, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_further.unfitted import Unfitted

Who = Literal["teacher", "student"]


class PTrue(Unfitted):
    """P(True): the log-odds of "true" against "false", asked after prompt and label.

    log p(" true") - log p(" false"), any real number; higher = more trusted. `of`: "teacher" or "student", the untuned one. Kadavath et
    al. (2022), zero-shot and without samples to compare with. Of a model whose vocabulary lacks the words there is none: its cells say so.
    Cost: a pass over prompt, label and question.
    """

    def __init__(self, of: Who = "teacher") -> None:
        if of not in get_args(Who):
            raise ValueError(f"of must be 'teacher' or 'student', got {of!r}")
        self.needs: tuple[Need, ...] = (Need(of, "p_true"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return np.array(cast(FloatArray, evidence.read(self.needs[0])), dtype=np.float64)
