"""A figure with its interval, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from w2s_bench.results.statistics.numbers import Numbers
from w2s_bench.results.statistics.variance import LEVEL, Variance


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `p` two-sided, of "it is 0", for differences alone, and None of one that `nothing_varies`.

    `seeds` = 1 says that the interval is over test items alone and knows nothing of other seeds. `df` says what it rests on:
    about seeds − 1 where seeds are most of the noise, in the hundreds where items are. `adjusted` is p after Holm's
    correction for all differences of its table, where it stands in one.
    """

    value: float
    low: float
    high: float
    df: float
    seeds: int
    items: int
    p: float | None = None
    variance: Variance | None = None
    adjusted: float | None = None

    @property
    def nothing_varies(self) -> bool:
        """Whether it is the same number, not 0, in every seed and item: its interval is a point, and there is nothing to test by."""
        return self.value != 0 and self.variance is not None and bool(self.variance.nothing)

    @property
    def holds(self) -> bool:
        """Whether it is no 0 even when all differences of its table are tested."""
        return self.adjusted is not None and self.adjusted < 1 - LEVEL


@dataclass(frozen=True)
class Unresolved:
    """No figure: the denominator's own 95 % interval reaches 0 or lies below it, so the ratio would mean nothing.

    `brief` is what a table shows in its place; the leaderboard also uses this where cells are missing.
    """

    reason: str
    brief: str = "gap unresolved"


Ratio = Estimate | Unresolved


@dataclass(frozen=True)
class Figures:
    """One figure or, as arrays (contrasts,), many of them on the same seeds and items: what an `Estimate` is made from."""

    value: Numbers
    low: Numbers
    high: Numbers
    variance: Variance
    seeds: int
    items: int
    p: Numbers | None = None

    def one(self) -> Estimate:
        """The estimate, where there is one."""
        return self._estimate(*map(float, self._columns()))

    def each(self) -> list[Estimate]:
        """An estimate a contrast."""
        columns = [column.tolist() for column in np.broadcast_arrays(*self._columns())]
        return [self._estimate(*row) for row in zip(*columns, strict=True)]

    def _columns(self) -> list[Numbers]:
        v = self.variance
        tested = () if self.p is None else (self.p,)
        return [self.value, self.low, self.high, v.df, v.seeds, v.items, v.alone, v.seeds_df, v.items_df, *tested]

    def _estimate(self, value: float, low: float, high: float, df: float, *rest: float) -> Estimate:
        p = None if self.p is None or np.isnan(rest[5]) else rest[5]
        return Estimate(value, low, high, df, self.seeds, self.items, p, Variance(*rest[:5]))
