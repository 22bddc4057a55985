"""Trees on everything that can be said cheaply of a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.calibration import Platt
from w2s_bench_baselines.learned.features import NEEDS, cheap_features
from w2s_bench_baselines.learned.logistic import log_losses, one_sided, stratified_folds
from w2s_bench_baselines.learned.parameters import check_positive, check_whole
from w2s_bench_baselines.learned.states import usable_folds


class GradientBoosting:
    """Gradient-boosted trees from cheap features of the label to the log-odds that it is right.

    Score: log-odds, any real number, higher = more trusted. Features: what teacher and untuned student give the label and
    the other options (choice) or the label's tokens (generate), and lengths: see `learned.features`; no hidden states.
    scikit-learn's histogram trees with at most `leaves` leaves and steps of `learning_rate`; how many trees, up to `trees`,
    is chosen by held-out log-loss in a stratified cross-fitting of the trust set, none among them.

    Source: Friedman (2001). Cost: one scoring pass of the student, below a second or two for the fit. With no right or no
    wrong label in the trust set every score is log((right + 1) / (wrong + 1)).
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"
    needs: tuple[Need, ...] = NEEDS

    def __init__(self, trees: int = 100, leaves: int = 4, learning_rate: float = 0.1, folds: int = 5) -> None:
        self.trees, self.leaves = check_whole("trees", trees, 1), check_whole("leaves", leaves, 2)
        self.learning_rate = check_positive("learning_rate", learning_rate)
        self.folds = check_whole("folds", folds, 2)
        self._fitted: tuple[Any | None, float] | None = None  # the trees, where there are any, and a constant

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Choose the number of trees by cross-fitting, then fit them on the whole trust set. Uses no randomness."""
        features = cheap_features(evidence)
        folds = usable_folds(correct, self.folds)
        constant = Platt.constant(correct).intercept
        trees = 0 if one_sided(correct) or folds < 2 else self._chosen(features, correct, folds)
        self._fitted = (self._model(trees).fit(features, correct), 0.0) if trees else (None, constant)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._fitted is None:
            raise TrustFunctionError("GradientBoosting was not fitted; call fit with a trust set before score")
        model, constant = self._fitted
        return np.full(len(evidence), constant) if model is None else model.decision_function(cheap_features(evidence))

    def _chosen(self, features: FloatArray, correct: BoolArray, folds: int) -> int:
        """The number of trees of least held-out log-loss; 0 is the share of right labels alone."""
        fold = stratified_folds(correct, folds)
        odds = np.empty((self.trees + 1, len(correct)))
        for held in range(folds):
            out = fold == held
            odds[0, out] = Platt.constant(correct[~out]).intercept
            model = self._model(self.trees).fit(features[~out], correct[~out])
            odds[1:, out] = list(model.staged_decision_function(features[out]))
        return int(np.argmin(log_losses(odds, correct)))

    def _model(self, trees: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=trees,
            max_leaf_nodes=self.leaves,
            learning_rate=self.learning_rate,
            min_samples_leaf=10,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=0,
        )
