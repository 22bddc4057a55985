"""States of a model at the last token of prompt + label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.errors import EvidenceError
from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.layers import FROZEN, chosen
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, Frozen, OfHead, Values, states_by_parts
from w2s_bench.types import FloatArray, Form, Synthetic, TrainingRow


class HiddenStates(BuiltInReading):
    """Form "array": (n, d), or (n, layers, d) for layer "all" (the embedding first) and "middle"; stored in float32."""

    form: ClassVar[Form] = "array"
    call = "hidden_states(of, layer)"
    says = (
        "(n, d): state of the last token of prompt + label. Layer 0 is the embedding, -1 the last; "
        '`"all"`: (n, layers, d), the embedding among them, which is the last token itself; `"middle"`: (n, layers, d) at '
        "a third, half and two thirds of the depth"
    )

    def __init__(self, layer: int | Literal["all", "middle"]) -> None:
        if layer not in ("all", "middle") and type(layer) is not int:
            raise ValueError(f"the layer of hidden_states must be an integer, 'all' or 'middle', got {layer!r}")
        self.layer = layer

    @property
    def of_head(self) -> OfHead:
        return "states" if self.layer in FROZEN else "untuned"  # a head leaves the model as it is

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        if self.layer == "middle":
            return states_by_parts(model, rows, lambda count: chosen("middle", count))
        return model.hidden_states(rows, self.layer)

    def of_frozen(self, frozen: Frozen, rows: Sequence[TrainingRow]) -> Values:
        """The state of the label is that of the option which it is."""
        every = frozen(self.layer)
        labels = [states[cast(int, row.index)] for states, row in zip(every, rows, strict=True)]
        found = np.stack(labels) if labels else np.zeros((0, 1, 0), dtype=np.float32)
        return found if self.layer == "middle" else found[:, 0]

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """Of the layers only the middle one leans, in a direction the same for every draw."""
        states = rng.normal(size=(len(made_up.rows), made_up.layers, made_up.width))
        direction = np.random.default_rng(made_up.width).normal(size=made_up.width)
        states[:, made_up.layers // 2] += np.outer(made_up.lean, direction / np.linalg.norm(direction))
        return self.of_all(states)

    def of_all(self, states: FloatArray) -> FloatArray:
        """This reading's layer out of all of them, (n, layers, d)."""
        if self.layer == "all":
            return states
        if self.layer == "middle":
            return states[:, chosen("middle", states.shape[1])]
        count: Any = states.shape[1]
        if not -count <= self.layer < count:
            raise EvidenceError(f"layer {self.layer} of {count}; 0 is the embedding, -1 the last")
        return states[:, self.layer]


READING = HiddenStates
