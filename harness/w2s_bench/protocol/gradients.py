"""Training rows → the gradient of each at a student, projected. For looking at runs that are finished.

Rows are a sample, drawn by the same hash whatever their labels: weak and gold labels of one split are of the same items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.models import head
from w2s_bench.protocol.files import GRADIENTS, ROWS, STATE_IDS
from w2s_bench.protocol.planned import PlannedModel, load_planned
from w2s_bench.protocol.recipes.head import OptionStates, states_of
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_arrays, read_json, read_records, write_arrays, write_json
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import TrainingRow


def gradients(
    model: PlannedModel,
    rows: Stage,
    *,
    pool: Stage,
    most: int,
    dimensions: int,
    seed: int,
    weights: Stage | None = None,
    label: str = "",
) -> Stage:
    """Stage: of at most `most` of `rows` (of one split, each once) the gradient at the model as it is before its first step, or with
    the `weights` that its recipe's `train` gave.

    `full` and `lora`: projected to `dimensions` numbers. `head`: all that a head has, in the scale of the items of `pool`.
    """
    params: dict[str, Any] = {"most": most, "seed": seed}
    if model.recipe == "head":
        inputs = {"rows": rows, "states": states_of(model, rows.inputs["subset"]), "pool": states_of(model, pool)}
        inputs |= {"weights": weights} if weights else {}
        return Stage(of_head, params, inputs, ("numpy",), label, timed_as=model.timed_as)
    params |= {"model": model.params, "dimensions": dimensions}
    inputs = {"rows": rows} | ({"weights": weights} if weights else {})
    return Stage(of_model, params, inputs, label=label, amount=most, **model.stage_fields())


@stage("gradients", version=1)
def of_model(context: StageContext) -> None:
    model, p = PlannedModel.read(context.params["model"]), context.params
    rows = _sample(context)
    engine = load_planned(context)
    gradients = engine.gradients(
        rows, recipe=model.recipe, lora_rank=model.lora_rank, dimensions=p["dimensions"], seed=p["seed"]
    )
    _write(context.out, rows, gradients)


@stage("gradients_of_head", version=1)
def of_head(context: StageContext) -> None:
    rows = _sample(context)
    values, zero_shot, offsets = OptionStates.read(context.inputs["states"]).of([row.id for row in rows])
    labels = np.array([cast(int, row.index) for row in rows], dtype=np.int64)
    like = OptionStates.read(context.inputs["pool"]).values
    begun = head.Head.load(context.inputs["weights"]) if "weights" in context.inputs else None
    _write(context.out, rows, head.gradients_of(values, zero_shot, offsets, labels, like=like, begun=begun))


def _sample(context: StageContext) -> list[TrainingRow]:
    """The first of the rows by a seeded hash of their ids: whatever is drawn of fewer is among them."""
    rows = read_records(context.inputs["rows"] / ROWS, TrainingRow)
    drawn = sorted(rows, key=lambda row: hash_rank("gradient", context.params["seed"], row.id))
    return drawn[: context.params["most"]]


def _write(folder: Path, rows: Sequence[TrainingRow], gradients: NDArray[np.float32]) -> None:
    write_arrays(folder / GRADIENTS, {"gradients": gradients})
    write_json(folder / STATE_IDS, [row.id for row in rows])


@dataclass(frozen=True)
class Gradients:
    """What a stage wrote: ids in the order of the sample, and (n, d) a gradient each."""

    places: Mapping[str, int]
    values: NDArray[np.float32]

    @classmethod
    def read(cls, folder: Path) -> Gradients:
        ids = read_json(folder / STATE_IDS)
        values = cast("NDArray[np.float32]", read_arrays(folder / GRADIENTS)["gradients"])
        return cls({name: row for row, name in enumerate(ids)}, values)

    def of(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """(len(ids), d) of these items, in this order."""
        return self.values[[self.places[name] for name in ids]]
