"""Two calibrated probabilities a row, one for each thing the label may be, merged into one."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision, TrustFunctionError


class VennAbers:
    """Venn-Abers: the teacher's confidence, calibrated by isotonic regression as if the row were right, and as if it were wrong.

    p₁ and p₀ are isotonic regressions of the trust set's correctness on confidence with the row itself added as right and as wrong,
    read at the row; score: p₁ / (1 - p₀ + p₁), in (0, 1), higher = more trusted. Confidence: as of `calibrated`. The pair is valid
    whatever the score is worth, if rows are exchangeable: Vovk, Petej & Fedorova (2015), inductive. It ranks as confidence does but
    for ties. Cost: none beyond the teacher's labels (generate: one pass of the teacher over prompts and labels).
    """

    supervision: Supervision = "trust_set"
    needs: tuple[Need, ...] = (
        Need("teacher", "choice_probs", when="choice"),
        Need("teacher", "label_logprobs", when="generate"),
    )
    scope: Scope = "row"

    def __init__(self) -> None:
        self._seen: tuple[FloatArray, FloatArray] | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Keep confidence and correctness; the regressions are made a row."""
        self._seen = (_confidence(evidence), correct.astype(np.float64))

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._seen is None:
            raise TrustFunctionError("VennAbers was not fitted; call fit with a trust set before score")
        values, place = np.unique(_confidence(evidence), return_inverse=True)
        lower, upper = venn_abers(*self._seen, values)
        return np.asarray((upper / (1 - lower + upper))[place])


def venn_abers(scores: FloatArray, right: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(p₀, p₁), (m,) each, at `values` (m,), from calibration `scores` (n,) and what of them is `right`, (n,) of 0 and 1."""
    from sklearn.isotonic import IsotonicRegression

    told = np.zeros((2, len(values)))
    for at, value in enumerate(values.tolist()):
        for as_if in (0, 1):
            model = IsotonicRegression(y_min=0, y_max=1).fit(np.append(scores, value), np.append(right, as_if))
            told[as_if, at] = model.predict(np.array([value]))[0]
    return told[0], told[1]


def _confidence(evidence: Evidence) -> FloatArray:
    if evidence.choices is None:
        return np.array([np.exp(row.mean()) if len(row) else 0.0 for row in evidence.label_logprobs()])
    assert evidence.label_index is not None, "a choice domain's labels have places"
    return np.array([row[at] for row, at in zip(evidence.choice_probs(), evidence.label_index, strict=True)])
