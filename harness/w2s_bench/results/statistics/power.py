"""Where the noise of a paired difference comes from, and how large it would be with other seeds and items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench.results.statistics.table import Table
from w2s_bench.results.statistics.variance import Variance
from w2s_bench.types import BoolArray, IntArray


@dataclass(frozen=True)
class Components:
    """Variances of a paired difference in PGR units: of a seed, of a cluster of items, and of one cluster in one seed.

    An estimate can be negative where there is little to estimate.
    """

    seed: float
    cluster: float
    rest: float

    def variance(self, seeds: int, clusters: float) -> Variance:
        """Of the mean over so many seeds and clusters; a negative component counts as none."""
        seed, cluster, rest = (max(part, 0.0) for part in (self.seed, self.cluster, self.rest))
        within = rest / (seeds * clusters)
        alone = cluster / clusters + within
        if seeds == 1:
            return Variance(0.0, alone, alone, 1.0, clusters - 1.0)
        return Variance(seed / seeds + within, cluster / clusters, alone, seeds - 1.0, clusters - 1.0)


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
