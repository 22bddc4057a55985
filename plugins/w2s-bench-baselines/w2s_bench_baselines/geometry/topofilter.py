"""Whether a label lies in the bulk of its class."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, IntArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.geometry.reading import Place, State
from w2s_bench_baselines.states import centred, count_of, label_classes, neighbours
from w2s_bench_baselines.unfitted import Unfitted


class Topofilter(Unfitted):
    """TopoFilter: whether a label lies in the largest connected piece of its class, and how deep.

    Rows of one label text are joined where either is among the `k` nearest neighbours of the other; a class's core is its
    largest connected piece (all of them, where several are largest). Score: 1 for the core, plus the share of the k nearest
    that are core of the same class; in [0, 2], higher = more trusted. The paper keeps the core's rows whose share passes a
    threshold; here the suite's coverage is that. States as in `knn_agreement`. Cost: a pass of the reader over the prompts; n²
    distances. Wu et al. (2020).
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, k: int = 10, of: Reader = "student", layer: int | None = None, state: State = "prompt") -> None:
        self.k, self.place = count_of("k", k), Place(of, state, layer)
        self.needs: tuple[Need, ...] = (self.place.need,)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        nearest = neighbours(centred(self.place.read(evidence)), self.k)[1]
        classes = label_classes(evidence)
        core = cores(nearest, classes)
        if nearest.shape[1] == 0:
            return core.astype(np.float64)
        inside = (classes[nearest] == classes[:, None]) & core[nearest]
        return np.asarray(core + inside.mean(axis=1))


def cores(nearest: IntArray, classes: IntArray) -> BoolArray:
    """(n,) whether a row is of the largest connected piece of its class, in the graph of (n, k) nearest rows."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n, k = nearest.shape
    begin, end = np.repeat(np.arange(n), k), nearest.ravel()
    same = classes[begin] == classes[end]
    graph = coo_matrix((np.ones(int(same.sum())), (begin[same], end[same])), shape=(n, n))
    pieces = connected_components(graph, directed=False)[1]
    size = np.bincount(pieces)[pieces]
    largest = np.zeros(int(classes.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(largest, classes, size)
    return np.asarray(size == largest[classes])
