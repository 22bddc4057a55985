"""How far a row lies from the middle of its label's class, against how far from the middle of all."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.geometry.gaussian import squared_distances
from w2s_bench_baselines.geometry.reading import Place, State
from w2s_bench_baselines.states import count_of, label_classes
from w2s_bench_baselines.unfitted import Unfitted


class RelativeMahalanobis(Unfitted):
    """How much nearer a row lies to its label's class than to all rows: what is odd about it altogether is taken out.

    The squared Mahalanobis distance to the mean of all rows, with the covariance of all, minus that to the row's class, as in
    `mahalanobis`; any sign, higher = more trusted. `shrinkage` and `least` as there; `of`, `layer` and `state`, the prompt's end, as
    of `knn_agreement`. Cost: a pass of the reader over the prompts. Ren et al. (2021).
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(
        self,
        of: Reader = "student",
        layer: int | None = None,
        shrinkage: float = 0.1,
        least: int = 10,
        state: State = "prompt",
    ) -> None:
        if not 0 < shrinkage <= 1:
            raise ValueError(f"shrinkage must lie in (0, 1], got {shrinkage!r}")
        self.place, self.shrinkage, self.least = Place(of, state, layer), shrinkage, count_of("least", least)
        self.needs: tuple[Need, ...] = (self.place.need,)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        states = self.place.read(evidence)
        everything = squared_distances(states, np.zeros(len(states), dtype=np.int64), self.shrinkage)
        return everything - squared_distances(states, label_classes(evidence, self.least), self.shrinkage)
