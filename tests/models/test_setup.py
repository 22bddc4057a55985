"""Weights of few bits, steps in parts, memory that runs out, adapters of other kinds: what a suite declares, and what a machine decides."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import architectures
from w2s_bench.errors import ModelError
from w2s_bench.models import finetuning, memory, origins, parts
from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.encoding import Pair
from w2s_bench.models.finetuning import Choices
from w2s_bench.models.fused import _Product, fused_layers
from w2s_bench.models.loading import load_engine
from w2s_bench.models.memory import by_halves
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.setup import CHECKPOINTING_VARIABLE, MICRO_BATCH_VARIABLE, USUAL, Effort, Setup
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.types import Item, TrainingRow

HOW: dict[str, Any] = {"steps": 6, "batch_size": 6, "learning_rate": 1e-2, "seed": 0}
SETTINGS: dict[str, Any] = {**HOW, "recipe": "lora", "lora_rank": 4}


def pairs(count: int = 14) -> list[Pair]:
    rng = np.random.default_rng(0)
    return [
        Pair(tuple(rng.integers(3, 96, 3 + i % 5).tolist()), tuple(rng.integers(3, 96, 1 + i % 4).tolist()))
        for i in range(count)
    ]


def rows() -> list[TrainingRow]:
    return [
        TrainingRow(str(i), architectures.text(4 + i % 3, i), " " + architectures.text(2, 50 + i), False, None, None)
        for i in range(12)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architectures.save("qwen3", tmp_path_factory.mktemp("qwen3"))


def trained(examples: Any, effort: Effort, weights: Any = None) -> tuple[list[float], list[torch.Tensor]]:
    model = architectures.new("llama")
    losses = finetuning.finetune(model, examples, **HOW, effort=effort, weights=weights)
    return losses, [p.detach() for p in model.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize("over", ["tokens", "options"])
@pytest.mark.parametrize("effort", [Effort(1), Effort(4), Effort(2, "always"), Effort(None, "always")])
def test_a_step_in_parts_is_the_whole_step(over: str, effort: Effort) -> None:
    some, weights = pairs(), np.linspace(0.5, 1.5, 14)
    examples: Any = some
    if over == "options":
        examples = Choices([[p, Pair(p.prompt, (*p.completion, 7))] for p in some], [i % 2 for i in range(14)])
    losses, tensors = trained(examples, Effort(), weights)
    in_parts, others = trained(examples, effort, weights)
    np.testing.assert_allclose(in_parts, losses, rtol=1e-4)
    for one, other in zip(tensors, others, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


@pytest.mark.slow
def test_memory_that_runs_out_in_training_halves_the_parts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, _ = trained(pairs(), Effort())
    read, largest = finetuning.Completions.logits, list[int]()

    def limited(self: Any, model: Any, anatomy: Any, chosen: Any) -> Any:
        largest.append(len(chosen))
        if model.training and len(chosen) > 2:
            raise torch.OutOfMemoryError("on purpose")
        return read(self, model, anatomy, chosen)

    monkeypatch.setattr(finetuning.Completions, "logits", limited)
    monkeypatch.setattr(parts, "_FEW_TOKENS", 0)
    found, _ = trained(pairs(), Effort())
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert "parts of a step are halved" in capsys.readouterr().out and largest[0] == 6
    monkeypatch.setattr(finetuning.Completions, "logits", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    told = r"model 'LlamaForCausalLM' to train on one row at a time; set recipe lora or optimizer adamw8bit for it"
    with pytest.raises(ModelError, match=told):
        trained(pairs(), Effort())
    with pytest.raises(
        ModelError, match=r"one row at a time with W2S_BENCH_CHECKPOINTING=never, which may be unset; set"
    ):
        trained(pairs(), Effort(1, "never"))
    assert "layers are computed twice" in capsys.readouterr().out


def test_memory_that_runs_out_in_reading_halves_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    def read(some: list[int]) -> list[int]:
        if len(some) > 3:
            raise torch.OutOfMemoryError("on purpose")
        return [row * row for row in some]

    model = architectures.new("llama")
    assert by_halves(model, read, range(11)) == [row * row for row in range(11)]
    assert "11 rows are read 5 at a time" in capsys.readouterr().out
    with pytest.raises(ModelError, match="does not suffice for model 'LlamaForCausalLM' to read one row"):
        by_halves(model, lambda some: read([0] * 4), [1])


def full(*_: Any, **__: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 9.00 GiB.")


@pytest.mark.slow
def test_memory_that_runs_out_is_told_of_the_model_and_what_takes_less(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name that the suite has for it; what it has already is not advised."""
    source, head = LocalModel("local/mine", folder), r"^memory of cpu does not suffice for model 'local/mine' "
    end = r"end what else runs there, or take a smaller model$"
    engine, narrow = load_engine(source), load_engine(source, setup=Setup(dtype="bfloat16"))
    whole, adapted = load_engine(source), load_engine(source)
    adapted.model = finetuning.add_lora(adapted.model, rank=2, seed=0)
    settings: dict[str, Any] = SETTINGS
    with monkeypatch.context() as patch:
        patch.setattr("w2s_bench.models.scoring._logits_side_by_side", full)
        for each, advice in ((engine, "dtype bfloat16 or quantization nf4"), (narrow, "quantization nf4")):
            with pytest.raises(ModelError, match=rf"{head}to read one row; set {advice} for it, {end}"):
                each.label_logprobs(rows())
    with monkeypatch.context() as patch:
        patch.setattr("w2s_bench.models.finetuning.Completions.logits", full)
        step = "to train on one row at a time; set"
        with pytest.raises(ModelError, match=rf"{head}{step} recipe lora or optimizer adamw8bit for it, {end}"):
            whole.train(rows(), **{**settings, "recipe": "full"})
        with pytest.raises(ModelError, match=rf"{head}{step} dtype bfloat16 or quantization nf4 for it, {end}"):
            finetuning.finetune(adapted.model, pairs(), **HOW)
    with monkeypatch.context() as patch:  # where no smaller batch helps
        patch.setattr(torch.optim.AdamW, "step", full)
        with pytest.raises(
            ModelError, match=rf"{head}to be trained; set recipe lora or optimizer adamw8bit for it, {end}"
        ):
            load_engine(source).train(rows(), **{**settings, "recipe": "full"})
        patch.setattr("peft.get_peft_model", full)
        with pytest.raises(ModelError, match=rf"{head}to do what is asked of it; set"):
            load_engine(source).train(rows(), **{**settings, "recipe": "lora"})


