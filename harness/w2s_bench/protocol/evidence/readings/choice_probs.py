"""Probabilities over an item's options. What is stored are their scores, summed log-probabilities or a head's logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values
from w2s_bench.types import FloatArray, Form, Kind, Prediction, Reader, Synthetic, TrainingRow


class ChoiceProbs(BuiltInReading):
    """Form "options": in [0, 1], each row's sum is 1."""

    form: ClassVar[Form] = "options"
    of_texts: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("choice",)
    call = "choice_probs(of)"
    says = "a row an item: probabilities over its options, in the order of `choices`, sum 1. Choice domains only"
    instead = "this domain's answers are generated, there are no options (`choices` is None); read label_logprobs"

    @property
    def of_head(self) -> OfHead:
        return "scores"

    def comes_with_labels(self, of: Reader) -> bool:
        return of == "teacher"  # the teacher chose the label by these very scores

    def from_label(self, label: Prediction) -> FloatArray:
        return np.asarray(label.choice_scores, dtype=np.float64)

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        return model.choice_scores(rows)

    def shown(self, row: FloatArray) -> FloatArray:
        return _softmax(row)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """The teacher's label is its own most likely option; others may prefer another."""
        rows = []
        for row, lean in zip(made_up.rows, made_up.lean, strict=True):
            logits, noise = rng.normal(size=len(row.choices or ())), float(rng.normal())
            at = cast(int, row.index)
            if made_up.of == "teacher":
                logits[at] = logits.max() + np.logaddexp(0, lean + noise)
            else:
                logits[at] += lean
            rows.append(_softmax(logits))
        return rows


def _softmax(scores: FloatArray) -> FloatArray:
    weights = np.exp(scores - scores.max())
    return cast(FloatArray, weights / weights.sum())


READING = ChoiceProbs
