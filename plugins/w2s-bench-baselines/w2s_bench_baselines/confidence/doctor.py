"""How likely a draw from the teacher errs where its likeliest option does not."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader
from w2s_bench_baselines.likelihood import of_options, one_of
from w2s_bench_baselines.unfitted import Unfitted


def discrimination(row: FloatArray, index: int) -> float:
    """1 - (1 - s) / s, with s = sum p²."""
    same = float((row**2).sum())
    return 1 - (1 - same) / same


class Doctor(Unfitted):
    """DOCTOR: one minus the odds that two draws from the teacher's probabilities differ.

    1 - (1 - s) / s with s = sum p², in [2 - number of options, 1]; higher = more trusted. It ranks as s does (the Gini index).
    `of` = "teacher" or "student", the untuned one. Cost: none for the teacher. Granese et al. (2021), D-alpha.
    """

    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "choice_probs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return of_options(evidence, self.of, discrimination)
