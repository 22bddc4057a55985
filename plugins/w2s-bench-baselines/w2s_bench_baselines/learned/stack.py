"""Several cheap scores as one: a logistic regression on what each of them says of rows that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.calibration import log_odds_of
from w2s_bench_baselines.learned.logistic import Logistic, fit_path, stratified_folds
from w2s_bench_baselines.learned.mass_mean import mass_mean
from w2s_bench_baselines.learned.parameters import check_positive, check_whole
from w2s_bench_baselines.learned.states import STRENGTHS, States, choose, usable_folds
from w2s_bench_baselines.likelihood import EMPTY_LABEL, label_probability, pooled_log_probability

Scorer = Callable[[FloatArray], FloatArray]  # (m, …) states → (m,) scores
Fit = Callable[[FloatArray, BoolArray], Scorer]  # a component: (n, …) states and what is right → its scorer

_LABEL = States("teacher", "label", -1)
_CONTRAST = States("teacher", "contrast", None)


class Stack:
    """Logistic regression on several scores of a label: probabilities of the teacher, `mass_mean` and `contrast`.

    Score: the log-odds w · s + b, any real number, higher = more trusted. Components s, choice: the log-odds and the
    logarithm of the teacher's p(label) among the options, `contrast`, and `mass_mean` on the last layer's state of the
    label. Generate: mean and sum of the log-probabilities of the label's tokens, and `mass_mean`. w and b minimise mean
    log-loss + `l2` / 2 · |w|² on the trust set, with components standardised.

    What a component that learns says of its own training rows is too good, and the regression would trust it alone. So it
    only ever sees out-of-fold scores: each row's are by components fitted, their layer and strength chosen, on the other of
    `folds` stratified folds. The components that score the pool are fitted on the whole trust set.

    Source: Wolpert (1992), stacked generalization. Cost: one pass of the teacher over prompts and all options, seconds for
    the fit. With fewer than two right or two wrong labels in the trust set there are no folds: every score is the constant
    log((right + 1) / (wrong + 1)).
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"
    needs: tuple[Need, ...] = (
        Need("teacher", "choice_probs", when="choice"),
        Need("teacher", "label_logprobs", when="generate"),
        *_LABEL.needs,
        Need("teacher", "option_states", when="choice", layers="middle"),
    )

    def __init__(self, l2: float = 0.01, folds: int = 5) -> None:
        self.l2, self.folds = check_positive("l2", l2), check_whole("folds", folds, 2)
        self._scorers: list[Scorer] = []
        self._model: Logistic | None = None
        self._constant: float | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Cross-fit the components, fit the regression on their held-out scores, then the components on all rows."""
        folds = usable_folds(correct, self.folds)
        if folds < 2:
            right = int(correct.sum())
            self._model, self._constant = None, float(np.log((right + 1) / (len(correct) - right + 1)))
            return
        learned = _learned(evidence)
        held_out = [out_of_fold(fit, states, correct, folds) for fit, states in learned]
        columns = np.stack([*_told(evidence), *held_out], axis=1)
        self._scorers = [fit(states, correct) for fit, states in learned]
        self._model = fit_path(columns, correct, [self.l2])[0]

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._model is None:
            if self._constant is None:
                raise TrustFunctionError("Stack was not fitted; call fit with a trust set before score")
            return np.full(len(evidence), self._constant)
        pairs = zip(self._scorers, _learned(evidence), strict=True)
        scores = [scorer(states) for scorer, (_, states) in pairs]
        return self._model.log_odds(np.stack([*_told(evidence), *scores], axis=1))


def out_of_fold(fit: Fit, states: FloatArray, correct: BoolArray, folds: int) -> FloatArray:
    """(n,) each row's score by a component that saw neither the row nor its correctness."""
    fold, scores = stratified_folds(correct, folds), np.empty(len(correct))
    for held in range(folds):
        out = fold == held
        scores[out] = fit(states[~out], correct[~out])(states[out])
    return scores


def _told(evidence: Evidence) -> list[FloatArray]:
    """Components that learn nothing, (n,) each."""
    if evidence.choices is not None:
        p = label_probability(evidence, "teacher")
        return [log_odds_of(p), np.log(np.maximum(p, 1e-9))]
    sums = [float(row.sum()) if len(row) else EMPTY_LABEL for row in evidence.label_logprobs("teacher")]
    return [pooled_log_probability(evidence, "teacher", "mean"), np.array(sums, dtype=np.float64)]


def _learned(evidence: Evidence) -> list[tuple[Fit, FloatArray]]:
    """Components that learn, each with the states (n, layers, d) it reads."""
    found: list[tuple[Fit, FloatArray]] = [(_fit_mass_mean, _LABEL.read(evidence))]
    if evidence.choices is not None:
        found.append((_fit_contrast, _CONTRAST.read(evidence)))
    return found


def _fit_mass_mean(states: FloatArray, correct: BoolArray) -> Scorer:
    direction, offset = mass_mean(states[:, 0], correct, whitened=False)
    return lambda x: x[:, 0] @ direction + offset


def _fit_contrast(states: FloatArray, correct: BoolArray) -> Scorer:
    chosen = choose(states, correct, STRENGTHS, 5)
    model = fit_path(states[:, chosen.place], correct, [chosen.strength])[0]
    return lambda x: model.log_odds(x[:, chosen.place])
