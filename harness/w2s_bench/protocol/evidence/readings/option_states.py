"""States of a model at the end of prompt + option, for every option of an item and not for the label alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.layers import checked, chosen
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values, states_by_parts
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
        return "untuned"  # a head leaves the model as it is

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        options = [replace(row, completion=text, ended=False) for row in rows for text in row.choices or ()]
        states = states_by_parts(model, options, lambda count: chosen(self.layers, count))
        counts = [len(row.choices or ()) for row in rows]
        return np.split(states, np.cumsum(counts)[:-1]) if rows else []

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
