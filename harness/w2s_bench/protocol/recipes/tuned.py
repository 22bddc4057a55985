"""Recipes `full` and `lora`: the language model itself is trained, or left as it is where there are no weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_bench.errors import ContextError, NotApplicableError
from w2s_bench.plugins.descriptions import DescribedReading
from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, to_arrays
from w2s_bench.protocol.files import FORMAT, ITEMS, LOSSES, PREDICTIONS, READING, ROWS
from w2s_bench.protocol.objectives import PlannedObjective, planned_objective, refuse_changed
from w2s_bench.protocol.planned import PlannedModel, Tutor, load_planned
from w2s_bench.protocol.prediction import as_completion, choices_of, label_rows
from w2s_bench.protocol.recipes.on_policy import on_policy
from w2s_bench.protocol.training import (
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
from w2s_bench.record import read_json, read_records, write_arrays, write_json, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import JSON, KINDS, Item, Kind, Need, Prediction, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.models.objectives import Over
    from w2s_bench.suite_training import Training


class Tuned:
    """See `recipes.Recipe`."""

    kinds: tuple[Kind, ...] = KINDS
    over: tuple[Over, ...] = ("tokens", "options")

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
        if by.on_policy and tutor is not None and tutor.max_new_tokens is not None:
            return on_policy(model, training, rows, seed=seed, objective=by, tutor=tutor, label=label)
        params = {"model": model.params, **schedule_of(training, objective), "seed": seed, **by.params}
        drawn = training.steps * training.batch_size
        inputs = {"rows": rows, **told(model, by, rows, tutor)}
        if by.stops_early:
            inputs |= numbered("subset", [part.inputs["subset"] for part in parts_of(rows)])  # their items' groups
        return Stage(train, params, inputs, label=label, amount=drawn, **by.stage_fields(model.stage_fields()))

    def no_order(self, training: Training) -> str | None:
        return None

    def predict(
        self,
        model: PlannedModel,
        subset: Stage,
        *,
        weights: Stage | None,
        max_new_tokens: int | None = None,
        label: str = "",
    ) -> Stage:
        inputs = {"subset": subset} | ({"weights": weights} if weights else {})
        params = {"model": model.params_to_ask(), "max_new_tokens": max_new_tokens}
        return Stage(predict, params, inputs, label=label, **model.fields_to_ask())

    def gives(self, reading: BuiltInReading | DescribedReading, *, tuned: bool) -> bool:
        return True

    def as_engine(self, model: PlannedModel, weights: Stage | None) -> tuple[PlannedModel, Stage | None]:
        return model, weights

    def read(self, ask: Ask) -> Stage:
        inputs = {"subset": ask.subset, "labels": ask.labels} | ({"weights": ask.weights} if ask.weights else {})
        by, model = as_params(ask.need, ask.seed), ask.model
        texts = reading_of(by).of_texts
        params = {"model": model.params_to_ask(texts=texts), **by}
        return Stage(read, params, inputs, label=ask.label, **model.fields_to_ask(texts=texts))


def told(
    model: PlannedModel,
    objective: PlannedObjective,
    rows: Stage,
    tutor: Tutor | None = None,
    *,
    untuned: Callable[..., Stage] | None = None,
) -> dict[str, Stage]:
    """The predictions, over the items of `rows`, of those whose distributions the objective needs.

    `untuned` makes the student's before it is tuned, of a subset, where its recipe has a way of its own to them.
    Rows of gold have no teacher: their labels are all that a model is trained towards. What `tutor` was before it was trained is
    asked for where it is given.
    """
    needs, stages = objective.needs, dict[str, Stage]()
    parts = parts_of(rows)
    if "teacher" in needs:
        stages |= numbered("teacher", [part.inputs["labels"] for part in parts if "labels" in part.inputs])
    if "student" in needs:
        ask = untuned or partial(Tuned().predict, model.plain, weights=None)
        stages |= numbered("student", [_untuned_answers(model, part.inputs["subset"], ask) for part in parts])
    if "untuned_teacher" in needs and tutor is not None:
        own = [part.inputs["subset"] for part in parts if "labels" in part.inputs]
        ask = partial(Tuned().predict, tutor.model.plain, weights=None)
        stages |= numbered("untuned_teacher", [_untuned_answers(tutor.model, subset, ask) for subset in own])
    return stages


def _untuned_answers(model: PlannedModel, subset: Stage, ask: Callable[..., Stage]) -> Stage:
    return ask(subset, label=f"{subset.label} · answers of {model.name} untuned")


def as_params(need: Need, seed: int | None) -> dict[str, JSON]:
    """What a `read` stage holds of a need, whoever reads."""
    others = {name: value for name, value in need.parameters.items() if name != "layer"}
    drawn = {} if seed is None else {"seed": seed}
    return {"read": need.read, "layer": need.layer, **({"parameters": others} if others else {}), **drawn}


def reading_of(params: Mapping[str, JSON]) -> BuiltInReading:
    """The reading that a `read` stage was planned with."""
    layer = {} if params["layer"] is None else {"layer": params["layer"]}
    reading = built_in_reading(params["read"], {**layer, **params.get("parameters", {})})
    assert reading is not None, params["read"]  # stages are planned for built-in readings alone
    return reading


@stage("train", version=5)
def train(context: StageContext) -> None:
    if left_untuned(context):
        return
    model = PlannedModel.read(context.params["model"])
    rows = read_records(context.inputs["rows"] / ROWS, TrainingRow)
    engine = load_planned(context)
    settings = settings_of(context)
    probs = probs_of(context, rows, settings["objective"].needs)
    report_weights(rows)
    tuning: dict[str, Any] = {"recipe": model.recipe, "lora_rank": model.lora_rank, "groups": groups_in(context)}
    losses = engine.train(rows, probs=probs, **tuning, **settings)
    refuse_changed(context)  # once more: imports inside an objective's code came from the disk only now
    engine.save_weights(context.out, recipe=model.recipe)
    write_json(context.out / LOSSES, losses_as_written(losses))


@stage("predict", version=4)
def predict(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    form = read_json(context.inputs["subset"] / FORMAT)
    if form["kind"] == "choice":
        predictions = choices_of(items, load_planned(context).choice_scores(items))
    else:
        limit = context.params["max_new_tokens"]
        generated = load_planned(context).generate(items, max_new_tokens=limit, until=form["until"])
        predictions = [
            Prediction(item.id, answer.text, as_completion(answer.text, form["delimiter"]), answer.ended)
            for item, answer in zip(items, generated, strict=True)
        ]
    write_records(context.out / PREDICTIONS, predictions)


@stage("read", version=4)
def read(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    reading, seed = reading_of(context.params), context.params.get("seed")
    rng = None if seed is None else np.random.default_rng(seed)
    engine = load_planned(context)
    try:
        values = reading.read(engine, rows, rng=rng)
    except ContextError as error:
        # Prompts fit by themselves, as was seen before the run, and not with the examples or the question that are read with them.
        name = PlannedModel.read(context.params["model"]).name
        raise NotApplicableError(
            f"{context.params['read']} asks more of model {name!r} than it reads: {error}"
        ) from error
    write_arrays(context.out / READING, to_arrays(reading.form, values))
