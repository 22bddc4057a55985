"""A model's answers to a split, and readings of weak labels. Gold is no input of anything here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.protocol.items import FORMAT, ITEMS
from w2s_bench.protocol.planned import engine_of, load_planned
from w2s_bench.protocol.recipes import head as heads
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_arrays, write_records
from w2s_bench.store.stage import Stage, StageContext
from w2s_bench.types import FloatArray, Item, Need, Prediction, Ragged, TrainingRow

PREDICTIONS, READING = "predictions.jsonl", "reading.safetensors"


def predict(
    model: Mapping[str, Any], subset: Stage, *, weights: Stage | None, max_new_tokens: int | None, label: str = ""
) -> Stage:
    """Stage: the model's answer to every item of a subset. `model` is `training.model_params`."""
    if weights and model["recipe"] == "probe":
        inputs = {"subset": subset, "states": heads.states(model, subset), "weights": weights}
        return Stage("predict", 2, "w2s_bench.protocol.prediction:run_predict", {}, inputs, ("numpy",), label)
    inputs = {"subset": subset} | ({"weights": weights} if weights else {})
    params = {"model": model, "max_new_tokens": max_new_tokens}
    return Stage("predict", 4, "w2s_bench.protocol.prediction:run_predict", params, inputs, engine_of(model), label)


def read(
    model: Mapping[str, Any], need: Need, labels: Stage, subset: Stage, *, weights: Stage | None, label: str = ""
) -> Stage:
    """Stage: what a model says of weak labels that a teacher made (one of `types.Reading`)."""
    inputs = {"subset": subset, "labels": labels} | ({"weights": weights} if weights else {})
    reading = {"read": need.read, "layer": need.layer}
    if weights and model["recipe"] == "probe":
        if need.read == "label_logprobs":
            raise ModelError("a head scores options and gives no token log-probabilities; take 'full' or 'lora'")
        if need.read == "hidden_states":  # a head leaves them as they are
            del inputs["weights"]
        if need.layer not in (None, -1):
            return read({**model, "recipe": "full"}, need, labels, subset, weights=None, label=label)
        inputs["states"] = heads.states(model, subset)
        return Stage("read", 2, "w2s_bench.protocol.prediction:run_read", reading, inputs, ("numpy",), label)
    params = {"model": model, **reading}
    return Stage("read", 4, "w2s_bench.protocol.prediction:run_read", params, inputs, engine_of(model), label)


def run_predict(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    form = read_json(context.inputs["subset"] / FORMAT)
    if form["kind"] == "choice":
        scores = _option_scores(context, items)
        predictions = [choose(item, score) for item, score in zip(items, scores, strict=True)]
    else:
        limit = context.params["max_new_tokens"]
        generated = load_planned(context).generate(items, max_new_tokens=limit, until=form["until"])
        predictions = [
            Prediction(item.id, g.text, _as_completion(g.text, form["delimiter"]), g.ended)
            for item, g in zip(items, generated, strict=True)
        ]
    write_records(context.out / PREDICTIONS, predictions)


def _option_scores(context: StageContext, items: Sequence[Item]) -> list[FloatArray]:
    """(options,) an item, by the head or the language model among a stage's inputs and parameters."""
    if "states" in context.inputs:
        return heads.scores(context.inputs["states"], context.inputs["weights"], [item.id for item in items])
    return load_planned(context).choice_scores(items)


def choose(item: Item, scores: FloatArray) -> Prediction:
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
    what, layer = context.params["read"], context.params["layer"]
    if what == "hidden_states":
        if "states" in context.inputs:
            states = heads.chosen_states(context.inputs["states"], rows)
        else:
            states = load_planned(context).hidden_states(rows, layer)
        write_arrays(context.out / READING, {"states": states})
        return
    if what == "label_logprobs":
        ragged = Ragged.from_rows(load_planned(context).label_logprobs(rows))
    else:
        by_id = {item.id: item for item in items}
        ragged = Ragged.from_rows(_option_scores(context, [by_id[row.id] for row in rows]))
    write_arrays(context.out / READING, {"values": ragged.values, "offsets": ragged.offsets})
