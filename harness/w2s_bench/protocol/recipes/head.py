"""Recipe `head`: the frozen state of every (prompt, option) of a split, computed once; heads are trained on and read from it.

A head corrects the untuned model's own scores: read in the pass that gives the states, they are its zeroth step. It reads a
state at two thirds of the depth, where real models tell more of right and wrong than in their last layer.

Whatever hangs on the `states` stages needs neither torch nor the language model, and its cost does not depend on the model's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.models import head as heads
from w2s_bench.models import ridge as ridges
from w2s_bench.models.batching import order_of
from w2s_bench.models.head import States
from w2s_bench.models.objectives import XENT, ClosedForm, Over, relative
from w2s_bench.plugins.descriptions import DescribedReading
from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.layers import FROZEN, Layers, chosen
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, Values, to_arrays
from w2s_bench.protocol.files import ABSTAINED, ITEMS, LOSSES, PREDICTIONS, READING, ROWS, STATE_IDS, STATES
from w2s_bench.protocol.objectives import PlannedObjective, planned_objective, refuse_changed
from w2s_bench.protocol.planned import PlannedModel, Tutor, load_planned
from w2s_bench.protocol.prediction import choices_of, label_rows
from w2s_bench.protocol.recipes.tuned import Tuned, as_params, reading_of, told
from w2s_bench.protocol.training import (
    folders_of,
    groups_in,
    left_untuned,
    losses_as_written,
    numbered,
    parts_of,
    probs_of,
    report_weights,
    schedule_of,
    settings_of,
)
from w2s_bench.record import array_names, read_arrays, read_json, read_records, write_arrays, write_json, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray, IntArray, Item, Kind, Prediction, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.suite_training import Training


_LAYER: Final = "layer "  # and its number: the name of an array of its states
#: Why there is no order of rows where a head has a penalty and an objective in closed form.
NO_ORDER: Final = "a head that is fitted to convergence sees all rows at every step"


class Head:
    """See `recipes.Recipe`."""

    kinds: tuple[Kind, ...] = ("choice",)
    over: tuple[Over, ...] = ("options",)

    def train(
        self,
        model: PlannedModel,
        training: Training,
        rows: Stage,
        *,
        seed: int,
        label: str = "",
        objective: PlannedObjective | None = None,
        tutor: Tutor | None = None,
    ) -> Stage:
        by = objective or planned_objective(training.objective)
        subsets = [part.inputs["subset"] for part in parts_of(rows)]
        inputs = {
            "rows": rows,
            **numbered("states", [states_of(model, subset) for subset in subsets]),
            **told(model, by, rows, tutor, untuned=partial(self.predict, model.untuned, weights=None)),
        }
        params, drawn = {**schedule_of(training, objective), "seed": seed}, training.steps * training.batch_size
        params |= {"ridge": list(training.ridge), **by.params}
        if training.ridge:
            params |= {"folds": ridges.FOLDS, "draws": ridges.DRAWS}
            inputs |= numbered("subset", subsets)  # their items' groups
        libraries = ("numpy", "scipy") if training.ridge else ("numpy",)
        if not by.in_closed_form:
            libraries = (*libraries, "torch")
        fields = by.stage_fields({"libraries": libraries, "timed_as": model.timed_as})
        return Stage(train_head, params, inputs, label=label, amount=drawn, **fields)

    def no_order(self, training: Training) -> str | None:
        return NO_ORDER if training.ridge and planned_objective(training.objective).in_closed_form else None

    def predict(
        self,
        model: PlannedModel,
        subset: Stage,
        *,
        weights: Stage | None,
        max_new_tokens: int | None = None,
        label: str = "",
    ) -> Stage:
        inputs = {"subset": subset, "states": states_of(model, subset)} | ({"weights": weights} if weights else {})
        return Stage(predict_head, {}, inputs, ("numpy",), label, timed_as=model.timed_as)

    def gives(self, reading: BuiltInReading | DescribedReading, *, tuned: bool) -> bool:
        return not tuned or reading.of_head is not None

    def as_engine(self, model: PlannedModel, weights: Stage | None) -> tuple[PlannedModel, Stage | None]:
        return model.plain, None  # a head leaves it as it is

    def read(self, ask: Ask) -> Stage:
        params, model = as_params(ask.need, ask.seed), ask.model
        reading = reading_of(params)
        if not self.gives(reading, tuned=ask.weights is not None):
            raise ModelError(f"model {model.name!r} tuned by recipe 'head' gives no {ask.need.read}: {reading.instead}")
        # Items that are shown with examples are no head's: of their states none are kept.
        shown_otherwise = ask.weights is None and ask.need.of.endswith("_icl")
        if reading.of_head in (None, "untuned") or shown_otherwise:
            return Tuned().read(replace(ask, model=model.plain, weights=None))
        inputs = {"subset": ask.subset, "labels": ask.labels, "states": states_of(model, ask.subset)}
        if reading.of_head == "scores" and ask.weights is not None:
            inputs["weights"] = ask.weights
        return Stage(read_head, params, inputs, ("numpy",), ask.label, timed_as=model.timed_as)


def states_of(model: PlannedModel, subset: Stage) -> Stage:
    """Stage: of every (prompt, option) of a subset the untuned model's score, and states of the last token.

    How the model is tuned is no part of it: a teacher and a student on one model share it, and so do all arms.
    """
    label = f"{subset.label} · states of {model.name}"
    return Stage(
        states, {"model": model.frozen}, {"subset": subset}, label=label, **replace(model, recipe="head").stage_fields()
    )


@stage("states", version=5)
def states(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    if any(item.choices is None for item in items):
        raise ModelError(
            "recipe 'head' chooses among options; this domain generates its answers: take 'full' or 'lora'"
        )
    from w2s_bench.models.layers import count_of  # torch

    engine = load_planned(context)
    layers = sorted({layer for wanted in FROZEN for layer in chosen(wanted, count_of(engine.model))})
    sums, read = engine.option_readings(items, layers)
    offsets = np.cumsum([0, *(len(item.choices or ()) for item in items)])
    # An array a layer, so that a head reads its own alone; float32: some directions lie far from 0.
    arrays = {f"{_LAYER}{layer}": read[:, place].copy() for place, layer in enumerate(layers)}
    arrays |= {"scores": np.concatenate([*sums, np.zeros(0)]), "offsets": offsets.astype(np.int64)}
    write_arrays(context.out / STATES, arrays)
    write_json(context.out / STATE_IDS, [item.id for item in items])


def is_fitted_to_convergence(training: Stage) -> bool:
    """Whether a stage that trains takes no set number of steps: heads with a penalty and an objective in closed form."""
    params = training.params
    if not params.get("ridge") or "plugin" in params:  # a plugin's objective has no closed form
        return False
    return planned_objective(params.get("objective", "xent")).in_closed_form


@stage("train_head", version=4)
def train_head(context: StageContext) -> None:
    if left_untuned(context):
        return
    settings = settings_of(context)
    rows = read_records(context.inputs["rows"] / ROWS, TrainingRow)
    probs = probs_of(context, rows, settings["objective"].needs)
    report_weights(rows)
    chosen_by = {name: context.params[name] for name in ("folds", "draws") if name in context.params}
    head, losses = trained(
        folders_of(context, "states"),
        rows,
        probs=probs,
        grid=context.params.get("ridge", []),
        groups=groups_in(context),
        **chosen_by,
        **settings,
    )
    refuse_changed(context)
    head.save(context.out)
    write_json(context.out / LOSSES, losses_as_written(losses))


@stage("predict_head", version=4)
def predict_head(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    ids = [item.id for item in items]
    logits = scores(context.inputs["states"], context.inputs.get("weights"), ids)
    write_records(context.out / PREDICTIONS, choices_of(items, logits))


@stage("read_head", version=4)
def read_head(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    reading, folder = reading_of(context.params), context.inputs["states"]
    if reading.of_head == "states":
        read: Values = reading.of_frozen(lambda layers: OptionStates.read(folder, layers=layers).by_item(rows), rows)
    else:
        read = scores(folder, context.inputs.get("weights"), [row.id for row in rows])
    write_arrays(context.out / READING, to_arrays(reading.form, read))


@dataclass(frozen=True)
class OptionStates:
    """Options in the order of their items: that of item `places[id]` are rows `offsets[place]:offsets[place + 1]`.

    `states` (options, layers, d) are those of the layers that were asked for, `scores` (options,) the untuned model's summed
    log-probabilities.
    """

    places: Mapping[str, int]
    states: States
    scores: FloatArray
    offsets: IntArray

    @classmethod
    def read(cls, *folders: Path, layers: Layers | None = None) -> OptionStates:
        """What `states` stages wrote, of one split each; `layers` of those that they keep, by default the one that heads read."""
        parts = [cls._of_one(folder / STATES, layers) for folder in folders]
        ids = [item for folder in folders for item in read_json(folder / STATE_IDS)]
        places = {item: index for index, item in enumerate(ids)}
        if len(parts) == 1:
            return cls(places, *parts[0])
        states, scores, offsets = zip(*parts, strict=True)
        counts = np.concatenate([np.diff(of_folder) for of_folder in offsets])
        return cls(places, np.concatenate(states), np.concatenate(scores), np.cumsum([0, *counts]))

    @staticmethod
    def _of_one(path: Path, layers: Layers | None) -> tuple[States, FloatArray, IntArray]:
        count = 1 + max(int(name.removeprefix(_LAYER)) for name in array_names(path) if name.startswith(_LAYER))
        wanted = chosen("middle", count)[-1:] if layers is None else chosen(layers, count)
        arrays: dict[str, Any] = read_arrays(path, [*(f"{_LAYER}{layer}" for layer in wanted), "scores", "offsets"])
        return np.stack([arrays[f"{_LAYER}{layer}"] for layer in wanted], axis=1), arrays["scores"], arrays["offsets"]

    @property
    def values(self) -> States:
        """(options, d): the states of the first of the layers."""
        return self.states[:, 0]

    def by_item(self, rows: Sequence[TrainingRow]) -> list[States]:
        """(options, layers, d) a row: the states of its item's options."""
        places = [self.places[row.id] for row in rows]
        return [self.states[self.offsets[place] : self.offsets[place + 1]] for place in places]

    def of(self, ids: Sequence[str]) -> tuple[States, FloatArray, IntArray]:
        """`values`, `scores` and offsets of these items alone, in this order."""
        places = [self.places[item] for item in ids]
        rows = [np.arange(self.offsets[index], self.offsets[index + 1]) for index in places]
        chosen = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
        return self.values[chosen], self.scores[chosen], np.cumsum([0, *map(len, rows)])


