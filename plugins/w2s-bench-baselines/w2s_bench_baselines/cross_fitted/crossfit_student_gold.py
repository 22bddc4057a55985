"""Students that learned from the other labels of the pool and from gold read this one."""

from __future__ import annotations

from typing import ClassVar

from w2s_bench import Reader, Supervision
from w2s_bench_baselines.cross_fitted.crossfit_student import CrossfitStudent


class CrossfitStudentGold(CrossfitStudent):
    """How likely the label is to a student trained on the trust set's gold and the weak labels of the other folds of the pool.

    Scale and `measure` as of `crossfit_student`; higher = more trusted. Gold and weak labels have a like share of every batch, as
    in the control `naive_plus_gold`. Next to `verifier`, which has the gold alone, it has seen many more questions. Cost: five
    students, each of the suite's steps; each reads its own fold.
    """

    of: ClassVar[Reader] = "student_gold_cv"
    supervision: Supervision = "trust_set"
