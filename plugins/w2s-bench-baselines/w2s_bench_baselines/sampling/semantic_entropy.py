"""How many different answers a model comes to when it draws."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray
from w2s_bench_baselines.likelihood import entropy
from w2s_bench_baselines.sampling.self_consistency import SelfConsistency


class SemanticEntropy(SelfConsistency):
    """Discrete semantic entropy: minus the entropy of k sampled answers over the final answers that they come to.

    Σ_C (n_C / k) log(n_C / k) over classes C of equal final answers, nats, from -log k to 0, higher = more trusted. It does not ask
    which answer the label has. Samples and final answers as in `self_consistency`. Farquhar et al. (2024); meanings are told apart
    by exact final answers here, and not by entailment. Cost: k generations a label, shared with `self_consistency`.
    """

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        drawn = np.asarray(evidence.read(self.needs[0]))
        shares = [np.unique(row, return_counts=True)[1] / len(row) for row in drawn]
        return np.array([-entropy(np.sort(share)) for share in shares], dtype=np.float64)
