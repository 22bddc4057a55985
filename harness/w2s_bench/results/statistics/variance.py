"""The variance of a mean in two parts, each with its own degrees of freedom: what seeds account for, and what items do.

    half² = max(t²(ν_seeds) · seeds + t²(ν_items) · items, t²(ν_items) · alone)

Three seeds that agree by luck have a small part, but it is multiplied by the quantile that three seeds deserve (Cochran &
Cox 1950, for means of two samples). No interval is narrower than the items alone would make it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEVEL = 0.95
_LEAST_P = 1e-30


@dataclass(frozen=True)
class Variance:
    """`seeds` and `items` add up; `alone` is what the items' own spread gives. `seeds_df` is 0 where there is one seed."""

    seeds: float
    items: float
    alone: float
    seeds_df: float
    items_df: float

    def half_width(self, level: float = LEVEL) -> float:
        """Half of the interval of that level."""
        return math.sqrt(self._squared((1 - level) / 2))

    def p_value(self, value: float) -> float:
        """Two-sided p of "the mean is 0": that of the widest interval which just reaches it; 1 where all is 0 (equal arms)."""
        if self.seeds == self.items == self.alone == 0:
            return 1.0 if value == 0 else 0.0
        # The quantile falls as p grows, so halving the range of log p finds where the interval ends at 0.
        low, high = math.log(_LEAST_P), 0.0
        for _ in range(60):
            middle = (low + high) / 2
            if self._squared(math.exp(middle) / 2) > value * value:
                low = middle
            else:
                high = middle
        return math.exp((low + high) / 2) if high < 0 else 1.0

    def detectable(self, power: float) -> float:
        """The least true difference that the test at level 1 − LEVEL finds so often."""
        tail = (1 - LEVEL) / 2

        def both(df: float) -> float:
            return (_quantile(df, tail) + _quantile(df, 1 - power)) ** 2

        seeds = both(self.seeds_df) * self.seeds if self.seeds else 0.0
        return math.sqrt(max(seeds + both(self.items_df) * self.items, both(self.items_df) * self.alone))

    def times(self, factor: float) -> Variance:
        """That of a mean √factor times as large."""
        return Variance(self.seeds * factor, self.items * factor, self.alone * factor, self.seeds_df, self.items_df)

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom of the whole: near S − 1 where seeds are most of it. To read, not to test with."""
        if not self.seeds:
            return self.items_df
        items = max(self.items, self.alone - self.seeds)
        return (self.seeds + items) ** 2 / (self.seeds**2 / self.seeds_df + items**2 / self.items_df)

    def _squared(self, tail: float) -> float:
        """The square of the half width of the interval that leaves `tail` on either side."""
        items = _quantile(self.items_df, tail) ** 2
        seeds = _quantile(self.seeds_df, tail) ** 2 * self.seeds if self.seeds else 0.0
        return max(seeds + items * self.items, items * self.alone)


def of_sum(variances: Sequence[Variance]) -> Variance:
    """That of a sum of independent means; degrees of freedom are Satterthwaite's, part by part."""
    return Variance(
        math.fsum(v.seeds for v in variances),
        math.fsum(v.items for v in variances),
        math.fsum(v.alone for v in variances),
        _together([(v.seeds, v.seeds_df) for v in variances]),
        _together([(v.alone, v.items_df) for v in variances]),
    )


def _together(parts: Sequence[tuple[float, float]]) -> float:
    """(variance, df) of independent parts → degrees of freedom of their sum."""
    total = math.fsum(v for v, _ in parts)
    squares = math.fsum(v**2 / df for v, df in parts if v)
    return total**2 / squares if squares > 0 else min(df for _, df in parts)


def _quantile(df: float, tail: float) -> float:
    """What Student's t exceeds with chance `tail`. `scipy.stats.t` calls this after a hundred times as long."""
    return -float(_stdtrit()(df, tail))


@functools.cache
def _stdtrit() -> Callable[[float, float], float]:
    """Imported once: a board asks a hundred thousand times, and looking for what is imported costs more than the quantile."""
    from scipy.special import stdtrit

    quantile: Callable[[float, float], float] = stdtrit
    return quantile
