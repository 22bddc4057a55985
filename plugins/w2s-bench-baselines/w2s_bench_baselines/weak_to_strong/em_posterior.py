"""The chance that the label is right, the teacher taken for a noisy channel."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Scope
from w2s_bench_baselines.likelihood import entropy, label_probability, margin, of_options
from w2s_bench_baselines.unfitted import Unfitted

#: How often the teacher is taken to be right before anything is known of it.
START = 0.7


class EmPosterior(Unfitted):
    """EM posterior: how likely the label is right if the student's zero-shot answer is a prior and the teacher a noisy channel.

    With p = p_S(label)^(1 / temperature), normalised over the K options, and r the chance that the teacher names the right option,
    the label is right with p r / (p r + (1 - p)(1 - r) / (K - 1)), in [0, 1]; higher = more trusted. r = sigmoid(a · f + b) over
    the features f = (log-odds of p_W(label), the teacher's and the student's entropy, whether the student agrees), standardised;
    a and b maximise the likelihood of the labels given p, less `l2` / 2 · |a|² a row, by EM from r = 0.7, `rounds` times.
    After the EM posterior of the automated weak-to-strong researcher (2026), which has several prompts and orders of options,
    both rates of a two-class channel, and puts the trained student in place of the prior twice. Cost: a pass of the student
    over the options; a logistic regression a round.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"
    needs: tuple[Need, ...] = (Need("teacher", "choice_probs"), Need("student", "choice_probs"))

    def __init__(self, temperature: float = 1.0, l2: float = 0.01, rounds: int = 20) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature!r}")
        if not l2 > 0:
            raise ValueError(f"l2 must be above 0, got {l2!r}")
        if rounds < 1:
            raise ValueError(f"rounds must be 1 or more, got {rounds!r}")
        self.temperature, self.l2, self.rounds = temperature, l2, rounds

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        prior = of_options(evidence, "student", self._tempered)
        others = np.array([max(len(row) - 1, 1) for row in evidence.choices or ()], dtype=np.float64)
        features = standardised(
            np.column_stack(
                [
                    _log_odds(label_probability(evidence, "teacher")),
                    *(of_options(evidence, of, lambda row, index: entropy(row)) for of in ("teacher", "student")),
                    np.sign(of_options(evidence, "student", margin)),
                ]
            )
        )
        rate = np.full(len(prior), START)
        theta = np.append(np.zeros(features.shape[1]), np.log(START / (1 - START)))
        for _ in range(self.rounds):
            right = posterior(prior, rate, others)
            theta = _weighted_logistic(features, right, self.l2, theta)
            rate = 1 / (1 + np.exp(-(features @ theta[:-1] + theta[-1])))
        return posterior(prior, rate, others)

    def _tempered(self, row: FloatArray, index: int) -> float:
        weights = row ** (1 / self.temperature)
        return float(weights[index] / weights.sum())


def posterior(prior: FloatArray, rate: FloatArray, others: FloatArray) -> FloatArray:
    """(n,) the chance that a label is right, by Bayes; an error falls on each of the other options alike."""
    right, wrong = prior * rate, (1 - prior) * (1 - rate) / others
    total = right + wrong
    return np.asarray(np.divide(right, total, out=np.full(len(prior), 0.5), where=total > 0))


def standardised(features: FloatArray) -> FloatArray:
    """(n, d) with mean 0 and standard deviation 1 a column; a constant column is 0."""
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 1e-12, spread, 1.0))


def _log_odds(p: FloatArray) -> FloatArray:
    bounded = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(bounded / (1 - bounded)))


def _weighted_logistic(features: FloatArray, target: FloatArray, l2: float, start: FloatArray) -> FloatArray:
    """The weights and the intercept of least mean cross-entropy to soft targets plus l2 / 2 · |weights|²."""
    from scipy.optimize import minimize

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        logits = features @ theta[:-1] + theta[-1]
        value = (np.logaddexp(0, logits) - target * logits).mean() + l2 / 2 * (theta[:-1] @ theta[:-1])
        pull = (1 / (1 + np.exp(-logits)) - target) / len(target)
        return float(value), np.append(pull @ features + l2 * theta[:-1], pull.sum())

    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x)
