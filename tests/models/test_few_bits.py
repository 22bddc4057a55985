"""What bitsandbytes is asked for, with a stand-in for it: 4- and 8-bit weights, 8-bit optimizers."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import metadata
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

import architectures
from models.test_setup import SETTINGS, rows
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.setup import Setup
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.store.manifest import identity, installed_version
from w2s_bench.store.stage import Stage, StageFunction


class AdamW8bit(torch.optim.AdamW):
    """Takes what the real one takes, and steps as torch's does."""

    made: list[tuple[list[torch.nn.Parameter], dict[str, Any]]]

    def __init__(self, parameters: list[torch.nn.Parameter], **settings: Any) -> None:
        self.made.append((parameters, settings))
        super().__init__(parameters, **settings)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[torch.nn.Parameter], dict[str, Any]]]:
    """The optimizers that are made of it: parameters, settings."""
    from peft.import_utils import is_bnb_available
    from transformers.utils.import_utils import is_bitsandbytes_available

    for remembers in (is_bnb_available, is_bitsandbytes_available):
        remembers()  # what is really here, so that nobody remembers the stand-in
    module: Any = ModuleType("bitsandbytes")
    module.__spec__ = ModuleSpec("bitsandbytes", None)
    module.optim = SimpleNamespace(AdamW8bit=AdamW8bit)
    # Where the real one is installed, peft asks whether a layer is one of these.
    module.nn = SimpleNamespace(**{name: type(name, (), {}) for name in ("Linear8bitLt", "Linear4bit")})
    monkeypatch.setitem(sys.modules, "bitsandbytes", module)
    monkeypatch.setattr(AdamW8bit, "made", made := [], raising=False)
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel("m", architectures.save("qwen3", tmp_path_factory.mktemp("qwen3")))


FOUR = {"load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}


@pytest.mark.parametrize(
    ("setup", "bits"),
    [
        (Setup(quantization="nf4"), FOUR | {"bnb_4bit_compute_dtype": torch.bfloat16}),
        (Setup(quantization="nf4", dtype="bfloat16"), FOUR | {"bnb_4bit_compute_dtype": torch.bfloat16}),
        (Setup(quantization="nf4", dtype="float16"), FOUR | {"bnb_4bit_compute_dtype": torch.float16}),
        (Setup(quantization="int8", dtype="bfloat16"), {"load_in_4bit": False, "load_in_8bit": True}),
    ],
    ids=lambda value: f"{value.quantization}-{value.dtype}" if isinstance(value, Setup) else "",
)
def test_weights_of_few_bits_are_asked_of_transformers(
    setup: Setup, bits: dict[str, Any], source: LocalModel, stand_in: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As QLoRA has them: normal floats, their scales quantized too; products are never in float32."""
    from transformers import AutoModelForCausalLM

    asked, plainly = dict[str, Any](), AutoModelForCausalLM.from_pretrained

    def from_pretrained(folder: str, *, quantization_config: Any, device_map: Any, **settings: Any) -> Any:
        asked.update(settings, config=quantization_config, device_map=device_map)
        loaded = plainly(folder, **settings)
        loaded[0].to = None  # the real one refuses to be moved or cast
        return loaded

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    model, _ = source.load_as(setup, "cpu")
    assert {name: getattr(asked["config"], name) for name in bits} == bits
    assert (asked["device_map"], asked["dtype"]) == ({"": "cpu"}, getattr(torch, setup.dtype))
    assert not model.training


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_moments_of_8_bits_are_of_what_is_trained(recipe: str, source: LocalModel, stand_in: Any) -> None:
    settings = {**SETTINGS, "recipe": recipe}
    engine = load_engine(source, setup=Setup(optimizer="adamw8bit"))
    losses = engine.train(rows(), **settings)
    ((parameters, named),) = stand_in
    assert named == {"lr": SETTINGS["learning_rate"], "betas": (0.9, 0.98), "weight_decay": 0.0}
    trained = [p for p in engine.model.parameters() if p.requires_grad]
    assert len(parameters) == len(trained) and all(a is b for a, b in zip(parameters, trained, strict=True))
    # The stand-in keeps its moments whole, so that the same steps are taken.
    usual = load_engine(source).train(rows(), **settings)
    assert len(stand_in) == 1 and losses == pytest.approx(usual, rel=1e-4)


def test_the_weights_are_keyed_by_it_and_by_the_version_of_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = PlannedModel("m", "f", "lora")
    four = replace(usual, setup=Setup(quantization="nf4"))
    eight = replace(usual, setup=Setup(optimizer="adamw8bit"))
    stages = {
        model: Stage(StageFunction("train", 1, ""), model.params, **model.stage_fields())
        for model in (usual, four, eight)
    }
    assert len({stage.node for stage in stages.values()}) == 3
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.48.1" if name == "bitsandbytes" else version(name))
    installed_version.cache_clear()
    told = {model: identity(stage, {})["libraries"].get("bitsandbytes") for model, stage in stages.items()}
    installed_version.cache_clear()
    assert told == {usual: None, four: "0.48.1", eight: "0.48.1"}
    # The untuned model is read in 4 bits too; it has no optimizer.
    assert "bitsandbytes" in four.untuned.stage_fields()["libraries"] and four.frozen["setup"] == {
        "quantization": "nf4"
    }
    assert "bitsandbytes" not in eight.untuned.stage_fields()["libraries"] and "setup" not in eight.frozen
    assert eight.untuned.params == usual.untuned.params
