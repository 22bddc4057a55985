"""How sure teacher and student are once their votes are put together."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_baselines.likelihood import entropy, margin, one_of
from w2s_bench_baselines.unfitted import Unfitted


class Wsconf(Unfitted):
    """Reliability-aware alignment (WSConf): how sure the readers of an item are of its label, put together.

    p is the mean of the teacher's and the untuned student's probabilities over the options. `measure` = "entropy": sum p log p,
    nats, in [-log K, 0]; "margin": p(label) - max p(other), in [-1, 1]. Higher = more trusted. Guo & Yang (2024,
    arXiv 2406.19032) ask one weak model by several prompts, or several; here there is one of each size. Cost: a pass of the
    student over the options.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    needs: tuple[Need, ...] = (Need("teacher", "choice_probs"), Need("student", "choice_probs"))

    def __init__(self, measure: str = "entropy") -> None:
        one_of("measure", measure, ("entropy", "margin"))
        self.measure = measure

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        both = zip(evidence.choice_probs("teacher"), evidence.choice_probs("student"), strict=True)
        means = [(p + q) / 2 for p, q in both]
        if self.measure == "entropy" or evidence.label_index is None:
            return np.array([-entropy(p) for p in means], dtype=np.float64)
        rows = zip(means, evidence.label_index, strict=True)
        return np.array([margin(p, int(index)) for p, index in rows], dtype=np.float64)
