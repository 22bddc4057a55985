"""Asked again: how far apart the answers lie that a model would draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.sampling.eigen_score import EigenScore

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"eigen_score": EigenScore}

__all__ = ["FUNCTIONS", "EigenScore"]
