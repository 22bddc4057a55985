"""Boards of one suite that differ in one number alone, side by side: coverage, or how much gold of the trust set is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from types import MappingProxyType
from typing import Final, Literal

from w2s_bench.controls import BASE, NAIVE, ORACLE, facts_of
from w2s_bench.results.board import Leaderboard, Row
from w2s_bench.results.folding import first_rows
from w2s_bench.results.statistics import Estimate
from w2s_bench.suite import Suite

About = Literal["gold_budget", "coverage"]


@dataclass(frozen=True)
class Point:
    """One board of a curve: at which coverage, or at how many gold labels of each trust set; `told` where a number does not say it."""

    at: float
    board: Leaderboard
    folder: str
    told: str = ""

    @property
    def words(self) -> str:
        """The number as people read it."""
        return self.told or f"{self.at:g}"

    def row(self, arm: str) -> Row | None:
        return next((row for row in self.board.rows if row.arm == arm), None)


@dataclass(frozen=True)
class Curve:
    """Two points or more, from the smallest number to the largest.

    `arms` are those whose rows, or trust functions, the number changes, in the order of the suite's own board; `flat` are
    controls that it leaves as they are, and the best trust function that has no part in it.
    """

    about: About
    points: tuple[Point, ...]
    arms: tuple[str, ...]
    flat: tuple[str, ...]
    own: Leaderboard

    @property
    def base(self) -> float | None:
        """Where the untuned student lies on the scale: its mean PGR over the domains that enter means; None where one lacks it."""
        entries = [d.references.get(BASE) for d in self.own.domains if not d.left_out]
        values = [entry.pgr.value for entry in entries if entry and isinstance(entry.pgr, Estimate)]
        return fsum(values) / len(values) if values and len(values) == len(entries) else None

    def row_of(self, arm: str) -> Row:
        """The row of an arm on the suite's own board, one of another selection too."""
        return next(row for row in (*self.own.rows, *self.own.other_selections) if row.arm == arm)


def _learns_from_gold(row: Row) -> bool:
    return facts_of(row.arm).with_trust_set or (row.track in ("trust_set", "privileged") and not row.is_control)


def _keeps_a_share(row: Row) -> bool:
    of_pool = facts_of(row.arm).of_pool
    return of_pool is not None and of_pool.share == "coverage"


_CHANGES: Final[Mapping[About, Callable[[Row], bool]]] = MappingProxyType(
    {"gold_budget": _learns_from_gold, "coverage": _keeps_a_share}
)


def curve(about: About, suite: Suite, own: Leaderboard, points: Sequence[Point]) -> Curve:
    """The curve of a suite's `own` board and of its other `points`."""
    sizes = sorted({suite.as_met(domain).sizes.trust for domain in suite.domains})
    at = suite.coverage if about == "coverage" else sizes[-1]
    whole = f"all {'–'.join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))}"
    itself = Point(at, own, "../", whole if about == "gold_budget" and suite.gold_budget is None else "")
    shown, changes = first_rows(own.rows), _CHANGES[about]
    outside = [row for row in shown if not row.is_control and not changes(row) and row.track == "none"]
    best = next((row.arm for row in outside if row.rank == 1), None)
    named = {row.arm: row for row in shown}
    flat = [arm for arm in (NAIVE, best, ORACLE) if arm is not None and arm in named and not changes(named[arm])]
    flat += [row.arm for row in shown if about == "coverage" and facts_of(row.arm).with_trust_set]
    return Curve(
        about,
        tuple(sorted([*points, itself], key=lambda point: point.at)),
        tuple(row.arm for row in shown if changes(row)),
        tuple(flat),
        own,
    )
