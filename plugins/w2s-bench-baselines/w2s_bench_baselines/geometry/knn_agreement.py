"""Whether labels nearby are the same."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.geometry.reading import Place, State
from w2s_bench_baselines.states import centred, count_of, label_classes, neighbours
from w2s_bench_baselines.unfitted import Unfitted


class KnnAgreement(Unfitted):
    """How many of the nearest labels of the pool are the same as this one.

    The share, in [0, 1], of the `k` nearest other rows whose label has the same text; higher = more trusted. Distances are
    Euclidean between states at the prompt's end, less their mean and at length 1 (`of`: "student", untuned, or "teacher"; `layer`:
    None the middle one; `state`: "label" at the label's end, where rows with one label lie together since they end in the same words).
    It tells something where texts of labels recur. Cost: a pass of the reader over the prompts; n² distances. Bahri et al. (2020),
    deep k-NN, of what a network makes of the input.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, k: int = 10, of: Reader = "student", layer: int | None = None, state: State = "prompt") -> None:
        self.k, self.place = count_of("k", k), Place(of, state, layer)
        self.needs: tuple[Need, ...] = (self.place.need,)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        nearest = neighbours(centred(self.place.read(evidence)), self.k)[1]
        classes = label_classes(evidence)
        if nearest.shape[1] == 0:
            return np.zeros(len(evidence))
        return np.asarray((classes[nearest] == classes[:, None]).mean(axis=1))
