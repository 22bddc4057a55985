"""How many other labels lie near."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader, Scope
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.states import centred, checked_layer, count_of, layer_need, layer_states, neighbours
from w2s_bench_baselines.unfitted import Unfitted


class Density(Unfitted):
    """How closely other labels of the pool lie around this one: minus the mean distance to its nearest.

    Over the `k` nearest other rows, in [-2, 0]; higher = more trusted. Distances as in `knn_agreement`, between states at the
    label's end. Cost: a pass of the reader over the labels; n² distances. Ramaswamy et al. (2000) for outliers.
    """

    scope: Scope = "pool"

    def __init__(self, k: int = 10, of: Reader = "student", layer: int | None = None) -> None:
        one_of("of", of, ("teacher", "student"))
        self.k, self.of, self.layer = count_of("k", k), of, checked_layer(layer)
        self.needs: tuple[Need, ...] = (layer_need(of, layer),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        distances = neighbours(centred(layer_states(evidence, self.of, self.layer)), self.k)[0]
        return np.asarray(-distances.mean(axis=1)) if distances.shape[1] else np.zeros(len(distances))
