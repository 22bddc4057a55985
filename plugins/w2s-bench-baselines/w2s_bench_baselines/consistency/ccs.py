"""Contrast-consistent search."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Scope
from w2s_bench_baselines.consistency.pairs import Pairs, need_of, normalised, pairs_of, signed
from w2s_bench_baselines.learned.parameters import check_not_negative, check_reader
from w2s_bench_baselines.states import count_of
from w2s_bench_baselines.unfitted import Unfitted


class Ccs(Unfitted):
    """CCS: the probability of a direction in which each option and its rivals contradict each other, found without gold.

    p₊ = σ(w · φ(option) + b), p₋ = σ(w · φ(mean of the others) + b). States are taken less the mean of their option's text, where that
    recurs, and both halves are normalised apart over the pool. w and b minimise the mean of (p₊ + p₋ - 1)² + min(p₊, p₋)² over all
    options, plus `l2` · |w|²; the best of `tries` starts. Score: (p₊ + 1 - p₋) / 2 of the label, in [0, 1], higher = more trusted; the
    sign is the one by which labels score more than other options on average. `of`: teacher or untuned student; `layer`: None the
    middle one. Burns et al. (2022), arXiv 2212.03827, for two options; the automated weak-to-strong researcher (2026) takes its
    agreement with the label. Cost: a pass of the model over options; seconds of fitting.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, of: str = "teacher", layer: int | None = None, tries: int = 5, l2: float = 0.01) -> None:
        self.of, self.layer = check_reader(of), layer
        self.tries, self.l2 = count_of("tries", tries), check_not_negative("l2", l2)
        self.needs: tuple[Need, ...] = (need_of(self.of, layer),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if len(evidence) < 2:
            return np.full(len(evidence), 0.5)
        pairs = pairs_of(evidence, self.of, self.layer)
        return signed(_options(pairs, self.tries, self.l2) - 0.5, pairs.is_label)[pairs.label] + 0.5


def _options(pairs: Pairs, tries: int, l2: float) -> FloatArray:
    """(m,) what the best direction says of each option, its sign left open."""
    from scipy.optimize import minimize

    own, rivals = normalised(pairs.own), normalised(pairs.rivals)
    best, least = np.zeros(own.shape[1] + 1), np.inf
    # Starts are drawn from a seed of their own. Directions of another start differ in their last digits, whoever scores first.
    for start in np.random.default_rng(0).normal(size=(tries, own.shape[1] + 1)) / np.sqrt(own.shape[1]):
        found = minimize(
            inconsistency, start, args=(own, rivals, l2), jac=True, method="L-BFGS-B", options={"maxiter": 500}
        )
        if found.fun < least - 1e-9:
            best, least = found.x, float(found.fun)
    yes, no = (sigmoid(x @ best[:-1] + best[-1]) for x in (own, rivals))
    return np.asarray((yes + 1 - no) / 2)


def inconsistency(theta: FloatArray, own: FloatArray, rivals: FloatArray, l2: float) -> tuple[float, FloatArray]:
    """The loss of w and b (d + 1,) on pairs (m, d), and its gradient."""
    yes, no = (sigmoid(x @ theta[:-1] + theta[-1]) for x in (own, rivals))
    together, least = yes + no - 1, np.minimum(yes, no)
    loss = float((together**2 + least**2).mean()) + l2 * float(theta[:-1] @ theta[:-1])
    pull_yes = 2 * (together + least * (yes <= no)) * yes * (1 - yes) / len(yes)
    pull_no = 2 * (together + least * (yes > no)) * no * (1 - no) / len(no)
    weights = pull_yes @ own + pull_no @ rivals + 2 * l2 * theta[:-1]
    return loss, np.append(weights, pull_yes.sum() + pull_no.sum())


def sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -50, 50))))
