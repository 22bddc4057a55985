"""States of a model at the end of the prompt, before it has read the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.layers import checked, chosen
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values, states_by_parts
from w2s_bench.types import Form, Synthetic, TrainingRow


class PromptStates(BuiltInReading):
    """Form "array": (n, layers, d); stored in float32."""

    form: ClassVar[Form] = "array"
    call = "prompt_states(of, layers)"
    says = "(n, layers, d): state of the last token of the prompt, which has not read the label"

    def __init__(self, layers: Any) -> None:
        self.layers = checked(layers, "prompt_states")

    @property
    def of_head(self) -> OfHead:
        return "untuned"  # a head leaves the model as it is

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        prompts = [replace(row, completion="", ended=False, choices=None, index=None) for row in rows]
        return states_by_parts(model, prompts, lambda count: chosen(self.layers, count))

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """Of the layers only the middle one leans, half as much as others do: it has not seen the label."""
        states = rng.normal(size=(len(made_up.rows), made_up.layers, made_up.width))
        direction = np.random.default_rng(made_up.width).normal(size=made_up.width)
        states[:, made_up.layers // 2] += np.outer(made_up.lean / 2, direction / np.linalg.norm(direction))
        return states[:, chosen(self.layers, made_up.layers)]


READING = PromptStates
