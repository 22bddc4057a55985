"""Rows → a trained model. The teacher, every student, the ceiling and the verifier all come through here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from w2s_bench.errors import ModelError
from w2s_bench.names import DEVICE_VARIABLE
from w2s_bench.protocol.catalogue import every_nth
from w2s_bench.protocol.items import ANSWERS, FORMAT, ITEMS, REMARKS
from w2s_bench.protocol.planned import engine_of, load_planned
from w2s_bench.protocol.prediction import PREDICTIONS, label_rows
from w2s_bench.protocol.recipes import head as heads
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.store.stage import Stage, StageContext
from w2s_bench.types import Answer, Item, Prediction, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.hookspecs import LanguageModel
    from w2s_bench.suite import Training

ROWS, KEPT, LOSSES = "rows.jsonl", "kept.json", "losses.json"
_MOST_MEASURED = 2000  # golds, evenly spread


def model_params(training: Training, source: LanguageModel) -> dict[str, Any]:
    """A model as stage parameters carry it: enough to load it, and a fingerprint that makes a changed one another."""
    return {
        "name": training.model,
        "fingerprint": source.fingerprint(),
        "recipe": training.recipe,
        "lora_rank": training.lora_rank,
        "precision": training.precision,
        "device": os.environ.get(DEVICE_VARIABLE) or "cpu",
    }


def weak_rows(subset: Stage, labels: Stage, kept: Stage | None, label: str = "") -> Stage:
    """Stage: training rows from weak labels; only those kept, where a selection is given."""
    inputs = {"subset": subset, "labels": labels} | ({"kept": kept} if kept else {})
    return Stage("weak_rows", 1, "w2s_bench.protocol.training:make_weak_rows", {}, inputs, label=label)


def gold_rows(subset: Stage, gold: Stage, kept: Stage | None, label: str = "") -> Stage:
    """Stage: training rows from gold, for the teacher, the ceiling and the gold controls alone."""
    inputs = {"subset": subset, "gold": gold} | ({"kept": kept} if kept else {})
    return Stage("gold_rows", 1, "w2s_bench.protocol.training:make_gold_rows", {}, inputs, label=label)


def train(model: Mapping[str, Any], training: Training, rows: Stage, *, seed: int, label: str = "") -> Stage:
    """Stage: a model trained on `rows`. `seed` names the role, never the arm: equal rows give one and the same student."""
    settings = {**training.model_dump(include={"steps", "batch_size", "learning_rate"}), "seed": seed}
    if model["recipe"] == "probe":
        states = heads.states(model, rows.inputs["subset"])
        inputs = {"rows": rows, "states": states}
        return Stage("train", 3, "w2s_bench.protocol.training:run_train", settings, inputs, ("numpy",), label)
    params = {"model": model, **settings}
    return Stage("train", 5, "w2s_bench.protocol.training:run_train", params, {"rows": rows}, engine_of(model), label)


def usable(model: Mapping[str, Any], most_new: int | None, answers: Stage, label: str = "") -> Stage:
    """Stage: the model loads and can be trained and asked as a suite says. Run first: a student's turn may be hours away.

    `most_new` bounds generated answers, None where options are scored. The gold is measured, and nothing learns from it.
    """
    params = {"model": model, "max_new_tokens": most_new}
    inputs = {"answers": answers} if most_new else {}
    return Stage("usable", 1, "w2s_bench.protocol.training:run_usable", params, inputs, engine_of(model), label)


def make_weak_rows(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    write_records(context.out / ROWS, _only_kept(context, rows))


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


def run_train(context: StageContext) -> None:
    settings = {name: context.params[name] for name in ("steps", "batch_size", "learning_rate", "seed")}
    rows = read_records(context.inputs["rows"] / ROWS, TrainingRow)
    if "states" in context.inputs:
        head, losses = heads.train(context.inputs["states"], rows, **settings)
        head.save(context.out)
    else:
        model = context.params["model"]
        reader = load_planned(context)
        losses = reader.train(rows, recipe=model["recipe"], lora_rank=model["lora_rank"], **settings)
        reader.save_weights(context.out, recipe=model["recipe"])
    write_json(context.out / LOSSES, [round(loss, 6) for loss in losses])
