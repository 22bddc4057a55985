"""Verifiers: chess moves judged by rules and search."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_chess_verifiers.verifiers.legal_move import LegalMove
from w2s_bench_chess_verifiers.verifiers.shallow_search import ShallowSearch
from w2s_bench_chess_verifiers.verifiers.uci_engine import UciEngine

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "legal_move": LegalMove,
    "shallow_search": ShallowSearch,
    "uci_engine": UciEngine,
}

__all__ = ["FUNCTIONS", "LegalMove", "ShallowSearch", "UciEngine"]
