"""Teacher, verifier and cross-fitted students together, weighed on the trust set."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Reader, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.cross_fitted.said import needs_of, said
from w2s_bench_baselines.learned.calibration import log_odds_of
from w2s_bench_baselines.learned.logistic import Logistic, fit_path
from w2s_bench_baselines.learned.parameters import check_positive

READERS: tuple[Reader, ...] = ("teacher", "student", "verifier_cv", "student_cv", "student_gold_cv")


class CrossfitStack:
    """Logistic regression on what several readers say of the label, none of which has seen the row's gold or its label.

    Score: the log-odds w · s + b that the label is right, any real number, higher = more trusted. s, of each reader in `of` (joined
    by +): the log-odds of its p(label) among the options (choice), or the mean log-probability of the label's tokens
    (generate). w and b minimise mean log-loss + `l2` / 2 · |w|² on the trust set, s standardised. Its rows were read by
    verifiers and students trained without their fold, so that no reader looks better there than on the pool. Wolpert (1992),
    stacked generalization. Cost: the verifier and up to fifteen students (`of` says which), a pass of each; no time for the fit.
    With no right or no wrong label in the trust set every score is the constant log((right + 1) / (wrong + 1)).
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"

    def __init__(self, of: str = "+".join(READERS), l2: float = 0.01) -> None:
        readers = of.split("+") if isinstance(of, str) else []
        if not readers or not set(readers) <= set(READERS) or len(set(readers)) < len(readers):
            raise ValueError(f"of must be some of {', '.join(READERS)}, joined by +; got {of!r}")
        self.readers, self.l2 = cast("list[Reader]", readers), check_positive("l2", l2)
        self.needs: tuple[Need, ...] = needs_of(*self.readers)
        self._model: Logistic | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Weigh the readers. Uses no randomness."""
        self._model = fit_path(self._features(evidence), correct, [self.l2])[0]

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._model is None:
            raise TrustFunctionError("CrossfitStack was not fitted; call fit with a trust set before score")
        return self._model.log_odds(self._features(evidence))

    def _features(self, evidence: Evidence) -> FloatArray:
        told = [said(evidence, of) for of in self.readers]
        return np.stack(told if evidence.choices is None else [log_odds_of(p) for p in told], axis=1)
