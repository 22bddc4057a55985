"""A reward model: a linear score of the strong model's states, by which right labels beat what they compete with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, IntArray, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.parameters import check_layer, check_positive, check_reader

Loss = Callable[[FloatArray], tuple[float, FloatArray]]  # rewards (m,) → loss, and its derivative by each
#: Pairs of a right and a wrong label that are compared at most, where answers are generated.
MOST_PAIRS = 20_000


class RewardModel:
    """Reward model: a linear reward of the strong model's states, trained as Bradley and Terry would on the trust set.

    r = w · h, h the untuned student's state (`of`: or the teacher's) at the end of an answer, at `layer` (None: the middle one),
    standardised. Choice: P = exp r(label) / Σ exp r(option) is the chance that the label beats the item's other options; the loss
    is -log P where the label is right, -log(1 - P) where it is wrong; score: P, in [0, 1]. Generate: the loss is -log σ(r(right) -
    r(wrong)) over pairs of a right and a wrong label; score: r, any real number. Higher = more trusted. Plus `l2` / 2 · |w|² beside
    the mean loss. Bradley & Terry (1952); the paper's baseline of that name tunes the strong model itself. Cost: a pass of the
    student over options or labels. Without a right or a wrong label in the trust set w is 0 or near it.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"

    def __init__(self, of: str = "student", layer: int | None = None, l2: float = 0.1) -> None:
        self.of, self.layer, self.l2 = check_reader(of), check_layer(layer), check_positive("l2", l2)
        layers = "middle" if layer is None else layer
        self.needs: tuple[Need, ...] = (
            Need(self.of, "option_states", when="choice", layers=layers),
            Need(self.of, "hidden_states", layers, when="generate"),  # type: ignore[arg-type]
        )
        self._fitted: tuple[FloatArray, FloatArray, FloatArray] | None = None  # mean, deviation, weights: (d,) each

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Minimise the loss from w = 0. Draws pairs where there are more than 20,000."""
        states, starts, label = self._states(evidence)
        mean, spread = states.mean(axis=0), states.std(axis=0)
        scale = np.where(spread > 1e-9, spread, 1.0)
        loss = choosing(starts, label, correct) if label is not None else comparing(correct, rng)
        self._fitted = (mean, scale, weights_of((states - mean) / scale, loss, self.l2))

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._fitted is None:
            raise TrustFunctionError("RewardModel was not fitted; call fit with a trust set before score")
        mean, scale, weights = self._fitted
        states, starts, label = self._states(evidence)
        rewards = ((states - mean) / scale) @ weights
        return rewards if label is None else shares(rewards, starts)[label]

    def _states(self, evidence: Evidence) -> tuple[FloatArray, IntArray, IntArray | None]:
        """States of all options, where each row's start, and which are the labels; of labels alone where answers are generated."""
        if evidence.label_index is None:
            states = evidence.hidden_states(self.of, "middle" if self.layer is None else self.layer)
            return (states if states.ndim == 2 else states[:, states.shape[1] // 2]), np.arange(len(states) + 1), None
        options = evidence.option_states(self.of, "middle" if self.layer is None else self.layer)
        values = options.values[:, options.values.shape[1] // 2]
        return values, options.offsets, options.offsets[:-1] + evidence.label_index


def shares(rewards: FloatArray, starts: IntArray) -> FloatArray:
    """(m,) softmax of the rewards of each row's options."""
    sizes = np.diff(starts)
    exponentials = np.exp(rewards - np.repeat(np.maximum.reduceat(rewards, starts[:-1]), sizes))
    return np.asarray(exponentials / np.repeat(np.add.reduceat(exponentials, starts[:-1]), sizes))


def choosing(starts: IntArray, label: IntArray, correct: BoolArray) -> Loss:
    """-log P of labels that are right, -log(1 - P) of those that are wrong, on average."""

    def loss(rewards: FloatArray) -> tuple[float, FloatArray]:
        p = shares(rewards, starts)
        own = np.clip(p[label], 1e-12, 1 - 1e-12)
        value = -np.where(correct, np.log(own), np.log1p(-own)).mean()
        # The derivative of log P by the rewards of a row is one-hot(label) - p; -log(1 - P) turns it by -P / (1 - P).
        factor = np.where(correct, -1.0, own / (1 - own)) / len(label)
        slope = -np.repeat(factor, np.diff(starts)) * p
        slope[label] += factor
        return float(value), slope

    return loss


def comparing(correct: BoolArray, rng: Generator) -> Loss:
    """-log σ(r(right) - r(wrong)) over pairs, on average."""
    right, wrong = np.flatnonzero(correct), np.flatnonzero(~correct)
    first, second = (one.ravel() for one in np.meshgrid(right, wrong, indexing="ij"))
    if len(first) > MOST_PAIRS:
        drawn = rng.choice(len(first), MOST_PAIRS, replace=False)
        first, second = first[drawn], second[drawn]

    def loss(rewards: FloatArray) -> tuple[float, FloatArray]:
        slope = np.zeros_like(rewards)
        if not len(first):
            return 0.0, slope
        ahead = rewards[first] - rewards[second]
        pull = -np.exp(-np.logaddexp(0, ahead)) / len(first)
        np.add.at(slope, first, pull)
        np.add.at(slope, second, -pull)
        return float(np.logaddexp(0, -ahead).mean()), slope

    return loss


def weights_of(x: FloatArray, loss: Loss, l2: float) -> FloatArray:
    """(d,) of least loss of the rewards x · w plus l2 / 2 · |w|²."""
    from scipy.optimize import minimize

    def whole(weights: FloatArray) -> tuple[float, FloatArray]:
        value, slope = loss(x @ weights)
        return value + l2 / 2 * float(weights @ weights), slope @ x + l2 * weights

    found = minimize(whole, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x)
