"""Chains on the page: by generation, beside the one hop, as the board has them."""

from __future__ import annotations

from dataclasses import dataclass

from w2s_bench.results.board import DomainChains, Entry, Leaderboard
from w2s_bench.results.pages.style import NONE, difference, figure, learner, number, p_value
from w2s_bench.results.statistics import Estimate, Ratio


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
        minus = (_tested(chain.minus_one_hop), _tested(chain.minus_naive))
        lines.append((chain.arm, (_reached(chain.one_hop), *map(_reached, chain.generations), *minus)))
    heads = ("one hop", *named, "chain − one hop", "chain − naive chain")
    return ChainTable(domain.domain, f"{' → '.join(domain.ladder)}; {pool}", heads, tuple(lines))


def _reached(entry: Entry | None) -> str:
    if entry is None or entry.accuracy is None:
        return NONE
    lacking = f" ({len(entry.seeds)} of {entry.of_seeds} seeds)" if len(entry.seeds) < entry.of_seeds else ""
    return f"{number(entry.accuracy.value, 3)}, PGR {figure(entry.pgr)}{lacking}"


def _tested(ratio: Ratio | None) -> str:
    """A paired difference with its p, as text."""
    told = difference(ratio)
    if isinstance(ratio, Estimate) and ratio.adjusted is not None:
        return f"{told} {p_value(ratio.adjusted)}"
    return told
