"""Chains on the page: by generation, beside the one hop, as the board has them."""

from __future__ import annotations

from dataclasses import dataclass

from w2s_bench.results.board import DomainChains, Leaderboard
from w2s_bench.results.pages.chain_tables import reached, tested
from w2s_bench.results.pages.style import learner


@dataclass(frozen=True)
class ChainTable:
    """One domain's chains: who teaches whom, and of each arm the figures under `heads`."""

    domain: str
    ladder: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]


def chain_tables(board: Leaderboard) -> tuple[ChainTable, ...]:
    return tuple(_table(domain) for domain in board.chains)


def _table(domain: DomainChains) -> ChainTable:
    named = (f"generation {at}: {learner(name)}" for at, name in enumerate(domain.students, 1))
    pool = "a part of the pool for each generation" if domain.pool == "fresh" else "the whole pool for every generation"
    lines = []
    for chain in domain.arms:
        minus = (tested(chain.minus_one_hop), tested(chain.minus_naive))
        each = (reached(entry, "PGR ") for entry in (chain.one_hop, *chain.generations))
        lines.append((chain.arm, (*each, *minus)))
    heads = ("one hop", *named, "chain − one hop", "chain − naive chain")
    return ChainTable(domain.domain, f"{' → '.join(domain.ladder)}; {pool}", heads, tuple(lines))
