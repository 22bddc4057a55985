"""Confidence: how sure a model is of the label by its own probabilities. Learns from nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.confidence.confidence import Confidence

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"confidence": Confidence}
