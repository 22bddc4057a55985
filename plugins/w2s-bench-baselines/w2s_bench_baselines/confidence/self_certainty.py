"""How far from a guess a model is."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader
from w2s_bench_baselines.likelihood import logarithm, of_options, one_of
from w2s_bench_baselines.unfitted import Unfitted


def divergence_from_uniform(row: FloatArray, index: int) -> float:
    """KL(uniform || p), nats."""
    return float(-np.log(len(row)) - logarithm(row).mean())


class SelfCertainty(Unfitted):
    """How far the teacher's probabilities over an item's options are from a guess.

    KL(uniform || p) = -log K - mean log p over the K options, nats, at least 0; higher = more trusted. Unlike the entropy it is
    moved most by options that are ruled out. `of` = "teacher" or "student", the untuned one. Cost: none for the teacher.
    Zhao et al. (2025), there over the vocabulary and averaged over tokens.
    """

    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, of: Reader = "teacher") -> None:
        one_of("of", of, ("teacher", "student"))
        self.of: Reader = of
        self.needs: tuple[Need, ...] = (Need(of, "choice_probs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return of_options(evidence, self.of, divergence_from_uniform)
