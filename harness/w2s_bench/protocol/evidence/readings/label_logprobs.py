"""Log-probabilities of the label's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, Values
from w2s_bench.types import Form, Synthetic, TrainingRow


class LabelLogprobs(BuiltInReading):
    """Form "tokens": natural logarithms, at most 0, one a token of the label, and of its end where it was generated."""

    form: ClassVar[Form] = "tokens"
    of_texts: ClassVar[bool] = True
    call = "label_logprobs(of)"
    says = "a row an item: natural log-probability of each token of the label"
    instead = "it scores options, not tokens; read choice_probs"

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        return model.label_logprobs(rows)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        return [-np.exp(rng.normal(-1 - lean / 2, 0.5, rng.integers(2, 9))) for lean in made_up.lean]


READING = LabelLogprobs
