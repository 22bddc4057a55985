"""How many directions the states around a label's spread in."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader, Scope
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.states import centred, checked_layer, count_of, layer_need, layer_states, neighbours
from w2s_bench_baselines.unfitted import Unfitted

#: A distance below this counts as this: equal states have no logarithm.
NEAREST = 1e-12


class IntrinsicDimension(Unfitted):
    """In how few directions the states around a label's spread: minus the local intrinsic dimension.

    1 / mean_i log(r_i / r_k) over the distances r_1 ≤ … ≤ r_k to the `k` nearest other rows, which is minus the maximum-likelihood
    estimate of the dimension; at most 0, higher = more trusted. Where all k are equally far there is no estimate: the score
    is -(width of a state). Distances as in `knn_agreement`, between states at the label's end. Cost: a pass of the reader
    over the labels; n² distances. Levina & Bickel (2004); for noisy labels Ma et al. (2018), for truth Yin et al. (2024).
    """

    scope: Scope = "pool"

    def __init__(self, k: int = 20, of: Reader = "student", layer: int | None = None) -> None:
        one_of("of", of, ("teacher", "student"))
        self.k, self.of, self.layer = count_of("k", k, 2), of, checked_layer(layer)
        self.needs: tuple[Need, ...] = (layer_need(of, layer),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        states = layer_states(evidence, self.of, self.layer)
        distances = np.maximum(neighbours(centred(states), self.k)[0], NEAREST)
        most = float(states.shape[1])
        if distances.shape[1] < 2:
            return np.full(len(states), -most)
        rise = np.log(distances / distances[:, -1:]).mean(axis=1)
        return np.asarray(np.maximum(1 / np.minimum(rise, -1 / most), -most))
