"""The share of students who would have given the label too."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_further.annotators.votes import needs_of, readers_of, votes
from w2s_bench_further.unfitted import Unfitted


class Vote(Unfitted):
    """Vote: the share of annotators beside the teacher whose favourite option is the label.

    In [0, 1], few values, ties by the harness; higher = more trusted. `by`: readers joined by +, by default the untuned student and
    students trained on the other folds of the pool. Cost: five students of the suite's steps, and passes over the options.
    """

    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, by: str = "student+student_cv") -> None:
        self._readers = readers_of(by)
        self.needs: tuple[Need, ...] = needs_of(self._readers)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        told = votes(evidence, self._readers)
        return np.asarray((told[:, 1:] == told[:, :1]).mean(axis=1))
