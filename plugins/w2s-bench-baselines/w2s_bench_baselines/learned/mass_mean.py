"""The difference of the means: from what wrong labels leave behind to what right ones do."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, IntArray, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.logistic import one_sided, stratified_folds
from w2s_bench_baselines.learned.parameters import check_flag, check_layer, check_one_of, check_reader, check_whole
from w2s_bench_baselines.learned.ranking import auroc
from w2s_bench_baselines.learned.states import States, usable_folds

Line = tuple[FloatArray, float]  # (d,) direction, and the score at the origin


class MassMean:
    """Mass-mean probe: how far a hidden state lies along the difference of the right and the wrong labels' mean states.

    Score: θ · (h - (μ₊ + μ₋) / 2) with θ = μ₊ - μ₋, the means of right and of wrong labels in the trust set; any real
    number, higher = more trusted. `whitened`: θ = Σ⁻¹ (μ₊ - μ₋), Σ the covariance within the two groups, shrunk as Ledoit &
    Wolf (2004) do; this is linear discriminant analysis, and the score its log-odds at equal shares. The layer is the one of
    greatest held-out AUROC in a stratified cross-fitting of the trust set, unless given as `layer`. `state`: "label", the
    state of the label's last token, or "contrast" (choice domains alone). `of`: the teacher's, or the untuned student's.

    Source: Marks & Tegmark (2023), arXiv 2310.06824. Nothing is fitted but two means, so that little gold goes far. Cost:
    one pass of the model over prompts and labels. With no right or no wrong label in the trust set every score is 0.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"

    def __init__(
        self,
        of: str = "teacher",
        state: Literal["label", "contrast"] = "label",
        layer: int | None = None,
        whitened: bool = False,
        folds: int = 5,
    ) -> None:
        check_one_of("state", state, ("label", "contrast"))
        self.whitened, self.folds = check_flag("whitened", whitened), check_whole("folds", folds, 2)
        self._states = States(check_reader(of), state, check_layer(layer))
        self.needs: tuple[Need, ...] = self._states.needs
        if state == "contrast":
            self.kinds = ("choice",)
        self._place = 0
        self._line: Line | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Choose the layer by cross-fitting, then take the means of the whole trust set. Uses no randomness."""
        states = self._states.read(evidence)
        layers, folds = states.shape[1], usable_folds(correct, self.folds)
        self._place = layers - 1
        if layers > 1 and folds >= 2:
            fold = stratified_folds(correct, folds)
            self._place = int(np.argmax([self._held_out(states[:, place], correct, fold) for place in range(layers)]))
        self._line = mass_mean(states[:, self._place], correct, whitened=self.whitened)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._line is None:
            raise TrustFunctionError("MassMean was not fitted; call fit with a trust set before score")
        direction, offset = self._line
        return self._states.read(evidence)[:, self._place] @ direction + offset

    def _held_out(self, states: FloatArray, correct: BoolArray, fold: IntArray) -> float:
        """AUROC over the trust set, each row scored by the means of the other folds."""
        scores = np.empty(len(correct))
        for held in range(int(fold.max()) + 1):
            out = fold == held
            direction, offset = mass_mean(states[~out], correct[~out], whitened=self.whitened)
            scores[out] = states[out] @ direction + offset
        return auroc(scores, correct)


def mass_mean(states: FloatArray, correct: BoolArray, *, whitened: bool) -> Line:
    """(n, d) states → θ (d,), and -θ · (μ₊ + μ₋) / 2."""
    if one_sided(correct):
        return np.zeros(states.shape[1]), 0.0
    right, wrong = states[correct].mean(axis=0), states[~correct].mean(axis=0)
    direction = right - wrong
    if whitened:
        direction = _whitened(states - np.where(correct[:, None], right, wrong), direction)
    return direction, -float(direction @ (right + wrong)) / 2


def _whitened(centred: FloatArray, direction: FloatArray) -> FloatArray:
    """Σ⁻¹ · direction, with Σ = (1 - s) · XᵀX / n + s · (trace / d) · I, and s by Ledoit & Wolf."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    n, d = centred.shape
    shrinkage = float(ledoit_wolf_shrinkage(centred, assume_centered=True)) if d > 1 else 0.0
    ridge = shrinkage * float((centred**2).mean())
    ridge = max(ridge, 1e-9 * float((centred**2).mean()), 1e-300)
    x = centred * np.sqrt((1 - shrinkage) / n)
    # Σ⁻¹v in the n rows' terms, as d may be many times n: (xᵀx + rI)⁻¹ = (I - xᵀ(xxᵀ + rI)⁻¹x) / r.
    inner = np.linalg.solve(x @ x.T + ridge * np.eye(n), x @ direction)
    whitened: FloatArray = (direction - x.T @ inner) / ridge
    return whitened
