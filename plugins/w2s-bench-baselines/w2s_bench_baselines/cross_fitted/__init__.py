"""Cross-fitted: what students say of labels that they were not trained on; each was trained on the other folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.cross_fitted.confident_learning import ConfidentLearning
from w2s_bench_baselines.cross_fitted.crossfit_stack import CrossfitStack
from w2s_bench_baselines.cross_fitted.crossfit_student import CrossfitStudent
from w2s_bench_baselines.cross_fitted.crossfit_student_gold import CrossfitStudentGold
from w2s_bench_baselines.cross_fitted.crossfit_verifier import CrossfitVerifier

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "confident_learning": ConfidentLearning,
    "crossfit_stack": CrossfitStack,
    "crossfit_student": CrossfitStudent,
    "crossfit_student_gold": CrossfitStudentGold,
    "crossfit_verifier": CrossfitVerifier,
}
