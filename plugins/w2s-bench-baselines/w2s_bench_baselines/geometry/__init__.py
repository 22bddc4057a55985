"""Geometry: where the label lies among the others, in the hidden states of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.geometry.class_distance_ratio import ClassDistanceRatio
from w2s_bench_baselines.geometry.density import Density
from w2s_bench_baselines.geometry.fine import Fine
from w2s_bench_baselines.geometry.intrinsic_dimension import IntrinsicDimension
from w2s_bench_baselines.geometry.knn_agreement import KnnAgreement
from w2s_bench_baselines.geometry.mahalanobis import Mahalanobis
from w2s_bench_baselines.geometry.relative_mahalanobis import RelativeMahalanobis
from w2s_bench_baselines.geometry.topofilter import Topofilter

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "class_distance_ratio": ClassDistanceRatio,
    "density": Density,
    "fine": Fine,
    "intrinsic_dimension": IntrinsicDimension,
    "knn_agreement": KnnAgreement,
    "mahalanobis": Mahalanobis,
    "relative_mahalanobis": RelativeMahalanobis,
    "topofilter": Topofilter,
}
