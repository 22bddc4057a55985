"""How often a model comes to the label's answer when it draws."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_baselines.learned.parameters import check_positive, check_reader, check_whole
from w2s_bench_baselines.unfitted import Unfitted


class SelfConsistency(Unfitted):
    """Self-consistency: the share of k sampled answers whose final answer is the label's.

    #{j: a_j = a(label)} / k, in [0, 1], higher = more trusted; a is what follows the last `####`, else the last number, else the
    whole text. Samples are drawn at `temperature` by the teacher (`of`: or the untuned student). Wang et al. (2023), arXiv
    2203.11171. Cost: k generations a label, shared with `semantic_entropy`.
    """

    kinds: tuple[Kind, ...] = ("generate",)

    def __init__(self, k: int = 8, temperature: float = 1.0, of: str = "teacher") -> None:
        k, temperature = check_whole("k", k, 1), check_positive("temperature", temperature)
        self.needs: tuple[Need, ...] = (Need(check_reader(of), "samples", k=k, temperature=temperature),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        drawn = cast(FloatArray, evidence.read(self.needs[0]))
        return np.asarray((drawn == 0).mean(axis=1))
