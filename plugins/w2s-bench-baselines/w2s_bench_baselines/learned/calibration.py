"""From a score of any scale to the probability that the label is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from w2s_bench import BoolArray, FloatArray
from w2s_bench_baselines.learned.logistic import fit_path, one_sided

#: L2 strength of Platt's slope: so weak that it only keeps the slope finite where right and wrong rows do not overlap.
_STRENGTH = 1e-3
#: Least slope, in log-odds a standard deviation of the scores: a calibration may flatten a ranking, never turn it round.
_LEAST = 1e-3


@dataclass(frozen=True)
class Platt:
    """probability = 1 / (1 + exp(-(slope · score + intercept))), slope ≥ 0 (Platt 1999). It keeps the ranking."""

    slope: float
    intercept: float

    @classmethod
    def fitted(cls, scores: FloatArray, correct: BoolArray) -> Platt:
        """Fitted to scores (n,) of rows that the scorer was not fitted on."""
        if one_sided(correct):
            return cls.constant(correct)
        model = fit_path(scores[:, None], correct, [_STRENGTH])[0]
        slope = max(float(model.weights[0]), _LEAST) / float(model.scale[0])
        return cls(slope, model.intercept - slope * float(model.mean[0]))

    @classmethod
    def constant(cls, correct: BoolArray) -> Platt:
        """(right + 1) / (n + 2), whatever the score."""
        right = int(correct.sum())
        return cls(0.0, float(np.log((right + 1) / (len(correct) - right + 1))))

    @classmethod
    def undoing_weights(cls, correct: BoolArray) -> Platt:
        """For log-odds of a loss in which right and wrong rows weighed the same in sum: the share of right rows put back."""
        right = int(correct.sum())
        return cls(1.0, float(np.log(right / (len(correct) - right))))

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """(n,) → (n,) in [0, 1]."""
        return sigmoid(self.slope * scores + self.intercept)


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    probabilities: FloatArray = np.exp(-np.logaddexp(0, -log_odds))
    return probabilities


def log_odds_of(probabilities: FloatArray) -> FloatArray:
    """log(p / (1 - p)), with p kept a billionth from 0 and 1."""
    p = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))
