"""Influence: what a label is worth to whoever learns from the pool, by the trust set."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.influence.knn_shapley import KnnShapley

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"knn_shapley": KnnShapley}

__all__ = ["FUNCTIONS", "KnnShapley"]
