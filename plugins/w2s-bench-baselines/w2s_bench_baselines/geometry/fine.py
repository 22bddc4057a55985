"""How much a row's state points where those of its label's class do."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need, Reader, Scope
from w2s_bench_baselines.geometry.reading import Place, State
from w2s_bench_baselines.states import count_of, label_classes, unit_rows
from w2s_bench_baselines.unfitted import Unfitted


class Fine(Unfitted):
    """FINE: how much a row's state points in the main direction of its label's class.

    (uᵀ h / |h|)², in [0, 1]; higher = more trusted. u is the first eigenvector of the sum of h hᵀ over the pool's rows of the
    same label text, h the state at the prompt's end (`of`, `layer` and `state` as of `knn_agreement`). Texts of fewer than `least` rows
    are one class together; generated labels are one class, all of them. The paper takes a mixture of two over these scores for a
    threshold; here the suite's coverage is that. Cost: a pass of the reader over the prompts. Kim et al. (2021).
    """

    scope: Scope = "pool"

    def __init__(
        self, of: Reader = "student", layer: int | None = None, least: int = 10, state: State = "prompt"
    ) -> None:
        self.place, self.least = Place(of, state, layer), count_of("least", least)
        self.needs: tuple[Need, ...] = (self.place.need,)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        states = self.place.read(evidence)
        one = np.zeros(len(states), dtype=np.int64)
        classes = one if evidence.choices is None else label_classes(evidence, self.least)
        directions = unit_rows(states)
        scores = np.zeros(len(states))
        for each in np.unique(classes):
            rows = classes == each
            scores[rows] = (directions[rows] @ main_direction(states[rows])) ** 2
        return np.asarray(np.clip(scores, 0, 1))


def main_direction(states: FloatArray) -> FloatArray:
    """(d,) the first right singular vector of (m, d), of either sign."""
    from scipy.linalg import eigh

    m, d = states.shape
    small = states @ states.T if m < d else states.T @ states
    at = len(small) - 1
    vector = eigh(small, subset_by_index=(at, at))[1][:, 0]
    return np.asarray(unit_rows((states.T @ vector if m < d else vector)[None])[0])
