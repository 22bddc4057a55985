"""The norm of the error early in training."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import Evidence, FloatArray
from w2s_bench_baselines.dynamics.path import AlongThePath, checked_point


class El2n(AlongThePath):
    """EL2N: how far an early student's prediction is from the label.

    -‖p - onehot(label)‖₂ over the options, in [-√2, 0] (generate: minus the mean over the label's tokens of 1 - p, in [-1, 0]), of the
    student at `point` of `points`, trained for 1/2^(points - 1 - point) of the steps. Higher = more trusted: Paul et al. (2021), arXiv
    2107.07075, keep what is hard; where labels may be wrong, hard is suspect. Cost: as of `aum`.
    """

    def __init__(self, point: int = 2, points: int = 6) -> None:
        super().__init__(points)
        self.point = checked_point(point, points)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return -self.path(evidence, "error")[:, self.point]
