"""A model spread over several devices: what it gives is what the whole model gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

import architectures
from w2s_bench.errors import ModelError
from w2s_bench.models import origins, spreading
from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.setup import USUAL, Setup
from w2s_bench.models.spreading import spread
from w2s_bench.names import DEVICE_VARIABLE
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.store.stage import ALL_GPUS
from w2s_bench.suite_training import Training
from w2s_bench.types import Item, TrainingRow

NAMES = ["llama", "gemma3_text"]  # the output layer has weights of its own, or the embedding's
ROWS = [
    TrainingRow(str(i), architectures.text(4 + i % 3, i), " " + architectures.text(2, 50 + i), False, None, None)
    for i in range(6)
]
ITEMS = [Item(row.id, "", "", "", row.prompt, (row.completion, " w9 w5")) for row in ROWS]


def parts_of(model: Any, first: Any, second: Any) -> dict[str, Any]:
    """As transformers would have it: the embedding and the first layer, the others and what follows; tied weights together."""
    body, prefix = model.base_model, f"{model.base_model_prefix}."
    blocks = next(name for name, module in body.named_children() if isinstance(module, torch.nn.ModuleList))
    parts: dict[str, Any] = {}
    for name, module in body.named_children():
        if name == blocks:
            parts |= {f"{prefix}{name}.{i}": second if i else first for i in range(len(module))}
        else:
            behind = "norm" in name or name == "ln_f"
            parts[prefix + name] = second if behind else first
    head = next(name for name, module in model.named_children() if module is model.get_output_embeddings())
    return {**parts, head: first if model.config.tie_word_embeddings else second}


def engine(name: str, *, in_parts: bool) -> Engine:
    model = architectures.new(name).eval()
    if in_parts:
        model = spread(model, parts_of(model, torch.device("cpu"), torch.device("cpu:0")))
    return Engine(model, architectures.tokenizer())


@pytest.mark.parametrize("name", NAMES)
def test_a_spread_model_gives_what_the_whole_gives(name: str) -> None:
    whole, parted = engine(name, in_parts=False), engine(name, in_parts=True)
    assert verdict_of(parted.model) == verdict_of(whole.model)
    for one, other in zip(parted.choice_scores(ITEMS), whole.choice_scores(ITEMS), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(parted.option_states(ITEMS, (0, 1, -1)), whole.option_states(ITEMS, (0, 1, -1)))
    np.testing.assert_array_equal(parted.hidden_states(ROWS, "all"), whole.hidden_states(ROWS, "all"))
    how: dict[str, Any] = {"max_new_tokens": 6, "until": []}
    assert parted.generate(ITEMS, **how) == whole.generate(ITEMS, **how)
    tuning: dict[str, Any] = {"recipe": "lora", "lora_rank": 4, "steps": 3, "batch_size": 3, "learning_rate": 1e-2}
    assert parted.train(ROWS, **tuning, seed=0) == whole.train(ROWS, **tuning, seed=0)
    for one, other in zip(parted.label_logprobs(ROWS), whole.label_logprobs(ROWS), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["llama", "gemma3_text"])
def test_what_a_part_reads_is_brought_to_its_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's device without numbers refuses those of another, as GPUs do; nothing comes back from it."""
    model = architectures.new(name).eval()
    parts = parts_of(model, torch.device("cpu"), torch.device("meta"))
    for part, device in parts.items():
        model.get_submodule(part).to(device)
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu", "meta"}
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        with pytest.raises(RuntimeError):
            model.base_model(input_ids=ids)
        monkeypatch.setattr(spreading._Return, "__call__", lambda self, module, given, output: output)
        assert spread(model, parts).base_model(input_ids=ids).last_hidden_state.device.type == "meta"


def test_what_comes_back_is_on_one_device_and_a_memory_stays() -> None:
    meta, memory = torch.device("meta"), object()
    output = BaseModelOutputWithPast(torch.ones(2), memory, (torch.ones(1), torch.ones(3)))
    moved = spreading._Return(meta)(None, None, output)
    assert moved.last_hidden_state.device == moved[0].device == meta
    assert [state.device for state in moved.hidden_states] == [meta, meta]
    assert moved.past_key_values is memory
    given, named = spreading._Bring(meta)(None, (torch.ones(2), None), {"cache": memory, "both": (torch.ones(1), 3)})
    assert given[0].device == named["both"][0].device == meta
    assert given[1] is None and named["cache"] is memory and named["both"][1] == 3


def test_parts_without_room_on_a_gpu_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = LocalModel("m", architectures.save("llama", tmp_path))
    setup = Setup(device_map="auto")
    assert origins._wanted(setup, "cuda")["device_map"] == "auto"
    where: dict[str, Any] = {}
    monkeypatch.setattr(origins, "_wanted", lambda setup, device: {"device_map": where})
    where |= {"model": "cpu", "lm_head": "disk"}
    with pytest.raises(ModelError, match=r"'m' does not fit the \d+ GPUs.*2 of its parts, lm_head"):
        source.load_as(setup, "cuda")
    monkeypatch.undo()
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="does not fit the 0 GPUs"):
            source.load_as(setup, "cuda")


def test_a_named_device_has_the_whole_model(tmp_path: Path) -> None:
    source, setup = LocalModel("m", architectures.save("llama", tmp_path)), Setup(device_map="auto")
    assert {device: setup.on(device).device_map for device in ("cpu", "cuda", "cuda:1", "mps")} == {
        "cpu": "none",
        "cuda": "auto",
        "cuda:1": "none",
        "mps": "none",
    }
    assert load_engine(source, setup=setup).setup == USUAL

    class Whole:
        name = "whole"
        load = source.load

        def fingerprint(self) -> str:
            return "0"

    with pytest.raises(ModelError, match=r"'whole' comes in one way, whole; take device_map out"):
        load_engine(Whole(), device="cuda", setup=setup)


def test_keys_are_what_they_were_where_nothing_is_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = LocalModel("m", architectures.save("llama", tmp_path))
    plain = Training(model="m", recipe="lora", steps=1, learning_rate=0.1)
    spread_out = plain.model_copy(update={"device_map": "auto"})
    assert "device_map" not in plain.model_dump(mode="json")
    assert spread_out.model_dump(mode="json")["device_map"] == "auto"
    assert PlannedModel.of(spread_out, source) == PlannedModel.of(plain, source)  # on the processor
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    one, other = PlannedModel.of(plain, source), PlannedModel.of(spread_out, source)
    assert one.stage_fields()["device"] == "cuda" and other.stage_fields()["device"] == ALL_GPUS
    assert "setup" not in one.params and other.params["setup"] == {"device_map": "auto"}
    assert PlannedModel.read(other.params) == other
    assert other.frozen["setup"] == {"device_map": "auto"}
