"""The norm of the label's gradient."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_further.gradients.last_layer import gradients, needs_of
from w2s_bench_further.unfitted import Unfitted


class Grand(Unfitted):
    """GraNd: how small a step the label asks for: minus the norm of its gradient by the untuned student's last layer.

    -‖Σ_o (p_o - 1[o is the label]) h_o‖₂ over an item's options, p the untuned student's probabilities and h its states in `layer`; at
    most 0, higher = more trusted. Paul et al. (2021), arXiv 2107.07075, keep what has a large one; where labels may be wrong, that is
    suspect. Theirs is by all weights and a mean over starts. Cost: passes of the untuned student over the options.
    """

    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, layer: int = -1) -> None:
        self.layer, self.needs = layer, needs_of(layer)

    needs: tuple[Need, ...]

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        found = gradients(evidence, self.layer)
        return -np.linalg.norm(found, axis=1) if len(found) else np.zeros(0)
