"""A linear probe on hidden states: does the reader know, inside, that the label is right?"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Reader, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.logistic import Logistic, fit_path, held_out_losses

#: Strengths tried, from strong to weak; the penalty stands beside the mean log-loss of standardised features.
STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
#: Strength taken where the trust set is too one-sided to choose one.
DEFAULT_STRENGTH = 1.0


class Probe:
    """Logistic regression from the teacher's hidden state at the label's last token to "this label is right".

    Score: the log-odds w · h + b, any real number, higher = more trusted. Features are standardised on the trust set.
    The layer and the L2 strength are those of least held-out log-loss in a stratified cross-fitting of the trust set,
    unless given as `layer` (an index as transformers counts, -1 the last) and `l2`. After Alain & Bengio (2016); for
    truth in hidden states Azaria & Mitchell (2023) and Kadavath et al. (2022).

    With fewer than two right or two wrong labels in the trust set nothing can be chosen: the last layer and an L2 of 1.
    With none, every score is log((right + 1) / (wrong + 1)), one constant.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"
    of: Reader = "teacher"

    def __init__(self, layer: int | None = None, l2: float | None = None, folds: int = 5) -> None:
        if l2 is not None and not l2 > 0:
            raise ValueError(f"l2 must be above 0, got {l2!r}")
        if folds < 2:
            raise ValueError(f"folds must be 2 or more, got {folds!r}")
        self.layer, self.l2, self.folds = layer, l2, folds
        self.needs: tuple[Need, ...] = (Need(self.of, "hidden_states", "all" if layer is None else layer),)
        self._model: Logistic | None = None
        self._chosen_layer = 0

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Choose layer and strength by cross-fitting, then fit on the whole trust set. Uses no randomness."""
        states = self._states(evidence)
        strengths = STRENGTHS if self.l2 is None else (self.l2,)
        layers = states.shape[1]
        folds = min(self.folds, int(correct.sum()), int((~correct).sum()))
        self._chosen_layer, strength = layers - 1, self.l2 or DEFAULT_STRENGTH
        if folds >= 2 and layers * len(strengths) > 1:
            losses = np.stack([held_out_losses(states[:, i], correct, strengths, folds) for i in range(layers)])
            self._chosen_layer, best = (int(i) for i in np.unravel_index(np.argmin(losses), losses.shape))
            strength = strengths[best]
        self._model = fit_path(states[:, self._chosen_layer], correct, [strength])[0]

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._model is None:
            raise TrustFunctionError(f"{type(self).__name__} was not fitted; call fit with a trust set before score")
        return self._model.log_odds(self._states(evidence)[:, self._chosen_layer])

    def _states(self, evidence: Evidence) -> FloatArray:
        """(n, layers, d); one layer where one was asked for."""
        states = evidence.hidden_states(self.of, "all" if self.layer is None else self.layer)
        return states if self.layer is None else states[:, None]
