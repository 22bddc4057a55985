"""Trust functions that look a chess move up: legality, shallow search, and an engine over UCI."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction, hookimpl
from w2s_bench_chess_verifiers import verifiers


@hookimpl
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:
    return verifiers.FUNCTIONS
