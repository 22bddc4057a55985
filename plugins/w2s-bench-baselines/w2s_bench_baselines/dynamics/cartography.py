"""Dataset cartography."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray
from w2s_bench_baselines.dynamics.path import AlongThePath
from w2s_bench_baselines.likelihood import one_of

Measure = Literal["confidence", "variability", "correctness"]
MEASURES: tuple[Measure, ...] = ("confidence", "variability", "correctness")


class Cartography(AlongThePath):
    """Dataset cartography: the mean probability that students give the label along training, or how little it varies.

    p_t is the label's probability among its options (generate: exp of the mean log-probability of its tokens) to the student at
    point t. `measure` "confidence": mean p_t, in [0, 1]; "variability": minus its standard deviation, at most 0; "correctness": the
    share of points at which the label is the favourite. Higher = more trusted. Swayamdipta et al. (2020), arXiv 2009.10795, over
    `points` students in place of epochs. Cost: as of `aum`.
    """

    def __init__(self, measure: Measure = "confidence", points: int = 6) -> None:
        one_of("measure", measure, MEASURES)
        super().__init__(points)
        self.measure = measure

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self.measure == "correctness":
            return np.asarray(self.path(evidence, "agreement").mean(axis=1))
        p = np.exp(self.path(evidence, "log_probability"))
        return np.asarray(p.mean(axis=1) if self.measure == "confidence" else -p.std(axis=1))
