"""How far a label lies from the middle of its class, against how far from the middle of all."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.geometry.gaussian import squared_distances
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.states import checked_layer, count_of, label_classes, layer_need, layer_states
from w2s_bench_baselines.unfitted import Unfitted


class RelativeMahalanobis(Unfitted):
    """How much nearer a label lies to its class than to all labels: what is odd about the row altogether is taken out.

    The squared Mahalanobis distance to the mean of all rows, with the covariance of all, minus that to the row's class, as in
    `mahalanobis`; any sign, higher = more trusted. Parameters as there. Cost: a pass of the reader over the labels. Ren et al.
    (2021).
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(
        self, of: Reader = "student", layer: int | None = None, shrinkage: float = 0.1, least: int = 10
    ) -> None:
        one_of("of", of, ("teacher", "student"))
        if not 0 < shrinkage <= 1:
            raise ValueError(f"shrinkage must lie in (0, 1], got {shrinkage!r}")
        self.of: Reader = of
        self.layer, self.shrinkage, self.least = checked_layer(layer), shrinkage, count_of("least", least)
        self.needs: tuple[Need, ...] = (layer_need(of, layer),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        states = layer_states(evidence, self.of, self.layer)
        everything = squared_distances(states, np.zeros(len(states), dtype=np.int64), self.shrinkage)
        return everything - squared_distances(states, label_classes(evidence, self.least), self.shrinkage)
