"""Whether labels nearby are the same."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.states import (
    centred,
    checked_layer,
    count_of,
    label_classes,
    layer_need,
    layer_states,
    neighbours,
)
from w2s_bench_baselines.unfitted import Unfitted


class KnnAgreement(Unfitted):
    """How many of the nearest labels of the pool are the same as this one.

    The share, in [0, 1], of the `k` nearest other rows whose label has the same text; higher = more trusted. Distances are
    Euclidean between states at the label's end, less their mean and at length 1 (`of`: "student", untuned, or "teacher"; `layer`:
    None the middle one). It tells something where texts of labels recur. Cost: a pass of the reader over the labels; n²
    distances. Bahri et al. (2020), deep k-NN.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, k: int = 10, of: Reader = "student", layer: int | None = None) -> None:
        one_of("of", of, ("teacher", "student"))
        self.k, self.of, self.layer = count_of("k", k), of, checked_layer(layer)
        self.needs: tuple[Need, ...] = (layer_need(of, layer),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        nearest = neighbours(centred(layer_states(evidence, self.of, self.layer)), self.k)[1]
        classes = label_classes(evidence)
        if nearest.shape[1] == 0:
            return np.zeros(len(evidence))
        return np.asarray((classes[nearest] == classes[:, None]).mean(axis=1))
