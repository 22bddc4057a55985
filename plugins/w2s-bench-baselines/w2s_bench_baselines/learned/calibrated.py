"""The teacher's confidence as the probability that its label is right, by a map of one number fitted on the trust set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.calibration import Platt, log_odds_of, sigmoid
from w2s_bench_baselines.learned.logistic import one_sided
from w2s_bench_baselines.learned.parameters import check_one_of
from w2s_bench_baselines.likelihood import label_probability, pooled_log_probability

Method = Literal["temperature", "platt", "isotonic", "beta"]
Map = Callable[[FloatArray], FloatArray]  # (n,) confidences in [0, 1] → (n,) probabilities
METHODS = ("temperature", "platt", "isotonic", "beta")
#: Temperatures searched, as natural logarithms: from a hundredth to a hundred.
_LOG_TEMPERATURES = (-4.605, 4.605)
#: L2 strength of beta's slopes: so weak that it only keeps them finite where right and wrong rows do not overlap.
_STRENGTH = 1e-6


class Calibrated:
    """The teacher's confidence, calibrated on the trust set: the probability that the label is right.

    Input: p, the teacher's probability of the label among its options (choice), or exp of the mean log-probability of its
    tokens (generate). Score: a probability in [0, 1], higher = more trusted. `method`: "temperature", sigmoid(logit p / T)
    (Guo et al. 2017); "platt", sigmoid(a · logit p + b) with a > 0 (Platt 1999); "isotonic", the best rising step function
    (Zadrozny & Elkan 2002); "beta", sigmoid(a · log p - b · log(1 - p) + c) with a, b ≥ 0 (Kull et al. 2017). Each minimises
    log-loss on the trust set, isotonic squared error.

    A rising map of one input keeps the ranking: a selection by rank is that of `confidence`, and only the numbers change.
    Isotonic makes ties, which may change it; so may a beta map whose slopes are both 0. Cost: none beyond the teacher's
    labels (generate: one pass of the teacher over prompts and labels). With no right or no wrong label in the trust set: the
    constant (right + 1) / (n + 2).
    """

    supervision: Supervision = "trust_set"
    needs: tuple[Need, ...] = (
        Need("teacher", "choice_probs", when="choice"),
        Need("teacher", "label_logprobs", when="generate"),
    )
    scope: Scope = "row"

    def __init__(self, method: Method = "platt") -> None:
        check_one_of("method", method, METHODS)
        self.method = method
        self._map: Map | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Fit the map. The teacher was not tuned on the trust set's gold, so its confidence there is as elsewhere."""
        self._map = fitted_map(self.method, _confidence(evidence), correct)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._map is None:
            raise TrustFunctionError("Calibrated was not fitted; call fit with a trust set before score")
        return self._map(_confidence(evidence))


def _confidence(evidence: Evidence) -> FloatArray:
    if evidence.choices is None:
        return np.exp(pooled_log_probability(evidence, "teacher", "mean"))
    return label_probability(evidence, "teacher")


def fitted_map(method: Method, confidence: FloatArray, correct: BoolArray) -> Map:
    """The map of a method, fitted to confidences (n,) in [0, 1] and what of them is right (n,)."""
    if one_sided(correct):
        return Platt.constant(correct).probabilities
    if method == "temperature":
        return _temperature(confidence, correct)
    if method == "isotonic":
        return _isotonic(confidence, correct)
    if method == "beta":
        return _beta(confidence, correct)
    platt = Platt.fitted(log_odds_of(confidence), correct)
    return lambda p: platt.probabilities(log_odds_of(p))


def _temperature(confidence: FloatArray, correct: BoolArray) -> Map:
    from scipy.optimize import minimize_scalar

    margin = np.where(correct, 1.0, -1.0) * log_odds_of(confidence)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -margin * np.exp(-log_temperature)).mean())

    found = minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-8})
    slope = float(np.exp(-found.x))
    return lambda p: sigmoid(slope * log_odds_of(p))


def _isotonic(confidence: FloatArray, correct: BoolArray) -> Map:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, increasing=True, out_of_bounds="clip")
    model.fit(confidence, correct.astype(np.float64))
    return lambda p: np.asarray(model.predict(p), dtype=np.float64)


def _beta(confidence: FloatArray, correct: BoolArray) -> Map:
    from scipy.optimize import minimize

    x, sign = _logarithms(confidence), np.where(correct, 1.0, -1.0)

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        slopes, intercept = theta[:2], theta[2]
        margin = sign * (x @ slopes + intercept)
        pull = -sign * sigmoid(-margin) / len(x)
        value = np.logaddexp(0, -margin).mean() + _STRENGTH / 2 * (slopes @ slopes)
        return float(value), np.append(pull @ x + _STRENGTH * slopes, pull.sum())

    bounds = [(0, None), (0, None), (None, None)]
    options = {"maxiter": 2000, "gtol": 1e-9, "ftol": 1e-14}
    theta = minimize(loss, np.array([1.0, 1.0, 0.0]), method="L-BFGS-B", jac=True, bounds=bounds, options=options).x
    return lambda p: sigmoid(_logarithms(p) @ theta[:2] + theta[2])


def _logarithms(p: FloatArray) -> FloatArray:
    """(n,) → (n, 2): log p and -log(1 - p), with p kept a billionth from 0 and 1."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.stack([np.log(p), -np.log1p(-p)], axis=1)
