"""Where the noise of a paired difference comes from, and how large it would be with other seeds and items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from w2s_bench.results.statistics.numbers import Numbers
from w2s_bench.results.statistics.table import Table
from w2s_bench.results.statistics.variance import Variance, of_sum
from w2s_bench.types import BoolArray, FloatArray, IntArray

#: Draws of mean squares from which `detectable` knows how wide a test's intervals will be.
DRAWS: Final = 4096


@dataclass(frozen=True)
class Components:
    """Variances of a paired difference in PGR units: of a seed, of a cluster of items, and of one cluster in one seed.

    An estimate can be negative where there is little to estimate.
    """

    seed: float
    cluster: float
    rest: float

    def variance(self, seeds: int, clusters: float, *, drawn: Sequence[Numbers] = (1.0, 1.0, 1.0)) -> Variance:
        """Of the mean over so many seeds, two at least, and clusters, as a table of that size estimates it where its mean squares of
        seeds, clusters and the rest are `drawn` times the true ones; a negative component counts as none."""
        seed, cluster, rest = self._parts
        of_seeds = (rest + clusters * seed) * drawn[0]
        of_clusters = (rest + seeds * cluster) * drawn[1]
        items = np.maximum(of_clusters - rest * drawn[2], 0.0)
        cells = seeds * clusters
        return Variance(of_seeds / cells, items / cells, of_clusters / cells, seeds - 1.0, clusters - 1.0)

    def true(self, seeds: int, clusters: float) -> float:
        """The variance of the mean over so many seeds and clusters."""
        seed, cluster, rest = self._parts
        return seed / seeds + cluster / clusters + rest / (seeds * clusters)

    @property
    def _parts(self) -> tuple[float, float, float]:
        return max(self.seed, 0.0), max(self.cluster, 0.0), max(self.rest, 0.0)


def components(
    a: BoolArray, b: BoolArray, weak: BoolArray, ceiling: BoolArray, *, clusters: IntArray | None = None
) -> Components:
    """Of (a − b) / (ceiling − weak), from the two-way table; all (S, I) with S ≥ 2, and a gap that is not 0."""
    table = Table.of(a, b, ceiling, weak, clusters)
    if table.seeds < 2:
        raise ValueError("one seed says nothing of how seeds differ; give two at least")
    value = table.numerator / table.denominator
    seed, item, rest = (
        float(form.square(1.0, -value) / table.denominator**2) for form in (table.seed, table.item, table.rest)
    )
    return Components((seed - rest) / table.clusters, (item - rest) / table.seeds, rest)


def pooled(of_arms: Sequence[Components]) -> Components:
    """The mean of each component. A median would be too small: a variance from few seeds is skewed, mostly below the true one."""
    seed, cluster, rest = (float(np.mean([getattr(c, name) for c in of_arms])) for name in ("seed", "cluster", "rest"))
    return Components(seed, cluster, rest)


def detectable(domains: Sequence[tuple[Components, float]], seeds: int, power: float) -> float:
    """The least true difference of two arms' means over independent domains that the test at level 1 − LEVEL finds with chance `power`.

    `domains`: the noise of each, taken as known, and its number of clusters; `seeds` ≥ 2. The test is not told that noise: it finds it
    in mean squares, which follow χ² and do not hang on the mean. `DRAWS` of these give it as many half widths h, and a true
    difference d, of standard error σ, is found with chance E[Φ((d − h) / σ) + Φ((−d − h) / σ)]. Quantiles of t added up,
    t(.975) + t(power), are no substitute: with three seeds what they promise at .80 is found in .72.
    """
    from scipy.special import ndtr

    if seeds < 2:
        raise ValueError("one seed does not show how much seeds differ; ask of two at least")
    drawn = _mean_squares([(seeds - 1.0, size - 1.0, (seeds - 1.0) * (size - 1.0)) for _, size in domains])
    seen = [parts.variance(seeds, size, drawn=own) for (parts, size), own in zip(domains, drawn, strict=True)]
    half = np.asarray(of_sum(seen).times(len(domains) ** -2).half_width())
    error = math.sqrt(sum(parts.true(seeds, size) for parts, size in domains)) / len(domains)
    if error == 0:
        return 0.0
    low, high = 0.0, float(half.max()) + 6 * error
    for _ in range(50):
        middle = (low + high) / 2
        found = float(np.mean(ndtr((middle - half) / error) + ndtr((-middle - half) / error)))
        low, high = (low, middle) if found >= power else (middle, high)
    return high


def _mean_squares(dfs: Sequence[Sequence[float]]) -> list[list[FloatArray]]:
    """`DRAWS` of χ²(df) / df for each df: the same at every call, and each spread evenly over its distribution."""
    from scipy.special import gammaincinv

    rng, even = np.random.default_rng(0), (np.arange(DRAWS) + 0.5) / DRAWS
    return [[gammaincinv(df / 2, rng.permutation(even)) * 2 / df for df in own] for own in dfs]
