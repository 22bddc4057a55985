"""Recipe `probe`: the frozen state of every (prompt, option) of a split, computed once; heads are trained on and read from it.

Whatever hangs on the `states` stages needs neither torch nor the language model, and its cost does not depend on the model's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.models.head import Head, States, train_head
from w2s_bench.models.sources import ENGINE
from w2s_bench.protocol.items import ITEMS
from w2s_bench.protocol.planned import load_planned
from w2s_bench.record import read_arrays, read_json, read_records, write_arrays, write_json
from w2s_bench.store.stage import Stage, StageContext
from w2s_bench.types import FloatArray, IntArray, Item, TrainingRow

STATES, STATE_IDS = "states.safetensors", "ids.json"


def states(model: Mapping[str, Any], subset: Stage) -> Stage:
    """Stage: the last state of every (prompt, option) of a subset. `model` is `training.model_params`.

    How the model is tuned is no part of it: a teacher and a student on one model share it, and so do all arms.
    """
    frozen = {name: model[name] for name in ("name", "fingerprint", "precision", "device")}
    label = f"{subset.label} · states of {model['name']}"
    return Stage(
        "states", 3, "w2s_bench.protocol.recipes.head:run_states", {"model": frozen}, {"subset": subset}, ENGINE, label
    )


def run_states(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    if any(item.choices is None for item in items):
        raise ModelError(
            "recipe 'probe' chooses among options; this domain generates its answers: take 'full' or 'lora'"
        )
    values = load_planned(context).option_states(items)
    offsets = np.cumsum([0, *(len(item.choices or ()) for item in items)])
    write_arrays(context.out / STATES, {"values": values, "offsets": offsets.astype(np.int64)})
    write_json(context.out / STATE_IDS, [item.id for item in items])


@dataclass(frozen=True)
class OptionStates:
    """Options in the order of their items: that of item `places[id]` are rows `offsets[place]:offsets[place + 1]` of `values`."""

    places: Mapping[str, int]
    values: States
    offsets: IntArray

    @classmethod
    def read(cls, folder: Path) -> OptionStates:
        """What a `states` stage wrote."""
        arrays: dict[str, Any] = read_arrays(folder / STATES)
        places = {item: place for place, item in enumerate(read_json(folder / STATE_IDS))}
        return cls(places, arrays["values"], arrays["offsets"])

    def of(self, ids: Sequence[str]) -> tuple[States, IntArray]:
        """States and offsets of these items alone, in this order."""
        places = [self.places[item] for item in ids]
        rows = [np.arange(self.offsets[place], self.offsets[place + 1]) for place in places]
        return self.values[np.concatenate(rows)], np.cumsum([0, *map(len, rows)])


def train(folder: Path, rows: Sequence[TrainingRow], **settings: Any) -> tuple[Head, list[float]]:
    """The head trained on rows of the items in a `states` stage's folder, and the loss of every step."""
    if not rows:
        raise ModelError("no rows to train on; raise the coverage or the size of the split")
    values, offsets = OptionStates.read(folder).of([row.id for row in rows])
    labels = np.array([row.index for row in rows], dtype=np.int64)
    return train_head(values, offsets, labels, **settings)


def scores(folder: Path, weights: Path, ids: Sequence[str]) -> list[FloatArray]:
    """(options,) an item: the logits of the head in the folder `weights`."""
    values, offsets = OptionStates.read(folder).of(ids)
    return np.split(Head.load(weights).scores(values), offsets[1:-1])


def chosen_states(folder: Path, rows: Sequence[TrainingRow]) -> States:
    """(rows, d) the state of each row's own option."""
    known = OptionStates.read(folder)
    return known.values[[int(known.offsets[known.places[row.id]]) + cast(int, row.index) for row in rows]]
