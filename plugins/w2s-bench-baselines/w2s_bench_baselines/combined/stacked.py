"""Other functions as one, weighed on the trust set by what each says of rows that it was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Kind, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.combined.components import Components
from w2s_bench_baselines.combined.some_rows import SomeRows
from w2s_bench_baselines.learned.logistic import Logistic, fit_path, stratified_folds
from w2s_bench_baselines.learned.parameters import check_positive, check_whole
from w2s_bench_baselines.learned.states import usable_folds


class Stacked:
    """Stacking: logistic regression on the scores of other functions, each out of fold on the trust set.

    Score: the log-odds w · s + b that the label is right, any real number, higher = more trusted. `of`: names of functions joined
    by +, as `stacked:of=crossfit_verifier+confidence`. On the trust set s are scores by functions fitted on the other of `folds`
    stratified folds; w and b minimise mean log-loss + `l2` / 2 · |w|² there, s standardised; the functions that score the pool are
    fitted on the whole trust set. `verifier` cannot be stacked, since it was trained on the trust set: take
    `crossfit_verifier`. Wolpert (1992). Cost: that of the functions, fitted `folds` + 1 times. With fewer than two right or two
    wrong labels in the trust set every score is log((right + 1) / (wrong + 1)).
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "pool"

    def __init__(self, of: str = "confidence+student_probability", l2: float = 0.01, folds: int = 5) -> None:
        self.components = Components(of)
        if self.components.supervision == "privileged":
            raise ValueError(
                f"of {of!r} has a privileged function, which sees gold and needs no stacking; combine others"
            )
        if in_sample := [str(need) for need in self.components.needs if need.of == "verifier"]:
            raise ValueError(
                f"of {of!r} reads {in_sample[0]}, which was trained on the very rows that stacking learns from; take "
                "crossfit_verifier in its place"
            )
        self.needs = self.components.needs
        self.kinds: tuple[Kind, ...] = self.components.kinds
        self.l2, self.folds = check_positive("l2", l2), check_whole("folds", folds, 2)
        self._fitted: tuple[Logistic | None, float] | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Score the trust set out of fold, weigh the functions by that, then fit them on all of it."""
        folds, right = usable_folds(correct, self.folds), int(correct.sum())
        if folds < 2:
            self._fitted = (None, float(np.log((right + 1) / (len(correct) - right + 1))))
            return
        fold, columns = stratified_folds(correct, folds), np.empty((len(self.components.functions), len(correct)))
        for held in range(folds):
            inside, outside = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
            self.components.fit(SomeRows(evidence, outside), correct[outside], rng)
            columns[:, inside] = self.components.scores(SomeRows(evidence, inside), rng)
        self._fitted = (fit_path(columns.T, correct, [self.l2])[0], 0.0)
        self.components.fit(evidence, correct, rng)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._fitted is None:
            raise TrustFunctionError("Stacked was not fitted; call fit with a trust set before score")
        model, constant = self._fitted
        if model is None:
            return np.full(len(evidence), constant)
        return model.log_odds(self.components.scores(evidence, rng).T)
