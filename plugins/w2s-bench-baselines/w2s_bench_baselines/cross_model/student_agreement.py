"""Whether the untuned student would have given the same label, and by how much."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_baselines.likelihood import margin, of_options
from w2s_bench_baselines.unfitted import Unfitted


class StudentAgreement(Unfitted):
    """Whether the untuned student prefers the label too, and by how much.

    p_S(label) - max p_S(other option), in [-1, 1]: above 0 where the student agrees, so that whatever it agrees with comes
    before the rest; `graded` = false keeps the bare agreement, 1 or 0 (half of it at a tie). Higher = more trusted. Cost: a pass
    of the student over the options.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    needs: tuple[Need, ...] = (Need("student", "choice_probs"),)

    def __init__(self, graded: bool = True) -> None:
        self.graded = bool(graded)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        ahead = of_options(evidence, "student", margin)
        return ahead if self.graded else (ahead > 0) + (ahead == 0) / 2
