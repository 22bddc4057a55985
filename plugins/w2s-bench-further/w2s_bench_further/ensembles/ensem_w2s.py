"""Teachers of other seeds as an ensemble in which who errs less on the trust set has more to say."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.random import Generator

from w2s_bench import (
    BoolArray,
    Evidence,
    FloatArray,
    IntArray,
    Kind,
    Need,
    Ragged,
    Scope,
    Supervision,
    TrustFunctionError,
)


class EnsemW2S:
    """EnsemW2S: the label's probability by an ensemble of weak teachers that AdaBoost's weights bind together.

    Σ_m α_m p_m(label) / Σ_m α_m, in [0, 1], higher = more trusted. Members: the teacher, then `k` trained on the same gold on other
    seeds. In that order, over the trust set's rows of weights w, Σ w = 1: e_m = Σ w · [member m's favourite is wrong],
    α_m = max(0, log((1 - e_m) / e_m) + log(K - 1)) of K options, w ← w · exp(α_m [wrong]) made to sum to 1 (SAMME, Zhu et al. 2009).
    What is known of a row is whether its label is right: where it is wrong and a member prefers another option, the member is taken for
    right with a chance of a / (a + (1 - a) (K - 2) / (K - 1)), a how often it is right where the label is, and errors spread evenly. Where
    no member is better than chance all count alike. Agrawal et al. (2024), arXiv 2410.04571,
    who combine token by token to write new labels, and train each member on what those before it got wrong; here members are trained
    alike, and the labels are scored. Not applicable to a teacher that is used as it is. Cost: `k` trainings of the teacher, and as many
    passes over the options.
    """

    supervision: Supervision = "trust_set"
    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "row"

    def __init__(self, k: int = 3) -> None:
        self.k = k
        self.needs: tuple[Need, ...] = (Need("teacher", "choice_probs"), Need("teacher", "ensemble", k=k))
        self.alphas: FloatArray | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        if not len(correct):
            self.alphas = np.ones(1 + self.k)
            return
        members, places = self._members(evidence), _places(evidence)
        agrees = np.array([_agreeing(p, at) for p, at in zip(members, places, strict=True)])
        options = np.array([len(p) for p in members])
        self.alphas = weights(errors(agrees, np.asarray(correct, dtype=np.bool_), options), options)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self.alphas is None:
            raise TrustFunctionError("EnsemW2S was not fitted; call fit with a trust set before score")
        share = self.alphas / self.alphas.sum()
        told = zip(self._members(evidence), _places(evidence), strict=True)
        return np.array([float((p[at] * share).sum()) for p, at in told], dtype=np.float64)

    def _members(self, evidence: Evidence) -> list[FloatArray]:
        """Of each row: (options, 1 + k) probabilities."""
        others = cast(Ragged, evidence.read(self.needs[1]))
        return [np.column_stack([p, rest]) for p, rest in zip(evidence.choice_probs(), others, strict=True)]


def weights(wrong: FloatArray, options: FloatArray) -> FloatArray:
    """(members,) α of `wrong` (n, members), the chance in [0, 1] that a member errs on a row, and `options` (n,), how many each has."""
    n, members = wrong.shape
    row = np.full(n, 1 / n)
    alphas = np.zeros(members)
    for member in range(members):
        error = float(np.clip(row @ wrong[:, member], 1 / (2 * n), 1 - 1 / (2 * n)))
        chance = float(row @ np.log(np.maximum(options - 1, 1)))
        alphas[member] = max(0.0, np.log((1 - error) / error) + chance)
        row = row * np.exp(alphas[member] * wrong[:, member])
        row /= row.sum()
    return alphas if alphas.any() else np.ones(members)


def errors(agrees: FloatArray, correct: BoolArray, options: IntArray) -> FloatArray:
    """(n, members) the chance that a member's favourite is wrong; `agrees` (n, members) whether it is the label, `correct` (n,) whether
    that is right, `options` (n,) how many there are."""
    accuracy = (agrees[correct].sum(0) + 1) / (correct.sum() + 2)
    least = np.maximum(options - 1, 1)[:, None]
    other = accuracy / (accuracy + (1 - accuracy) * np.maximum(options - 2, 0)[:, None] / least)
    return np.where(correct[:, None], 1 - agrees, agrees + (1 - agrees) * (1 - other))


def _agreeing(p: FloatArray, label: int) -> FloatArray:
    """(members,) whether each one's favourite of (options, members) is the label; favourites that tie share it."""
    favourites = p == p.max(axis=0)
    return np.asarray(favourites[label] / favourites.sum(axis=0))


def _places(evidence: Evidence) -> list[int]:
    assert evidence.label_index is not None, "for choice domains alone"
    return [int(at) for at in evidence.label_index]
