"""The trust functions that every new one is measured against: a package a family, a file a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction, hookimpl
from w2s_bench_baselines import (
    combined,
    confidence,
    consistency,
    cross_fitted,
    cross_model,
    dynamics,
    geometry,
    learned,
    sampling,
    verifiers,
    weak_to_strong,
)

FAMILIES = (
    combined,
    confidence,
    consistency,
    cross_fitted,
    cross_model,
    dynamics,
    geometry,
    learned,
    sampling,
    verifiers,
    weak_to_strong,
)


@hookimpl
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:
    return {name: factory for family in FAMILIES for name, factory in family.FUNCTIONS.items()}
