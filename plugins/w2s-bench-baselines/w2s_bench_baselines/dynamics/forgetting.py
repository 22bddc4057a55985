"""How often the label is unlearned, or how late it is learned."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray
from w2s_bench_baselines.dynamics.path import AlongThePath
from w2s_bench_baselines.likelihood import one_of

Count = Literal["forgetting", "first_learned"]
COUNTS: tuple[Count, ...] = ("forgetting", "first_learned")


class Forgetting(AlongThePath):
    """Forgetting events: minus how often a student trained longer no longer prefers the label that one trained less did.

    A label is learned at a point where it is the favourite option (generate: where more than half of its tokens have p > 1/2).
    `count` "forgetting": minus the number of points t > 0 at which it is not learned but was at t - 1; never learned counts as
    `points`. "first_learned": minus the first point at which it is learned, from 0. Whole numbers in [-points, 0], higher = more
    trusted; many ties, which a seeded hash breaks. Toneva et al. (2019), arXiv 1812.05159; Jiang et al. (2021). Points are
    students, not steps of one, so that it also counts what two trainings differ by. Cost: as of `aum`.
    """

    def __init__(self, count: Count = "forgetting", points: int = 6) -> None:
        one_of("count", count, COUNTS)
        super().__init__(points)
        self.count = count

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        learned = self.path(evidence, "agreement") > 0.5
        never = ~learned.any(axis=1)
        counted = np.argmax(learned, axis=1)
        if self.count == "forgetting":
            counted = (learned[:, :-1] & ~learned[:, 1:]).sum(axis=1)
        return 0.0 - np.where(never, self.points, counted)