def trained(
    folders: Sequence[Path],
    rows: Sequence[TrainingRow],
    *,
    grid: Sequence[float] = (),
    folds: int = ridges.FOLDS,
    draws: int = ridges.DRAWS,
    groups: Mapping[str, str] = MappingProxyType({}),
    **settings: Any,
) -> tuple[heads.Head, list[float]]:
    """The head trained on rows of the items in the folders of `states` stages, and the loss of every step.

    A ridge strength between those in `grid` is chosen by the rows' own labels, in folds over the `groups` of their items (by id;
    an item without one is of its own); where there is no grid, AdamW has no penalty.
    An objective in closed form is minimised to convergence, any other by AdamW under the strength that the cross-entropy chose.
    """
    if not rows:
        raise ModelError("no rows to train on; raise the coverage or the size of the split")
    order = order_of(rows)
    ids = [row.id for row in rows]
    values, zero_shot, offsets = OptionStates.read(*folders).of(ids)
    labels = np.array([row.index for row in rows], dtype=np.int64)
    weights = relative([row.weight for row in rows])
    if not grid:
        return heads.train_head(values, offsets, labels, weights=weights, zero_shot=zero_shot, order=order, **settings)
    bounds: dict[str, Any] = {"folds": folds, "draws": draws, "steps": settings["steps"], "seed": settings["seed"]}
    bounds |= {"groups": [groups.get(item, item) for item in ids]}
    objective = settings.get("objective", XENT)
    if isinstance(objective, ClosedForm):
        if order is not None:
            raise ModelError(f"these rows have an order, and {NO_ORDER}; take ridge: [], or another recipe")
        bounds |= {"grid": grid, "weights": weights, "zero_shot": zero_shot, "objective": objective}
        bounds |= {"probs": settings.get("probs")}
        head, losses, strength = ridges.fit_head(values, offsets, labels, **bounds)
        if len(losses) > settings["steps"]:  # the loss at the start, and after every iteration
            print(f"stopped after {settings['steps']} iterations before it had converged; raise steps", flush=True)
    else:
        problem, _ = ridges.problem_of(values, offsets, labels, zero_shot=zero_shot, weights=weights)
        strength = ridges.choose(problem, grid, **bounds)
        head, losses = heads.train_head(
            values, offsets, labels, weights=weights, zero_shot=zero_shot, ridge=strength, order=order, **settings
        )
    print(f"ridge {strength:.3g} chosen between {min(grid):g} and {max(grid):g}", flush=True)
    return head, losses


def scores(folder: Path, weights: Path | None, ids: Sequence[str]) -> list[FloatArray]:
    """(options,) per item: the logits of the head in the folder `weights`; without one, what the untuned model says."""
    if not ids:  # few groups leave folds empty
        return []
    values, zero_shot, offsets = OptionStates.read(folder).of(ids)
    if weights is None or (weights / ABSTAINED).exists():
        return np.split(zero_shot, offsets[1:-1])
    return np.split(heads.Head.load(weights).scores(values, zero_shot), offsets[1:-1])
