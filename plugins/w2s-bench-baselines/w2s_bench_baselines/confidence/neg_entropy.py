"""How undivided a model is among the options."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader
from w2s_bench_baselines.likelihood import entropy, of_options, one_of
from w2s_bench_baselines.unfitted import Unfitted


class NegEntropy(Unfitted):
    """How undivided the teacher is among an item's options, whichever the label is.

    sum p log p, nats, in [-log(number of options), 0]; higher = more trusted. `of` = "teacher" or "student", the untuned one.
    Cost: none for the teacher. Shannon's entropy as a score of doubt: Settles & Craven (2008).
    """

    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "choice_probs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return of_options(evidence, self.of, lambda row, index: -entropy(row))
