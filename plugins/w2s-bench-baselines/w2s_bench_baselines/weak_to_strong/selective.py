"""Where the student knows better, whether it agrees; elsewhere the teacher."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, IntArray, Kind, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.logistic import Logistic, fit_path, held_out_losses
from w2s_bench_baselines.likelihood import label_probability, margin, of_options
from w2s_bench_baselines.states import centred, checked_layer, count_of, layer_need, layer_states, neighbours

#: Of the L2 penalty, tried from strong to weak; the first is taken where there is too little to choose by.
STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)


class Selective:
    """Selective weak-to-strong: where the student knows the answer, whether it agrees; elsewhere what the teacher says.

    P(IK), the chance that the untuned student's own first choice is right, is a logistic regression on its states at the
    label's end, fitted on the rows of the trust set in which that can be told: it agrees with the weak label, or the label is
    right. s = P(IK) · [student agrees] + (1 - P(IK)) · p_W(label), in [0, 1], then smoothed over the graph of the `k` nearest
    neighbours: (I + smoothing · L) s' = s, L its normalised Laplacian. Higher = more trusted. `layer`: of the student, None the
    middle one; the L2 strength is that of least held-out loss over `folds` folds. With fewer than two rows of either kind P(IK) is
    their share. Lang et al. (2025, arXiv 2511.14166), who replace the labels so; here they are scored. Cost: a pass of the
    student over options and one over labels; n² distances.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "pool"
    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, layer: int | None = None, k: int = 10, smoothing: float = 1.0, folds: int = 5) -> None:
        if not smoothing >= 0:
            raise ValueError(f"smoothing must be at least 0, got {smoothing!r}")
        self.layer, self.smoothing = checked_layer(layer), smoothing
        self.k, self.folds = count_of("k", k), count_of("folds", folds, 2)
        self.needs: tuple[Need, ...] = (
            Need("teacher", "choice_probs"),
            Need("student", "choice_probs"),
            layer_need("student", layer),
        )
        self._knows: Logistic | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Where the student disagrees and the label is wrong, its own answer may be right or not: such rows say nothing."""
        agrees = of_options(evidence, "student", margin) > 0
        known = agrees | correct
        states = layer_states(evidence, "student", self.layer)[known]
        right = (agrees & correct)[known]
        folds, strength = min(self.folds, int(right.sum()), int((~right).sum())), STRENGTHS[0]
        if folds < 2:
            states = np.zeros_like(states)  # nothing can be told apart: the share alone is learned
        else:
            strength = STRENGTHS[int(np.argmin(held_out_losses(states, right, STRENGTHS, folds)))]
        self._knows = fit_path(states, right, [strength])[0]

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._knows is None:
            raise TrustFunctionError("Selective was not fitted; call fit with a trust set before score")
        states = layer_states(evidence, "student", self.layer)
        knows = 1 / (1 + np.exp(-np.clip(self._knows.log_odds(states), -50, 50)))
        ahead = of_options(evidence, "student", margin)
        agrees = (ahead > 0) + (ahead == 0) / 2
        raw = knows * agrees + (1 - knows) * label_probability(evidence, "teacher")
        return smoothed(raw, neighbours(centred(states), self.k)[1], self.smoothing)


def smoothed(values: FloatArray, nearest: IntArray, strength: float) -> FloatArray:
    """(n,) the solution s' of (I + strength · L) s' = s.

    L = I - D^-½ A D^-½, where A joins two rows if either is among the nearest (n, k) of the other.
    """
    from scipy.sparse import coo_matrix, diags_array, eye_array
    from scipy.sparse.linalg import spsolve

    n, k = nearest.shape
    if k == 0 or strength == 0:
        return values
    graph = coo_matrix((np.ones(n * k), (np.repeat(np.arange(n), k), nearest.ravel())), shape=(n, n)).tocsr()
    graph = graph.maximum(graph.T)
    scale = diags_array(1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel()))
    laplacian = eye_array(n) - scale @ graph @ scale
    return np.asarray(spsolve((eye_array(n) + strength * laplacian).tocsc(), values))
