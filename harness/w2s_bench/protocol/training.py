"""Gold or weak labels → the rows that a model is trained on, and whether a model can be trained and asked at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from w2s_bench.errors import ModelError
from w2s_bench.protocol.catalogue import every_nth
from w2s_bench.protocol.files import ANSWERS, FORMAT, ITEMS, KEPT, PREDICTIONS, REMARKS, ROWS
from w2s_bench.protocol.planned import PlannedModel, load_planned
from w2s_bench.protocol.prediction import label_rows
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import JSON, Answer, Item, Prediction, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.suite import Training

_MOST_MEASURED = 2000  # golds, evenly spread


def weak_rows(subset: Stage, labels: Stage, kept: Stage | None, label: str = "") -> Stage:
    """Stage: training rows from weak labels; only those kept, where a selection is given."""
    inputs = {"subset": subset, "labels": labels} | ({"kept": kept} if kept else {})
    return Stage(make_weak_rows, {}, inputs, label=label)


def gold_rows(subset: Stage, gold: Stage, kept: Stage | None, label: str = "") -> Stage:
    """Stage: training rows from gold, for the teacher, the ceiling and the gold controls alone."""
    inputs = {"subset": subset, "gold": gold} | ({"kept": kept} if kept else {})
    return Stage(make_gold_rows, {}, inputs, label=label)


def schedule_of(training: Training) -> dict[str, JSON]:
    """What a recipe's stage holds of how long and how fast a model is trained."""
    return training.model_dump(include={"steps", "batch_size", "learning_rate"})


def losses_as_written(losses: Sequence[float]) -> list[float]:
    return [round(loss, 6) for loss in losses]


def usable(model: PlannedModel, most_new: int | None, answers: Stage, label: str = "") -> Stage:
    """Stage: the model loads and can be trained and asked as a suite says. Run first: a student's turn may be hours away.

    `most_new` bounds generated answers, None where options are scored. The gold is measured, and nothing learns from it.
    """
    params = {"model": model.params, "max_new_tokens": most_new}
    inputs = {"answers": answers} if most_new else {}
    return Stage(run_usable, params, inputs, label=label, **model.stage_fields())


@stage("weak_rows", version=1)
def make_weak_rows(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    write_records(context.out / ROWS, _only_kept(context, rows))


@stage("gold_rows", version=1)
def make_gold_rows(context: StageContext) -> None:
    items = {item.id: item for item in read_records(context.inputs["subset"] / ITEMS, Item)}
    ended = read_json(context.inputs["subset"] / FORMAT)["kind"] == "generate"
    rows = [
        TrainingRow(a.id, items[a.id].prompt, a.completion, ended, items[a.id].choices, a.index)
        for a in read_records(context.inputs["gold"] / ANSWERS, Answer)
    ]
    write_records(context.out / ROWS, _only_kept(context, rows))


def _only_kept(context: StageContext, rows: list[TrainingRow]) -> list[TrainingRow]:
    if "kept" in context.inputs:
        kept = set(read_json(context.inputs["kept"] / KEPT)["ids"])
        rows = [row for row in rows if row.id in kept]
    return sorted(rows, key=lambda row: row.id)


@stage("usable", version=1)
def run_usable(context: StageContext) -> None:
    model, most_new, reader = context.params["model"], context.params["max_new_tokens"], load_planned(context)
    reader.refuse_unfit(recipe=model["recipe"], lora_rank=model["lora_rank"], generates=most_new is not None)
    notes = reader.notes()
    if most_new is not None:
        gold = [row["completion"] for row in every_nth(context.inputs["answers"] / ANSWERS, _MOST_MEASURED)]
        if long := sum(length > most_new for length in reader.lengths(gold)):
            notes.append(
                f"the gold of {long} of {len(gold)} items takes more tokens than an answer may have ({most_new})"
            )
            if long == len(gold):
                raise ModelError(f"model {model['name']!r}: {notes[-1]}; raise max_gen_toks and max_new_tokens")
    write_json(context.out / REMARKS, [f"model {model['name']}: {note}" for note in notes])
