"""States of a model over the label, on average: what its tokens have in common, and not the last one alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.layers import checked, chosen
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values, states_by_parts
from w2s_bench.types import Form, Synthetic, TrainingRow


class LabelStates(BuiltInReading):
    """Form "array": (n, layers, d); stored in float32."""

    form: ClassVar[Form] = "array"
    call = 'read(Need(of, "label_states", layers="middle"))'
    says = "(n, layers, d): the mean state of the label's tokens, its end token left out; of a label without any, that of the prompt's last"

    def __init__(self, layers: Any) -> None:
        self.layers = checked(layers, "label_states")

    @property
    def of_head(self) -> OfHead:
        return "untuned"  # a head leaves the model as it is

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        return states_by_parts(model, rows, lambda count: chosen(self.layers, count), over="completion")

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """Of the layers only the middle one leans, in a direction the same for every draw."""
        states = rng.normal(size=(len(made_up.rows), made_up.layers, made_up.width))
        direction = np.random.default_rng(made_up.width).normal(size=made_up.width)
        states[:, made_up.layers // 2] += np.outer(made_up.lean, direction / np.linalg.norm(direction))
        return states[:, chosen(self.layers, made_up.layers)]


READING = LabelStates
