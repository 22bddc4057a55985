"""Area under the margin."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray
from w2s_bench_baselines.dynamics.path import AlongThePath


class Aum(AlongThePath):
    """AUM, area under the margin: by how much students prefer the label to the best other option, on average along training.

    (1 / T) Σ_t (z_label - max z_other), in logits; generate: of the mean log-odds of the label's tokens. Any real number, higher =
    more trusted. t are `points` students trained for 1/2ⁱ of the steps on the weak labels, and not steps of one of them. Pleiss
    et al. (2020), arXiv 2001.10528, without threshold samples. Cost: students of less than twice the suite's steps together,
    and a pass of each; shared by all functions of this family.
    """

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return np.asarray(self.path(evidence, "margin").mean(axis=1))
