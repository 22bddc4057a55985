"""Diagnostics of any name that a cell carries: numbers from 0 to 1 as columns, lists of numbers as curves, the rest as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from w2s_bench.results.figures import is_rate
from w2s_bench.results.pages.style import significant
from w2s_bench.results.report.facts import written
from w2s_bench.results.seed_results import KEPT_BY, SeedResult
from w2s_bench.types import JSON

#: As many points of a curve as can be told apart.
_MOST_POINTS: Final = 300


@dataclass(frozen=True)
class Curve:
    """A list of numbers that a cell carries, one line a seed, as points of a polyline; `low` and `high` are its bounds."""

    name: str
    low: str
    high: str
    length: int
    lines: tuple[str, ...]


def is_rate_of(seeds: Sequence[SeedResult], name: str) -> bool:
    """Whether a diagnostic is a number from 0 to 1 in all seeds that have it."""
    values = [s.diagnostics[name] for s in seeds if s.diagnostics.get(name) is not None]
    return bool(values) and all(is_rate(value) for value in values)


def _is_curve(value: JSON) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 1
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        and math.isfinite(float(max(value)) - float(min(value)))
    )


def curves(seeds: Sequence[SeedResult]) -> Iterator[Curve]:
    """Every diagnostic that is a list of numbers, in all seeds that have it."""
    for name in dict.fromkeys(n for s in seeds for n in s.diagnostics):
        values = [s.diagnostics[name] for s in seeds if s.diagnostics.get(name) is not None]
        if not values or not all(_is_curve(value) for value in values):
            continue
        low, high = min(min(v) for v in values), max(max(v) for v in values)
        spread = (high - low) or 1.0
        drawn = [value[:: -(-len(value) // _MOST_POINTS)] for value in values]
        lines = (
            " ".join(
                f"{4 + 292 * i / max(len(value) - 1, 1):.1f},{76 - 72 * (v - low) / spread:.1f}"
                for i, v in enumerate(value)
            )
            for value in drawn
        )
        yield Curve(
            name.replace("_", " "), significant(low, 4), significant(high, 4), max(map(len, values)), tuple(lines)
        )


def others(seeds: Sequence[SeedResult], rates: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Diagnostics that no table or curve shows, as the cell has them."""
    for seed in seeds:
        for name, value in seed.diagnostics.items():
            if name in rates or name in KEPT_BY or value is None or _is_curve(value):
                continue
            yield f"{name.replace('_', ' ')}, seed {seed.seed}", written(value)
