"""States of a model at the end of prompt + option, for every option of an item and not for the label alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.layers import FROZEN, checked, chosen
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, Frozen, OfHead, Values
from w2s_bench.types import Form, Kind, Synthetic, TrainingRow


class OptionStates(BuiltInReading):
    """Form "option_array": (options, layers, d) a row; stored in float32."""

    form: ClassVar[Form] = "option_array"
    kinds: ClassVar[tuple[Kind, ...]] = ("choice",)
    call = "option_states(of, layers)"
    says = (
        "a row an item: (options, layers, d), states of the last token of prompt + option, in the order of `choices`; "
        "`contrast(states, label_index)` gives the label's minus the mean of the others'. Choice domains only"
    )
    instead = "this domain's answers are generated, there are no options (`choices` is None); read hidden_states"

    def __init__(self, layers: Any) -> None:
        self.layers = checked(layers, "option_states")

    @property
    def of_head(self) -> OfHead:
        return "states" if self.layers in FROZEN else "untuned"  # a head leaves the model as it is

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        if not rows:
            return []
        count = model.hidden_states(rows[:1], "all").shape[1]
        states = model.option_states(rows, chosen(self.layers, count))
        return np.split(states, np.cumsum([len(row.choices or ()) for row in rows])[:-1])

    def of_frozen(self, frozen: Frozen, rows: Sequence[TrainingRow]) -> Values:
        return frozen(self.layers)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """The label's state leans away from the others', in the middle layer alone and in one direction for every draw.

        What the options of a row share is larger than that: one state by itself says little.
        """
        direction = np.random.default_rng(made_up.width).normal(size=made_up.width)
        rows = []
        for row, lean in zip(made_up.rows, made_up.lean, strict=True):
            shape = (made_up.layers, made_up.width)
            states = 3 * rng.normal(size=shape) + rng.normal(size=(len(row.choices or ()), *shape))
            states[cast(int, row.index), made_up.layers // 2] += lean * direction / np.linalg.norm(direction)
            rows.append(states[:, chosen(self.layers, made_up.layers)])
        return rows


READING = OptionStates
