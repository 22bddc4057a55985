"""Trust functions beside those that come with the harness: a package a family, a file a function; and an objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import Objective, TrustFunction, hookimpl
from w2s_bench_further import (
    annotators,
    calibrated,
    confidence,
    dynamics,
    ensembles,
    gradients,
    influence,
    objectives,
    sampling,
    weak_to_strong,
)

FAMILIES = (annotators, calibrated, confidence, dynamics, ensembles, gradients, influence, sampling, weak_to_strong)


@hookimpl
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:
    return {name: factory for family in FAMILIES for name, factory in family.FUNCTIONS.items()}


@hookimpl
def w2s_objectives() -> Mapping[str, Callable[..., Objective]]:
    return objectives.OBJECTIVES
