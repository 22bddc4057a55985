"""Confident learning by cleanlab: its label quality scores as a trust function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction, hookimpl
from w2s_bench_cleanlab.quality import Cleanlab

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"cleanlab": Cleanlab}


@hookimpl
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:
    return FUNCTIONS
