"""Cross-model: what the untuned student makes of the label, alone or beside the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.cross_model.acceptance import Acceptance
from w2s_bench_baselines.cross_model.divergence import Divergence
from w2s_bench_baselines.cross_model.product_of_experts import ProductOfExperts
from w2s_bench_baselines.cross_model.size_contrast import SizeContrast
from w2s_bench_baselines.cross_model.student_agreement import StudentAgreement
from w2s_bench_baselines.cross_model.student_probability import StudentProbability

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "acceptance": Acceptance,
    "divergence": Divergence,
    "product_of_experts": ProductOfExperts,
    "size_contrast": SizeContrast,
    "student_agreement": StudentAgreement,
    "student_probability": StudentProbability,
}
