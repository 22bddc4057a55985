"""How alike teacher and student see an item."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_baselines.likelihood import entropy
from w2s_bench_baselines.unfitted import Unfitted


class Divergence(Unfitted):
    """How alike the teacher and the untuned student see an item: minus the Jensen-Shannon divergence over its options.

    -(H((p_W + p_S) / 2) - (H(p_W) + H(p_S)) / 2), nats, in [-log 2, 0]; higher = more trusted. It is minus BALD's mutual
    information of an ensemble of the two (Houlsby et al. 2011). Cost: a pass of the student over the options.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    needs: tuple[Need, ...] = (Need("teacher", "choice_probs"), Need("student", "choice_probs"))

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        both = zip(evidence.choice_probs("teacher"), evidence.choice_probs("student"), strict=True)
        return np.array([(entropy(p) + entropy(q)) / 2 - entropy((p + q) / 2) for p, q in both], dtype=np.float64)
