"""Dynamics: how a student's opinion of the weak labels changes as it is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.dynamics.epiplexity import Epiplexity

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"epiplexity": Epiplexity}

__all__ = ["FUNCTIONS", "Epiplexity"]
