"""Does a step on the label go where steps on labels known to be right go?"""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Kind, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_further.geometry import unit
from w2s_bench_further.gradients.last_layer import gradients, needs_of

Measure = Literal["cosine", "dot"]
By = Literal["head", "all"]


class GradientAlignment:
    """Gradient alignment: how much a step on the label lowers the loss of the trust set's right labels.

    g · ḡ, where g is the gradient of the label's loss at the untuned student and ḡ the mean over the trust set's right labels. `by`:
    "head", of a linear head on the options' states in `layer` (Σ_o (p_o - 1[o is the label]) h_o; choice domains), or "all", of all
    weights, projected to `size` numbers (both kinds). `measure`: "cosine", of g with the mean of gradients of length 1, in [-1, 1]
    (LESS: Xia et al. 2024, there of LoRA weights in training, preconditioned), or "dot" (TracIn: Pruthi et al. 2020, at one checkpoint).
    Higher = more trusted. Without a right label in the trust set every score is 0. Cost: passes of the untuned student over the
    options; "all": one forward and back over the labels.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"

    def __init__(self, measure: Measure = "cosine", by: By = "head", layer: int = -1, size: int = 512) -> None:
        for name, value, known in (("measure", measure, get_args(Measure)), ("by", by, get_args(By))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
        self.measure, self.by, self.layer = measure, by, layer
        self.kinds: tuple[Kind, ...] = ("choice",) if by == "head" else ("choice", "generate")
        self.needs: tuple[Need, ...] = needs_of(layer) if by == "head" else (Need("student", "gradients", size=size),)
        self._way: FloatArray | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """The mean gradient of the right labels; what is wrong about the others is not known, so they say nothing."""
        right = self._gradients(evidence)[correct]
        self._way = right.mean(0) if len(right) else np.zeros(0)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._way is None:
            raise TrustFunctionError("GradientAlignment was not fitted; call fit with a trust set before score")
        if not len(self._way) or not len(evidence):
            return np.zeros(len(evidence))
        length = float(np.linalg.norm(self._way)) if self.measure == "cosine" else 1.0
        # Row by row: a product of matrices gives a row other last digits in another pool.
        told = np.array([float((row * self._way).sum()) for row in self._gradients(evidence)])
        return told / length if length > 0 else np.zeros(len(evidence))

    def _gradients(self, evidence: Evidence) -> FloatArray:
        if self.by == "head":
            found = gradients(evidence, self.layer)
        else:
            found = np.asarray(cast(Any, evidence.read(self.needs[0])), dtype=np.float64)
        return unit(found) if self.measure == "cosine" and len(found) else found
