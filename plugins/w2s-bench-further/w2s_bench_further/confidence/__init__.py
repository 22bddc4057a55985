"""Confidence: how sure a model is of the label by its own probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.confidence.icl_confidence import IclConfidence
from w2s_bench_further.confidence.p_true import PTrue
from w2s_bench_further.confidence.pmi import Pmi
from w2s_bench_further.confidence.token_entropy import TokenEntropy

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "icl_confidence": IclConfidence,
    "p_true": PTrue,
    "pmi": Pmi,
    "token_entropy": TokenEntropy,
}

__all__ = ["FUNCTIONS", "IclConfidence", "PTrue", "Pmi", "TokenEntropy"]
