"""A model's answers to a split, and readings of weak labels. Gold is no input of anything here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.items import FORMAT, ITEMS
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_arrays, write_records
from w2s_bench.stages import Stage, StageContext
from w2s_bench.types import Item, Need, Prediction, Ragged, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.models.reader import Reader

PREDICTIONS, READING = "predictions.jsonl", "reading.safetensors"
ENGINE = ("torch", "transformers", "tokenizers", "numpy")


def predict(
    model: Mapping[str, Any], subset: Stage, *, weights: Stage | None, max_new_tokens: int | None, label: str = ""
) -> Stage:
    """Stage: the model's answer to every item of a subset. `model` is `training.model_params`."""
    inputs = {"subset": subset} | ({"weights": weights} if weights else {})
    params = {"model": model, "max_new_tokens": max_new_tokens}
    return Stage("predict", 1, "w2s_bench.prediction:run_predict", params, inputs, engine_of(model), label)


def read(
    model: Mapping[str, Any], need: Need, labels: Stage, subset: Stage, *, weights: Stage | None, label: str = ""
) -> Stage:
    """Stage: what a model says of weak labels that a teacher made (one of `types.Reading`)."""
    inputs = {"subset": subset, "labels": labels} | ({"weights": weights} if weights else {})
    params = {"model": model, "read": need.read, "layer": need.layer}
    return Stage("read", 1, "w2s_bench.prediction:run_read", params, inputs, engine_of(model), label)


def engine_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    """The libraries that what a model computes depends on."""
    return (*ENGINE, "peft") if model["recipe"] == "lora" else ENGINE


def load(context: StageContext) -> Reader:
    """The model a stage's parameters name, with the weights among its inputs, if any."""
    from w2s_bench.models.reader import load_reader

    model = context.params["model"]
    source = context.registry.model(model["name"])
    if source.fingerprint() != model["fingerprint"]:
        raise ModelError(f"model {model['name']!r} changed on disk since the run began; run again")
    return load_reader(
        source,
        context.inputs.get("weights"),
        recipe=model["recipe"],
        lora_rank=model["lora_rank"],
        device=model["device"],
    )


def run_predict(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    form = read_json(context.inputs["subset"] / FORMAT)
    reader = load(context)
    if form["kind"] == "choice":
        scores = reader.choice_scores(items)
        predictions = [choose(item, score) for item, score in zip(items, scores, strict=True)]
    else:
        generated = reader.generate(items, max_new_tokens=context.params["max_new_tokens"], until=form["until"])
        predictions = [
            Prediction(item.id, g.text, _as_completion(g.text, form["delimiter"]), g.ended)
            for item, g in zip(items, generated, strict=True)
        ]
    write_records(context.out / PREDICTIONS, predictions)


def choose(item: Item, scores: np.ndarray[Any, np.dtype[np.float64]]) -> Prediction:
    """The option of highest score; options of equal score are ranked by a hash of item and option, never by position."""
    assert item.choices is not None
    if not np.isfinite(scores).all():
        raise ModelError(
            f"item {item.id}: scores {scores.tolist()} are not all finite; the model's training diverged (lower its learning rate)"
        )
    best = np.flatnonzero(scores == scores.max()).tolist()
    index = min(best, key=lambda i: hash_rank("tie", item.id, item.choices[i] if item.choices else ""))
    text = item.choices[index]
    return Prediction(item.id, text, text, ended=False, index=index, choice_scores=tuple(float(s) for s in scores))


def _as_completion(text: str, delimiter: str) -> str:
    """What follows the prompt: tokenizers drop the space before the first word when they decode; it is put back."""
    return text if text[:1].isspace() or text.startswith(delimiter) else delimiter + text


def label_rows(items: list[Item], labels: list[Prediction]) -> list[TrainingRow]:
    """Items joined to their weak labels by id, in the order of the labels."""
    by_id = {item.id: item for item in items}
    return [TrainingRow(p.id, by_id[p.id].prompt, p.completion, p.ended, by_id[p.id].choices, p.index) for p in labels]


def run_read(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    reader, what = load(context), context.params["read"]
    arrays: dict[str, np.ndarray[Any, Any]]
    if what == "hidden_states":
        arrays = {"states": reader.hidden_states(rows, context.params["layer"])}
    elif what == "label_logprobs":
        ragged = Ragged.from_rows(reader.label_logprobs(rows))
        arrays = {"values": ragged.values, "offsets": ragged.offsets}
    else:
        by_id = {item.id: item for item in items}
        ragged = Ragged.from_rows(reader.choice_scores([by_id[row.id] for row in rows]))
        arrays = {"values": ragged.values, "offsets": ragged.offsets}
    write_arrays(context.out / READING, arrays)
