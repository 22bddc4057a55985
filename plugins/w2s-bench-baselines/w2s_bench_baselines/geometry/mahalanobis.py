"""How far a label lies from the middle of its class."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader, Scope
from w2s_bench_baselines.geometry.gaussian import squared_distances
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.states import checked_layer, count_of, label_classes, layer_need, layer_states
from w2s_bench_baselines.unfitted import Unfitted


class Mahalanobis(Unfitted):
    """How near a label lies to the mean of its class: minus the squared Mahalanobis distance.

    -(h - m)ᵀ S⁻¹ (h - m), at most 0; higher = more trusted. h is the state at the label's end (`of`: "student", untuned, or
    "teacher"; `layer`: None the middle one), m the mean over the pool's rows of the same label text, S the covariance within
    classes, shrunk by `shrinkage` in (0, 1]. Texts of fewer than `least` rows are one class together; generated labels are one
    class, all of them. Cost: a pass of the reader over the labels. Lee et al. (2018).
    """

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
        one = np.zeros(len(states), dtype=np.int64)
        classes = one if evidence.choices is None else label_classes(evidence, self.least)
        return -squared_distances(states, classes, self.shrinkage)
