"""Probabilities over options → what cleanlab says of the labels."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, IntArray, Kind, Need, Scope, Supervision

Measure = Literal["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


class Cleanlab:
    """cleanlab's label quality on out-of-sample probabilities: how well the label fits what students say who have not seen it.

    p are a cross-fitted student's probabilities over the options. `measure` "self_confidence": p(label); "normalized_margin":
    (p(label) - max p(other) + 1) / 2; "confidence_weighted_entropy": the entropy of p over p(label), turned and scaled by cleanlab; all in
    [0, 1], higher = more trusted. `thresholds`: first take the mean p of a class over its own labels off (not for the entropy, for which
    cleanlab has no such thing). That needs classes: where all items offer the same options, each is one. Elsewhere the measures are of each
    item's options alone, without thresholds. Northcutt, Jiang & Chuang (2021), arXiv 1911.00068. Cost: five students, each of the suite's
    steps.
    """

    supervision: Supervision = "none"
    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"
    needs: tuple[Need, ...] = (Need("student_cv", "choice_probs"),)

    def __init__(self, measure: Measure = "self_confidence", thresholds: bool = True) -> None:
        if measure not in get_args(Measure):
            raise ValueError(f"measure must be one of {', '.join(get_args(Measure))}; got {measure!r}")
        if type(thresholds) is not bool:
            raise ValueError(f"thresholds must be true or false, got {thresholds!r}")
        self.measure: Measure = measure
        self.thresholds = thresholds and measure != "confidence_weighted_entropy"

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing to learn."""

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        choices, index = evidence.choices, evidence.label_index
        assert choices is not None and index is not None, "for choice domains alone"
        # By text: the place of an option means nothing, and cleanlab asks for columns in one order.
        orders = [sorted(range(len(options)), key=lambda i: options[i].strip()) for options in choices]
        probs = [np.asarray(p)[order] for p, order in zip(evidence.choice_probs("student_cv"), orders, strict=True)]
        labels = np.array([order.index(int(at)) for order, at in zip(orders, index, strict=True)], dtype=np.int64)
        offered = {tuple(options[i].strip() for i in order) for options, order in zip(choices, orders, strict=True)}
        scores = np.zeros(len(probs))
        for width in sorted({len(p) for p in probs}):  # cleanlab scales an entropy by how many classes there are
            rows = np.array([row for row, p in enumerate(probs) if len(p) == width])
            table = np.stack([probs[row] for row in rows])
            scores[rows] = self._quality(labels[rows], table, classes=len(offered) == 1)
        return scores

    def _quality(self, labels: IntArray, probs: FloatArray, *, classes: bool) -> FloatArray:
        from cleanlab.rank import get_label_quality_scores

        adjusted = self.thresholds and classes
        # Means of a class, summed in one order: rows in another order have the same last digits.
        order = np.lexsort((*probs.T, labels))
        told = get_label_quality_scores(labels[order], probs[order], method=self.measure, adjust_pred_probs=adjusted)
        scores = np.empty(len(labels))
        scores[order] = told
        return scores
