"""Asked again: what a model answers when it draws, and what it says when it is asked whether the label is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.sampling.p_true import PTrue
from w2s_bench_baselines.sampling.self_consistency import SelfConsistency
from w2s_bench_baselines.sampling.semantic_entropy import SemanticEntropy

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "p_true": PTrue,
    "self_consistency": SelfConsistency,
    "semantic_entropy": SemanticEntropy,
}
