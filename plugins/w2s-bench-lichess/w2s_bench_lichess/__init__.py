"""Lichess puzzles as domains: the first move of the solution, chosen among legal moves or written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import Domain, hookimpl
from w2s_bench_lichess.domain import move, puzzles


@hookimpl
def w2s_domains() -> Mapping[str, Callable[..., Domain]]:
    return {"puzzles": puzzles, "move": move}
