"""How many items arms have right alone and together, in whole numbers: all that a table of any contrast of them needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench.results.statistics.numbers import Numbers
from w2s_bench.types import BoolArray, FloatArray, IntArray

#: Factors of arms, each named by its place; an array of places (contrasts,) makes as many contrasts of it.
Contrast = Sequence[tuple[int, int | IntArray]]


@dataclass(frozen=True)
class Counts:
    """Of N arms on S seeds and I items in C clusters: n_c items in cluster c, u_sc of them right in seed s.

    `sums` (N,): Σ u; `sums_weighted` (N,): Σ n_c u; sums of products of two arms' (N, N): over seeds of Σ_c u, over clusters
    of Σ_s u, and over cells of u. Floats that hold whole numbers: below 2^53 sums and differences of them are exact.
    """

    sums: FloatArray
    sums_weighted: FloatArray
    of_seeds: FloatArray
    of_clusters: FloatArray
    of_cells: FloatArray
    seeds: int
    items: int
    clusters: int
    squared_sizes: int

    @classmethod
    def of(cls, arms: Sequence[BoolArray], clusters: IntArray | None = None) -> Counts:
        """Of each arm's correctness (S, I); `clusters` (I,) has one id an item, or all are their own."""
        shapes = {np.shape(arm) for arm in arms}
        shape = next(iter(shapes))
        if len(shapes) > 1 or len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
            got = ", ".join(sorted(map(str, shapes)))
            raise ValueError(f"expected correctness of one shape (seeds ≥ 1, items ≥ 2); got {got}")
        u, sizes = _of_clusters(np.array(arms, dtype=np.float64), clusters)  # (N, S, C), (C,)
        by_seed, by_cluster, by_cell = u.sum(axis=2), u.sum(axis=1), u.reshape(len(u), -1)
        return cls(
            sums=by_seed.sum(axis=1),
            sums_weighted=by_cluster @ sizes,
            of_seeds=by_seed @ by_seed.T,
            of_clusters=by_cluster @ by_cluster.T,
            of_cells=by_cell @ by_cell.T,
            seeds=shape[0],
            items=shape[1],
            clusters=len(sizes),
            squared_sizes=int(sizes @ sizes),
        )

    def right(self, x: Contrast) -> Numbers:
        """Σ u of a contrast."""
        return _linear(self.sums, x)

    def weighted(self, x: Contrast) -> Numbers:
        """Σ n_c u of a contrast."""
        return _linear(self.sums_weighted, x)

    def by_seed(self, x: Contrast, y: Contrast) -> Numbers:
        """Σ_s (Σ_c u) (Σ_c v) of two contrasts."""
        return _bilinear(self.of_seeds, x, y)

    def by_cluster(self, x: Contrast, y: Contrast) -> Numbers:
        """Σ_c (Σ_s u) (Σ_s v)."""
        return _bilinear(self.of_clusters, x, y)

    def by_cell(self, x: Contrast, y: Contrast) -> Numbers:
        """Σ_sc u v."""
        return _bilinear(self.of_cells, x, y)


def _linear(values: FloatArray, x: Contrast) -> Numbers:
    one: Numbers = sum(factor * values[at] for factor, at in x)
    return one


def _bilinear(products: FloatArray, x: Contrast, y: Contrast) -> Numbers:
    one: Numbers = sum(a * b * products[i, j] for a, i in x for b, j in y)
    return one


def _of_clusters(correct: FloatArray, clusters: IntArray | None) -> tuple[FloatArray, FloatArray]:
    """(N, S, I) → right of each cluster (N, S, C), and the clusters' sizes (C,)."""
    items = correct.shape[2]
    if clusters is None:
        return correct, np.ones(items)
    ids = np.asarray(clusters)
    if ids.shape != (items,):
        raise ValueError(f"expected one cluster an item, shape ({items},); got {ids.shape}")
    _, codes, sizes = np.unique(ids, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError(f"all {items} items are of one cluster; nothing can be said of others")
    starts = np.cumsum(sizes) - sizes
    right = np.add.reduceat(correct[:, :, np.argsort(codes, kind="stable")], starts, axis=2)
    return right, sizes.astype(np.float64)
