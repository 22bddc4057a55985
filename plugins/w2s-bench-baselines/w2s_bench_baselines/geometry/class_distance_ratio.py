"""Whether the nearest label of another class is farther than the nearest of one's own."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, IntArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.geometry.reading import Place, State
from w2s_bench_baselines.states import ROWS, centred, count_of, label_classes
from w2s_bench_baselines.unfitted import Unfitted


class ClassDistanceRatio(Unfitted):
    """How much nearer the label's own class is than any other: the trust score of Jiang et al. (2018).

    b / (a + b), in [0, 1]: a the distance to the nearest other row of the same label text, b that to the nearest of another; it
    ranks as their b / a. Higher = more trusted; 0 where no other row has the text, ½ where all rows have it. Of each class the
    share `trim` that lies most apart (by distance to the `k`-th nearest of the class) is not looked at as a neighbour. States and
    distances as in `knn_agreement`. Cost: a pass of the reader over the prompts; n² distances.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(
        self,
        k: int = 10,
        trim: float = 0.1,
        of: Reader = "student",
        layer: int | None = None,
        state: State = "prompt",
    ) -> None:
        if not 0 <= trim < 1:
            raise ValueError(f"trim must lie in [0, 1), got {trim!r}")
        self.k, self.trim, self.place = count_of("k", k), trim, Place(of, state, layer)
        self.needs: tuple[Need, ...] = (self.place.need,)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        points = centred(self.place.read(evidence))
        classes = label_classes(evidence)
        seen = np.flatnonzero(~apart_in_class(points, classes, self.k, self.trim))
        scores = np.zeros(len(points))
        for start in range(0, len(points), ROWS):
            rows = np.arange(start, min(start + ROWS, len(points)))
            away = distances_between(points[rows], points[seen])
            away[rows[:, None] == seen[None]] = np.inf
            same = classes[rows, None] == classes[seen][None]
            own = np.where(same, away, np.inf).min(axis=1, initial=np.inf)
            other = np.where(same, np.inf, away).min(axis=1, initial=np.inf)
            scores[rows] = _ratio(own, other)
        return scores


def _ratio(own: FloatArray, other: FloatArray) -> FloatArray:
    ratio = np.full(len(own), 0.5)
    ratio[np.isinf(own)] = 0.0
    both = np.isfinite(own) & np.isfinite(other) & (own + other > 0)
    ratio[both] = other[both] / (own[both] + other[both])
    return ratio


def apart_in_class(points: FloatArray, classes: IntArray, k: int, share: float) -> BoolArray:
    """(n,) the `share` of each class that is farthest from its k-th nearest of the class (the farthest, of small ones)."""
    out = np.zeros(len(points), dtype=np.bool_)
    for one in np.unique(classes):
        rows = np.flatnonzero(classes == one)
        dropped = int(share * len(rows))
        if dropped == 0:
            continue
        reach = min(k, len(rows) - 1)
        radius = np.partition(distances_between(points[rows], points[rows]), reach, axis=1)[:, reach]
        out[rows[np.argsort(radius, kind="stable")[len(rows) - dropped :]]] = True
    return out


def distances_between(a: FloatArray, b: FloatArray) -> FloatArray:
    """(n, m) Euclidean distances of rows."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
