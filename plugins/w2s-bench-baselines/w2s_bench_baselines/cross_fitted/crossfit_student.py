"""Students that learned from the other labels of the pool read this one."""

from __future__ import annotations

from typing import ClassVar

from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Reader, Scope, Supervision
from w2s_bench_baselines.cross_fitted.said import MEASURES, Measure, needs_of, said
from w2s_bench_baselines.likelihood import one_of


class CrossfitStudent:
    """How likely the label is to a student that was trained on the weak labels of the other folds of the pool.

    Choice: p(label) / sum p(option), in [0, 1]; with `measure` "margin" p(label) - max p(other option), in [-1, 1]. Generate: the
    mean ("margin": the least) log-probability of the label's tokens, nats, at most 0. Higher = more trusted. What labels have in
    common a student learns, what is wrong by chance it does not; what the teacher gets wrong systematically it learns too. A
    held-out loss, as in co-teaching (Han et al. 2018) and confident learning (Northcutt et al. 2021). Cost: five students, each
    of the suite's steps, without gold; each reads its own fold.
    """

    of: ClassVar[Reader] = "student_cv"
    supervision: Supervision = "none"
    scope: Scope = "row"

    def __init__(self, measure: Measure = "probability") -> None:
        one_of("measure", measure, MEASURES)
        self.measure: Measure = measure
        self.needs: tuple[Need, ...] = needs_of(self.of)

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing to learn here: the harness trains the students."""

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return said(evidence, self.of, self.measure)
