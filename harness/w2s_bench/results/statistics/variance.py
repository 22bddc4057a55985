"""The variance of a mean in two parts, each with its own degrees of freedom: what seeds account for, and what items do.

    half² = max(t²(ν_seeds) · seeds + t²(ν_items) · items, t²(ν_items) · alone)

Three seeds that agree by luck have a small part, but it is multiplied by the quantile that three seeds deserve (Cochran &
Cox 1950, for means of two samples). No interval is narrower than the items alone would make it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench.results.statistics.numbers import Condition, Numbers, divided, either, total
from w2s_bench.results.statistics.student import p_alone, p_of_sum, quantile

LEVEL = 0.95


@dataclass(frozen=True)
class Variance:
    """`seeds` and `items` add up; `alone` is what the items' own spread gives. `seeds` is 0 where there is one seed."""

    seeds: Numbers
    items: Numbers
    alone: Numbers
    seeds_df: Numbers
    items_df: Numbers

    def half_width(self, level: float = LEVEL) -> Numbers:
        """Half of the interval of that level."""
        tail = (1 - level) / 2
        seeds, items = quantile(self.seeds_df, tail), quantile(self.items_df, tail)
        return np.sqrt(np.maximum(seeds**2 * self.seeds + items**2 * self.items, items**2 * self.alone))

    def p_value(self, value: Numbers) -> Numbers:
        """Two-sided p of "the mean is 0": that of the widest interval which just reaches it; 1 where all is 0 (equal arms).

        NaN where nothing varies and the mean is not 0: there is no noise to hold it against, which is no proof.
        """
        of_parts = p_of_sum(value, self.seeds, self.seeds_df, self.items, self.items_df)
        of_items = p_alone(value, self.alone, self.items_df)
        return either(value == 0, 1.0, either(self.nothing, np.nan, np.maximum(of_parts, of_items)))

    @property
    def nothing(self) -> Condition:
        """Whether no seed and no item differs from another."""
        still: Condition = np.maximum(self.seeds + self.items, self.alone) == 0
        return still

    def times(self, factor: Numbers) -> Variance:
        """That of a mean √factor times as large."""
        return Variance(self.seeds * factor, self.items * factor, self.alone * factor, self.seeds_df, self.items_df)

    def where(self, condition: Condition, other: Variance) -> Variance:
        """This where the condition holds, and the other elsewhere."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Variance(*(either(condition, own, others) for own, others in pairs))

    @property
    def df(self) -> Numbers:
        """Satterthwaite's degrees of freedom of the whole: near S − 1 where seeds are most of it. To read, not to test with."""
        items = np.maximum(self.items, self.alone - self.seeds)
        whole = divided((self.seeds + items) ** 2, self.seeds**2 / self.seeds_df + items**2 / self.items_df)
        return either(self.seeds == 0, self.items_df, whole)


def of_sum(variances: Sequence[Variance]) -> Variance:
    """That of a sum of independent means; degrees of freedom are Satterthwaite's, part by part."""
    return Variance(
        total([v.seeds for v in variances]),
        total([v.items for v in variances]),
        total([v.alone for v in variances]),
        _together([(v.seeds, v.seeds_df) for v in variances]),
        _together([(v.alone, v.items_df) for v in variances]),
    )


def _together(parts: Sequence[tuple[Numbers, Numbers]]) -> Numbers:
    """(variance, df) of independent parts → degrees of freedom of their sum; the fewest where all variances are 0."""
    squares = total([v**2 / df for v, df in parts])
    fewest = min(float(np.min(df)) for _, df in parts)
    return either(squares > 0, divided(total([v for v, _ in parts]) ** 2, squares), fewest)