def test_a_model_that_does_not_fit_as_it_is_loaded_is_told_with_what_takes_less(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    source, end = LocalModel("local/mine", folder), "end what else runs there, or take a smaller model$"
    with monkeypatch.context() as patch:
        patch.setattr("w2s_bench.models.loading.verdict_of", full)
        with pytest.raises(
            ModelError, match=r"model 'local/mine' to be loaded and asked; set dtype bfloat16 or quantiz"
        ):
            load_engine(source)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    head = r"model 'local/mine' does not fit the memory of 'cpu': CUDA out of memory. Tried to allocate 9.00 GiB"
    with pytest.raises(ModelError, match=rf"{head}.*; set dtype bfloat16 or quantization nf4 for it, {end}"):
        load_engine(source)
    with pytest.raises(ModelError, match=rf"{head}.*; set quantization nf4 for it, {end}"):
        load_engine(source, setup=Setup(dtype="bfloat16"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_loaded_in_their_dtype_and_adapters_in_float32(folder: Path, tmp_path: Path, dtype: Any) -> None:
    source, setup = LocalModel("m", folder), Setup(dtype=dtype)
    engine = load_engine(source, setup=setup)
    assert {p.dtype for p in engine.model.parameters()} == {getattr(torch, dtype)}
    whole = load_engine(source)
    assert verdict_of(engine.model) == verdict_of(whole.model)  # what a model allows hangs on no digits
    items = [Item(str(i), "", "", "", r.prompt, (r.completion, " w9 w5")) for i, r in enumerate(rows())]
    for found, expected in zip(engine.choice_scores(items), whole.choice_scores(items), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.3)
    assert len(engine.generate(items, max_new_tokens=5, until=[])) == len(items)
    losses = engine.train(rows(), **SETTINGS)
    assert losses[-1] < losses[0]
    kinds = {name.split(".")[-3]: p.dtype for name, p in engine.model.named_parameters() if "lora_" in name}
    assert kinds == {"lora_A": torch.float32, "lora_B": torch.float32}
    engine.save_weights(tmp_path, recipe="lora")
    again = load_engine(source, tmp_path, recipe="lora", lora_rank=4, setup=setup)
    for one, other in zip(engine.choice_scores(items), again.choice_scores(items), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_fused_adapter_gives_pefts_product_and_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias, into, out = (
        torch.randn(shape, generator=generator) for shape in ((2, 7, 24), (16, 24), (16,), (4, 24), (16, 4))
    )
    leaves = [t.clone().requires_grad_() for t in (x, into, out)]
    plain = torch.nn.functional.linear(leaves[0], weight, bias) + leaves[0] @ leaves[1].t() @ leaves[2].t() * 1.5
    own = [t.clone().requires_grad_() for t in (x, into, out)]
    fused: Any = _Product.apply(own[0], weight, bias, own[1], own[2], 1.5)
    torch.testing.assert_close(fused, plain)
    for result in (plain, fused):
        (result * torch.arange(16.0)).sum().backward()
    for one, other in zip(leaves, own, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_fused_layers_are_used_and_leave_the_model_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load_engine(LocalModel("m", folder), setup=Setup(dtype="bfloat16"))
    adapted = finetuning.add_lora(engine.model, rank=4, seed=0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(len(name)))
    kinds, ids = [type(m) for m in adapted.modules()], torch.arange(3, 20)[None]
    calls, apply = list[int](), _Product.apply
    monkeypatch.setattr(_Product, "apply", lambda *given: calls.append(1) or apply(*given))
    with torch.no_grad():
        plain = adapted(input_ids=ids).logits.float()
        assert not calls
        with fused_layers(adapted):
            fused = adapted(input_ids=ids).logits.float()
    assert len(calls) == 14 and [type(m) for m in adapted.modules()] == kinds
    assert float((plain - fused).abs().max()) < 0.05 * float(plain.abs().max())
    whole = copy.deepcopy(adapted).float()
    with fused_layers(whole):
        assert [type(m) for m in whole.modules()] == kinds


def test_adapters_are_as_the_suite_has_them(folder: Path) -> None:
    setup = Setup(lora_alpha=3.0, lora_dropout=0.25, lora_targets=("q_proj", "v_proj"), lora_dora=True)
    engine = load_engine(LocalModel("m", folder), setup=setup)
    losses = engine.train(rows(), **SETTINGS)
    config = engine.model.peft_config["default"]
    assert (config.lora_alpha, config.lora_dropout, config.use_dora) == (3.0, 0.25, True)
    names = {name.split(".")[-4] for name, p in engine.model.named_parameters() if "lora_A" in name}
    assert names == {"q_proj", "v_proj"} and np.isfinite(losses).all()
    with pytest.raises(ModelError, match=r"no place for lora_targets nowhere "):
        load_engine(LocalModel("m", folder), setup=Setup(lora_targets=("nowhere",))).train(rows(), **SETTINGS)


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        (Setup(quantization="nf4"), "quantization nf4 needs bitsandbytes"),
        (Setup(attention="flash_attention_2", dtype="bfloat16"), "cannot be loaded.*; take attention default"),
    ],
)
def test_what_is_not_here_is_named(folder: Path, setup: Setup, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match=message):
        load_engine(LocalModel("m", folder), setup=setup)


def test_settings_that_cannot_be_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = LocalModel("m", folder)
    with pytest.raises(ModelError, match="tf32 is of CUDA devices"):
        load_engine(source, precision="tf32")
    with pytest.raises(ModelError, match=r"lost in weights of bfloat16.*'lora'"):
        load_engine(source, setup=Setup(dtype="bfloat16")).train(rows(), **{**SETTINGS, "recipe": "full"})
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match="optimizer adamw8bit needs bitsandbytes"):
        load_engine(source, setup=Setup(optimizer="adamw8bit")).train(rows(), **SETTINGS)
    for variable, value in ((MICRO_BATCH_VARIABLE, "0"), (MICRO_BATCH_VARIABLE, "x"), (CHECKPOINTING_VARIABLE, "yes")):
        with monkeypatch.context() as context:
            context.setenv(variable, value)
            with pytest.raises(ModelError, match=f"{variable} is {value!r}"):
                Effort.of_environment()
    monkeypatch.setenv(MICRO_BATCH_VARIABLE, "3")
    assert Effort.of_environment() == Effort(3)


def test_a_plan_holds_what_is_not_as_usual() -> None:
    plain = PlannedModel("m", "f", "lora")
    assert "setup" not in plain.params and PlannedModel.read(plain.params) == plain
    setup = Setup(dtype="bfloat16", lora_targets=("q_proj",), optimizer="adamw8bit")
    own = PlannedModel("m", "f", "lora", setup=setup)
    assert own.params["setup"] == setup.written and PlannedModel.read(own.params) == own
    assert own.frozen["setup"] == own.untuned.params["setup"] == {"dtype": "bfloat16"}
    assert Setup.of({}) == USUAL == setup.loading.__class__()
    cuts = PlannedModel("m", "f", "lora", setup=replace(setup, overflow="truncate_left"))
    # How it reads is part of what an untuned model says, and no part of how it is loaded.
    assert cuts.untuned.params["setup"] == {"dtype": "bfloat16", "overflow": "truncate_left"}
    assert cuts.setup.loading == setup.loading


@pytest.mark.parametrize(
    ("error", "step"),
    [
        ("GatedRepoError", "accept its terms at https://huggingface.co/acme/m"),
        ("RevisionNotFoundError", "no such commit"),
        ("RepositoryNotFoundError", "spelling of owner and name"),
        ("LocalEntryNotFoundError", "no network here"),
        ("ValueError", "check repo and revision"),
    ],
)
def test_a_fetch_that_fails_names_the_next_step(error: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def fail(*given: Any, **named: Any) -> None:
        raise type(error, (Exception,), {})("on purpose")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=rf"hf/acme/m@a+' cannot be fetched: on purpose; .*{step}"):
        origins.HubModel("acme/m", "a" * 40).load()


def test_memory_is_counted_in_the_models_own_numbers() -> None:
    wide, narrow = architectures.new("llama"), architectures.new("llama").to(torch.bfloat16)
    for training in (False, True):
        assert memory.bytes_a_token(wide, training=training) == 2 * memory.bytes_a_token(narrow, training=training)
