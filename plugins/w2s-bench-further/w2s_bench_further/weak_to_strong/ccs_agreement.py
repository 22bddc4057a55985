"""The automated weak-to-strong researcher's agreement of teacher and contrast-consistent search."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.consistency.ccs import Ccs
from w2s_bench_further.unfitted import Unfitted


class CcsAgreement(Unfitted):
    """CCS agreement: whether contrast-consistent search prefers the label too, and how sure the surer of the two is.

    Where c = p_CCS(label) ≥ ½: max(c, p_W(label)); elsewhere `epsilon` · min(1 - c, p_W(label)). In [0, 1], higher = more trusted: with
    `epsilon` at most ½ whatever the two agree on comes before the rest. p_CCS as of `ccs`, which takes out what an option says, of
    untuned student or teacher (`of`), without gold; p_W the teacher's share of the label among the options. After the automated
    weak-to-strong researcher (2026), who draws training rows in proportion to it (take `weighted`) and then evolves a prompt, which is
    no part of this. Cost: a pass of the reader over options; seconds of fitting.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, of: Reader = "student", layer: int | None = None, epsilon: float = 0.1) -> None:
        if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 <= epsilon <= 0.5:
            raise ValueError(f"epsilon must be a number from 0 to 0.5, got {epsilon!r}")
        self._ccs, self.epsilon = Ccs(of, layer), float(epsilon)
        self.needs: tuple[Need, ...] = (*self._ccs.needs, Need("teacher", "choice_probs"))

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        assert evidence.label_index is not None, "for choice domains alone"
        said = self._ccs.score(evidence, rng=rng)
        weak = np.array(
            [p[at] for p, at in zip(evidence.choice_probs(), evidence.label_index, strict=True)], dtype=np.float64
        )
        return agreement(said, weak, self.epsilon)


def agreement(said: FloatArray, weak: FloatArray, epsilon: float) -> FloatArray:
    """(n,) of (n,) probabilities of the labels by the search and by the teacher."""
    return np.where(said >= 0.5, np.maximum(said, weak), epsilon * np.minimum(1 - said, weak))
