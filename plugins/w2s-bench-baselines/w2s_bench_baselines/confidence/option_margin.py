"""How far ahead of the next option the label is."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader
from w2s_bench_baselines.likelihood import margin, of_options, one_of
from w2s_bench_baselines.unfitted import Unfitted


class OptionMargin(Unfitted):
    """How much likelier the label is than the likeliest other option.

    p(label) - max p(other), in [-1, 1]; higher = more trusted. `of` = "teacher" (for whom it is at least 0) or "student", the
    untuned one. With two options it ranks as `confidence` does. Cost: none for the teacher, whose probabilities come with its
    labels. After Scheffer et al. (2001).
    """

    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "choice_probs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return of_options(evidence, self.of, margin)
