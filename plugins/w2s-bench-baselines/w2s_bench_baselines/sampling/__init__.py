"""Asked again: what a model answers when it draws, and in how many ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.sampling.self_consistency import SelfConsistency
from w2s_bench_baselines.sampling.semantic_entropy import SemanticEntropy

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "self_consistency": SelfConsistency,
    "semantic_entropy": SemanticEntropy,
}
