"""Models as a plan names them → models loaded in a stage, as they were when the run was planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from w2s_bench.errors import ModelError
from w2s_bench.models.sources import ENGINE
from w2s_bench.models.tokenizer_cache import remembering
from w2s_bench.store.stage import StageContext

if TYPE_CHECKING:
    from w2s_bench.models.engine import Reader


def engine_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    """The libraries that what a model computes depends on. `model` is `training.model_params`."""
    return (*ENGINE, "peft") if model["recipe"] == "lora" else ENGINE


def load_planned(context: StageContext) -> Reader:
    """The model a stage's parameters name, as it was when the run was planned, with the weights among its inputs, if any."""
    from w2s_bench.models.engine import load_reader  # torch

    model = context.params["model"]
    source = context.registry.model(model["name"])
    if source.fingerprint() != model["fingerprint"]:
        raise ModelError(f"model {model['name']!r} changed on disk since the run began; run again")
    weights = context.inputs.get("weights")
    tuning = {"recipe": model["recipe"], "lora_rank": model["lora_rank"]} if weights else {}
    reader = load_reader(source, weights, device=model["device"], precision=model["precision"], **tuning)
    for note in reader.notes():
        print(f"model {model['name']}: {note}", flush=True)  # a stage's output is kept in the store's log
    reader.tokenizer = remembering(reader.tokenizer, (model["name"], model["fingerprint"]))
    return reader
