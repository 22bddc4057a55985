"""How much of a label's loss goes away with training."""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_further.unfitted import Unfitted

#: Column of the reading `dynamics`: the label's log-probability.
_LOG_PROBABILITY: Final = 1


class Epiplexity(Unfitted):
    """Epiplexity: by how much the label's loss falls from the student trained least to the one trained most.

    log p_last(label) - log p_first(label), nats, any sign (generate: means over tokens); higher = more trusted: what can be learned
    has structure, and errors without any cannot. `points` students, each trained twice as long as the one before on the weak labels of
    trust set and pool. After the automated weak-to-strong researcher (2026), whose losses are of labels left out, and which smooths
    labels by them; here the row is among what was trained on, so that labels learned by heart count too. Cost: as of `aum`.
    """

    def __init__(self, points: int = 6) -> None:
        if type(points) is not int or points < 2:
            raise ValueError(f"points must be a whole number from 2 on, got {points!r}")
        self.needs: tuple[Need, ...] = (Need("student", "dynamics", points=points),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        told = cast(FloatArray, evidence.read(self.needs[0]))[:, :, _LOG_PROBABILITY]
        return np.asarray(told[:, -1] - told[:, 0])
