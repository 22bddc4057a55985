"""The two-way table of a contrast: seeds × clusters of items.

A contrast z (S, I) that is linear in correctness is modelled by two-way random effects, z_sc = μ + a_s + b_c + e_sc. Items
of one cluster are first made one score, y_sc = μ̂ + (C / I) Σ_{i in c} (z_si − μ̂), whose mean over the table is μ̂ whatever
the clusters' sizes (linearised, as in Liang & Zeger 1986). The mean's variance is the sum of two parts,

    seeds: MS_seed / (S · C), on S − 1 degrees of freedom      items: max(MS_cluster − MS_rest, 0) / (S · C)

and is never less than `alone`, MS_cluster / (S · C). With S = 1 items alone count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from w2s_bench.results.statistics.counts import Contrast, Counts
from w2s_bench.results.statistics.numbers import Numbers, either
from w2s_bench.results.statistics.variance import Variance
from w2s_bench.types import BoolArray, IntArray

#: What is left of equal terms that cancel is rounding, not variance.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Form:
    """A quadratic form of two contrasts x and y: mean squares of x, of y and their mean product."""

    xx: Numbers
    xy: Numbers
    yy: Numbers

    def square(self, x: Numbers, y: Numbers) -> Numbers:
        """Of the contrast x · x + y · y."""
        own, others = x * x * self.xx, y * y * self.yy
        square = own + 2 * x * y * self.xy + others
        return either(square > _ROUNDING * (own + others), square, 0.0)


@dataclass(frozen=True)
class Table:
    """Means and mean squares of a numerator and a denominator contrast, or of many numerators (arrays) over one denominator.

    `items_df` is the clusters' own: the number of equal clusters that would weigh as much, less 1.
    """

    numerator: Numbers
    denominator: Numbers
    seed: Form
    item: Form
    rest: Form
    seeds: int
    items: int
    clusters: int
    items_df: float

    @classmethod
    def of(cls, a: BoolArray, b: BoolArray, c: BoolArray, d: BoolArray, clusters: IntArray | None = None) -> Table:
        """Numerator a − b over denominator c − d, each (S, I); `clusters` (I,) has one id an item, or all are their own."""
        return cls.of_counts(Counts.of((a, b, c, d), clusters), ((1, 0), (-1, 1)), ((1, 2), (-1, 3)))

    @classmethod
    def of_counts(cls, counts: Counts, numerator: Contrast, denominator: Contrast) -> Table:
        """Of two contrasts of the arms counted.

        With y − μ̂ = (C / I) (u_sc − n_c μ̂) for u_sc right of n_c items, all sums of squares are whole numbers times
        C / (S I²), so that nothing is left where terms cancel.
        """
        s, c, i = counts.seeds, counts.clusters, counts.items
        scale = c / (s * i**2)
        forms: dict[str, list[Numbers]] = {"seed": [], "item": [], "rest": []}
        for x, y in ((numerator, numerator), (numerator, denominator), (denominator, denominator)):
            right = counts.right(x) * counts.right(y)
            weighted = counts.right(x) * counts.weighted(y) + counts.weighted(x) * counts.right(y)
            of_seeds = s * counts.by_seed(x, y) - right
            of_items = i * i * counts.by_cluster(x, y) - i * weighted + counts.squared_sizes * right
            of_cells = c * (s * counts.by_cell(x, y) - counts.by_cluster(x, y)) - of_seeds
            forms["seed"].append(scale * of_seeds / max(s - 1, 1))
            forms["item"].append(scale * c / i**2 * of_items / (c - 1))
            forms["rest"].append(scale * of_cells / max((s - 1) * (c - 1), 1))
        return cls(
            numerator=counts.right(numerator) / (s * i),
            denominator=counts.right(denominator) / (s * i),
            **{name: Form(*form) for name, form in forms.items()},
            seeds=s,
            items=i,
            clusters=c,
            items_df=max(i**2 / counts.squared_sizes - 1.0, 1.0),
        )

    def variance(self, numerator: Numbers, denominator: Numbers) -> Variance:
        """Of the mean of numerator · x + denominator · y."""
        return self._variance(*(form.square(numerator, denominator) for form in (self.seed, self.item, self.rest)))

    @property
    def gap_variance(self) -> Variance:
        """Of the mean of y: one, however many numerators stand over it."""
        return self._variance(self.seed.yy, self.item.yy, self.rest.yy)

    def _variance(self, seed: Numbers, item: Numbers, rest: Numbers) -> Variance:
        """Of mean squares."""
        cells = self.seeds * self.clusters
        if self.seeds == 1:
            return Variance(0.0, item / cells, item / cells, 1.0, self.items_df)
        items = np.maximum(item - rest, 0.0)
        return Variance(seed / cells, items / cells, item / cells, self.seeds - 1.0, self.items_df)
