"""Does the model itself say that the label is true?"""

from __future__ import annotations

from typing import cast

from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_baselines.learned.parameters import check_reader
from w2s_bench_baselines.unfitted import Unfitted


class PTrue(Unfitted):
    """P(True): how much sooner the untuned student says that the label is true than that it is false, when asked.

    log p(" true") - log p(" false") after prompt, label and a question, any real number, higher = more trusted. `of`: or the
    teacher. For models of ordinary language: one whose vocabulary has not these words is an error that says so, as the models of
    `tiny` are. Kadavath et al. (2022), arXiv 2207.05221, without sampled answers in the question. Cost: a pass of the model.
    """

    def __init__(self, of: str = "student") -> None:
        self.needs: tuple[Need, ...] = (Need(check_reader(of), "p_true"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return cast(FloatArray, evidence.read(self.needs[0]))
