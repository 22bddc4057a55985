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

from w2s_bench.results.statistics.variance import Variance
from w2s_bench.types import BoolArray, FloatArray, IntArray

#: What is left of equal terms that cancel is rounding, not variance.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Form:
    """A quadratic form of two contrasts x and y: mean squares of x, of y and their mean product."""

    xx: float
    xy: float
    yy: float

    def square(self, x: float, y: float) -> float:
        """Of the contrast x · x + y · y."""
        own, others = x * x * self.xx, y * y * self.yy
        square = own + 2 * x * y * self.xy + others
        return square if square > _ROUNDING * (own + others) else 0.0


@dataclass(frozen=True)
class Table:
    """Means and mean squares of a numerator and a denominator contrast.

    `items_df` is the clusters' own: the number of equal clusters that would weigh as much, less 1.
    """

    numerator: float
    denominator: float
    seed: Form
    item: Form
    rest: Form
    seeds: int
    items: int
    clusters: int
    items_df: float

    @classmethod
    def of(
        cls,
        a: BoolArray | IntArray,
        b: BoolArray | IntArray,
        c: BoolArray,
        d: BoolArray,
        clusters: IntArray | None = None,
    ) -> Table:
        """Numerator a − b over denominator c − d, each (S, I); a and b may be sums of several arms' correctness.

        `clusters` (I,) has one id an item, or all are their own.
        """
        shapes = {np.shape(m) for m in (a, b, c, d)}
        shape = next(iter(shapes))
        if len(shapes) > 1 or len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
            got = ", ".join(sorted(map(str, shapes)))
            raise ValueError(f"expected correctness of one shape (seeds ≥ 1, items ≥ 2); got {got}")
        first, second, third, fourth = (np.asarray(m, dtype=np.float64) for m in (a, b, c, d))
        z = np.stack([first - second, third - fourth])  # (2, S, I)
        mean = z.mean(axis=(1, 2))
        scores, weight = _scores(z, mean, clusters)
        seeds, units = scores.shape[1:]
        by_seed = scores.mean(axis=2) - mean[:, None]  # (2, S)
        by_unit = scores.mean(axis=1) - mean[:, None]  # (2, C)
        rest = (scores - mean[:, None, None] - by_seed[:, :, None] - by_unit[:, None, :]).reshape(2, -1)
        return cls(
            numerator=float(mean[0]),
            denominator=float(mean[1]),
            seed=_form(units * by_seed @ by_seed.T / max(seeds - 1, 1)),
            item=_form(seeds * by_unit @ by_unit.T / (units - 1)),
            rest=_form(rest @ rest.T / max((seeds - 1) * (units - 1), 1)),
            seeds=seeds,
            items=shape[1],
            clusters=units,
            items_df=max(weight - 1.0, 1.0),
        )

    def variance(self, numerator: float, denominator: float) -> Variance:
        """Of the mean of numerator · x + denominator · y."""
        item = self.item.square(numerator, denominator)
        if self.seeds == 1:
            alone = item / self.clusters
            return Variance(0.0, alone, alone, 0.0, self.items_df)
        seed, rest = self.seed.square(numerator, denominator), self.rest.square(numerator, denominator)
        cells = self.seeds * self.clusters
        return Variance(seed / cells, max(item - rest, 0.0) / cells, item / cells, self.seeds - 1.0, self.items_df)


def _scores(z: FloatArray, mean: FloatArray, clusters: IntArray | None) -> tuple[FloatArray, float]:
    """Scores (2, S, C) of the clusters, and the number of equal clusters that would weigh as much."""
    items = z.shape[2]
    if clusters is None:
        return z, float(items)
    ids = np.asarray(clusters)
    if ids.shape != (items,):
        raise ValueError(f"expected one cluster an item, shape ({items},); got {ids.shape}")
    _, codes, sizes = np.unique(ids, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError(f"all {items} items are of one cluster; nothing can be said of others")
    if len(sizes) == items:
        return z, float(items)
    starts = np.cumsum(sizes) - sizes
    sums = np.add.reduceat((z - mean[:, None, None])[:, :, np.argsort(codes, kind="stable")], starts, axis=2)
    return mean[:, None, None] + len(sizes) / items * sums, float(items**2 / (sizes.astype(np.float64) ** 2).sum())


def _form(m: FloatArray) -> Form:
    return Form(float(m[0, 0]), float(m[0, 1]), float(m[1, 1]))
