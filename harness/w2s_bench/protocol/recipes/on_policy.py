"""Students of `full` and `lora` that learn from answers of their own, where answers are generated: who is asked about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from w2s_bench.protocol.files import FORMAT, LOSSES, ROWS
from w2s_bench.protocol.planned import PlannedModel, load_planned
from w2s_bench.protocol.training import (
    left_untuned,
    losses_as_written,
    parts_of,
    report_weights,
    schedule_of,
    settings_of,
)
from w2s_bench.record import read_json, read_records, write_json
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import TrainingRow, Whose

if TYPE_CHECKING:
    from w2s_bench.protocol.objectives import PlannedObjective
    from w2s_bench.protocol.planned import Tutor
    from w2s_bench.suite_training import Training


def on_policy(
    model: PlannedModel,
    training: Training,
    rows: Stage,
    *,
    seed: int,
    objective: PlannedObjective,
    tutor: Tutor,
    label: str = "",
) -> Stage:
    """Stage: a model trained on answers that it writes to the prompts of `rows`. Gold is no input but through the teacher's weights."""
    whole: dict[Whose, PlannedModel] = {
        "teacher": tutor.model if tutor.weights else tutor.model.untuned,
        "untuned_teacher": tutor.model.untuned,
        "student": model.untuned,
    }
    asked = {whose: whole[whose] for whose in objective.needs}
    params = {"model": model.params, **schedule_of(training, objective), "seed": seed}
    params |= {"max_new_tokens": tutor.max_new_tokens, "asked": {whose: one.params for whose, one in asked.items()}}
    inputs = {"rows": rows, "subset": parts_of(rows)[0].inputs["subset"]}
    if tutor.weights is not None:
        inputs["teacher"] = tutor.weights
    fields = model.stage_fields()
    libraries = {name for one in (model, *asked.values()) for name in one.stage_fields()["libraries"]}
    fields |= {"libraries": tuple(sorted(libraries))}
    return Stage(train_on_policy, params, inputs, label=label, amount=training.steps * training.batch_size, **fields)


@stage("train_on_policy", version=2)
def train_on_policy(context: StageContext) -> None:
    if left_untuned(context):
        return
    from w2s_bench.models.on_policy import Rolling  # torch

    model = PlannedModel.read(context.params["model"])
    rows = read_records(context.inputs["rows"] / ROWS, TrainingRow)
    until = tuple(read_json(context.inputs["subset"] / FORMAT)["until"])
    engine, others = load_planned(context), {whose: _asked(context, whose) for whose in context.params["asked"]}
    rolling = Rolling(others, context.params["max_new_tokens"], until)
    report_weights(rows)
    tuning: dict[str, Any] = {"recipe": model.recipe, "lora_rank": model.lora_rank, "rolling": rolling}
    losses = engine.train(rows, **tuning, **settings_of(context))
    engine.save_weights(context.out, recipe=model.recipe)
    write_json(context.out / LOSSES, losses_as_written(losses))


def _asked(context: StageContext, whose: Whose) -> Any:
    """A model that is asked, loaded: the teacher with its weights, the others as they came."""
    inputs = {"weights": context.inputs["teacher"]} if whose == "teacher" and "teacher" in context.inputs else {}
    return load_planned(replace(context, params={"model": context.params["asked"][whose]}, inputs=inputs))
