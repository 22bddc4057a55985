"""How undecided a model is before each token of the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values
from w2s_bench.types import Form, Synthetic, TrainingRow


class LabelEntropies(BuiltInReading):
    """Form "tokens": nats, 0 or more, one a token of the label, and of its end where it was generated."""

    form: ClassVar[Form] = "tokens"
    call = 'read(Need(of, "label_entropies"))'
    says = "a row an item: entropy, in nats, of what the model expects in the place of each token of the label"

    @property
    def of_head(self) -> OfHead:
        return "untuned"  # a head gives no tokens, the untuned model below it does

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        return model.label_entropies(rows)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """The surer, the more right the label is to look."""
        return [np.exp(rng.normal(-lean / 2, 0.5, rng.integers(2, 9))) for lean in made_up.lean]


READING = LabelEntropies
