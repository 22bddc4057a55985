"""Weak to strong: scores that were made for training on a weak teacher's labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.weak_to_strong.ccs_agreement import CcsAgreement
from w2s_bench_further.weak_to_strong.overlap_mixture import OverlapMixture

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "ccs_agreement": CcsAgreement,
    "overlap_mixture": OverlapMixture,
}

__all__ = ["FUNCTIONS", "CcsAgreement", "OverlapMixture"]
