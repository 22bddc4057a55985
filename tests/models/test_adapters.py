"""Adapters on disk: `adapter/FOLDER+BASE` is the model that peft makes of the two, and what does not fit is told of both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import peft
import pytest
import torch

from support import run_inline, toy_registry, toy_suite
from w2s_bench.errors import ModelError
from w2s_bench.models.adapters import AdapterModel
from w2s_bench.models.loading import load_engine
from w2s_bench.models.memory import out_of_memory
from w2s_bench.models.origins import HubModel, LocalModel
from w2s_bench.models.setup import Setup
from w2s_bench.models.sizes import sizes_of
from w2s_bench.plugins.registry import Registry
from w2s_bench.resolvers import parted
from w2s_bench.results.consent import placements, with_placements
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite

IDS = torch.tensor([[3, 4, 5, 6, 4, 3]])
TARGETS = ["q_proj", "v_proj", "down_proj"]


def tuned(base: Path, folder: Path, config: Any = None, *, seed: int = 0, meant: str = "") -> Path:
    """An adapter on the model of `base` that changes what it says, saved to `folder`."""
    model, _ = LocalModel("base", base).load()
    adapted: Any = peft.get_peft_model(model, config or peft.LoraConfig(r=4, target_modules=TARGETS))
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    adapted.peft_config["default"].base_model_name_or_path = meant or str(base)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def change(folder: Path, **values: Any) -> None:
    """Of an adapter's configuration."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def base(model_folders: dict[str, Path], tmp_path: Path) -> Path:
    """A tied Llama that a test may change."""
    return Path(shutil.copytree(model_folders["words"], tmp_path / "base"))


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    return tuned(base, tmp_path / "adapter")


def model_of(adapter: Path, base: Path) -> AdapterModel:
    found = Registry.of(()).model(f"adapter/{adapter}+local/{base}")
    assert isinstance(found, AdapterModel)
    return found


@torch.no_grad()
def logits(model: Any) -> Any:
    return model(input_ids=IDS).logits[0].numpy()


KINDS: dict[str, Callable[[], Any]] = {
    "lora": lambda: peft.LoraConfig(r=4, target_modules=TARGETS),
    "dora": lambda: peft.LoraConfig(r=4, target_modules=TARGETS, use_dora=True, use_rslora=True),
    "norms": lambda: peft.LoraConfig(r=4, target_modules=TARGETS, modules_to_save=["norm"]),
    "embedding": lambda: peft.LoraConfig(r=4, target_modules=["embed_tokens", "q_proj"]),
    "output": lambda: peft.LoraConfig(r=4, target_modules=["lm_head", "q_proj"]),
    "whole embedding": lambda: peft.LoraConfig(r=4, target_modules=TARGETS, modules_to_save=["embed_tokens"]),
    "loha": lambda: peft.LoHaConfig(r=4, target_modules=TARGETS),
    "lokr": lambda: peft.LoKrConfig(r=4, target_modules=TARGETS),
    "ia3": lambda: peft.IA3Config(target_modules=TARGETS, feedforward_modules=["down_proj"]),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_the_merged_model_says_what_peft_says(kind: str, base: Path, tmp_path: Path) -> None:
    """Against peft with the adapter beside its base, where nothing is merged; base and output share weights here."""
    folder = tuned(base, tmp_path / "a", KINDS[kind]())
    plain, _ = LocalModel("base", base).load()
    before = logits(plain)
    expected = logits(peft.PeftModel.from_pretrained(plain, str(folder)).eval())
    model, tokenizer = model_of(folder, base).load()
    assert np.abs(expected - before).max() > 0.1
    np.testing.assert_allclose(logits(model), expected, atol=2e-5)
    assert tokenizer("one")["input_ids"] and not model.training
    assert all(parameter.requires_grad for parameter in model.parameters()), "a student of it trains every weight"
    assert not [module for module in model.modules() if type(module).__module__.startswith("peft")]
    np.testing.assert_array_equal(logits(LocalModel("base", base).load()[0]), before)


def test_an_adapter_may_stand_on_an_adapter(base: Path, adapter: Path, tmp_path: Path) -> None:
    second = tuned(base, tmp_path / "second", seed=1)
    name = f"adapter/{second}+adapter/{adapter}+local/{base}"
    assert parted("model", name) == (f"adapter/{second}", f"adapter/{adapter}+local/{base}")
    model, _ = Registry.of(()).model(name).load()
    plain, _ = LocalModel("base", base).load()
    merged: Any = peft.PeftModel.from_pretrained(plain, str(adapter)).merge_and_unload()
    merged = peft.PeftModel.from_pretrained(merged, str(second)).merge_and_unload()
    np.testing.assert_allclose(logits(model), logits(merged), atol=1e-5)


def test_a_fingerprint_follows_the_adapter_and_its_base(base: Path, adapter: Path, tmp_path: Path) -> None:
    first = model_of(adapter, base).fingerprint()
    copied = shutil.copytree(adapter, tmp_path / "elsewhere" / "adapter")
    assert model_of(copied, Path(shutil.copytree(base, tmp_path / "elsewhere" / "base"))).fingerprint() == first
    other = tuned(base, tmp_path / "other", seed=1)
    weights = LocalModel("b", base).load()[0]
    with torch.no_grad():
        weights.model.norm.weight.mul_(2)
    weights.save_pretrained(base)
    assert len({first, model_of(other, base).fingerprint(), model_of(adapter, base).fingerprint()}) == 3
    change(copied, lora_alpha=99)
    assert model_of(copied, tmp_path / "elsewhere" / "base").fingerprint() != first


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_base_is_merged_in_its_dtype(dtype: Any, base: Path, adapter: Path) -> None:
    model = load_engine(model_of(adapter, base), setup=Setup(dtype=dtype)).model
    whole = load_engine(model_of(adapter, base)).model
    assert {str(parameter.dtype) for parameter in model.parameters()} == {f"torch.{dtype}"}
    np.testing.assert_allclose(logits(model.float()), logits(whole), atol=0.2)
    with pytest.raises(ModelError, match=r"is an adapter, which is merged into whole weights; take quantization out"):
        model_of(adapter, base).load_as(Setup(quantization="nf4"), "cpu")


def test_an_adapter_brings_its_own_tokenizer(base: Path, adapter: Path) -> None:
    """As trainers save it: with another chat template, and perhaps other marks."""
    _, tokenizer = LocalModel("b", base).load()
    tokenizer.chat_template = "{{ messages[0]['content'] }} two"
    tokenizer.save_pretrained(adapter)
    _, own = model_of(adapter, base).load()
    assert own.apply_chat_template([{"role": "user", "content": "one"}], tokenize=False) == "one two"
    tokenizer.add_tokens(["quux"])
    tokenizer.save_pretrained(adapter)
    with pytest.raises(ModelError, match=r"model 'adapter/.*': the tokenizer has 'quux' as token"):
        model_of(adapter, base).load()
    (adapter / "tokenizer_config.json").write_text(json.dumps({"vocab": "../base/tokenizer.json"}))
    with pytest.raises(ModelError, match=r"tokenizer_config.json has vocab '.*', which lies elsewhere"):
        model_of(adapter, base)


def test_a_relative_name_is_beside_the_suites_file_and_may_be_placed(base: Path, adapter: Path) -> None:
    from w2s_bench.resolvers import at_path, beside, is_on_disk, what_lacks

    there = base.parent
    whole = f"adapter/{adapter}+local/{base}"
    assert beside("model", "adapter/./adapter+local/base", there) == whole
    assert beside("model", "adapter/adapter+hf/o/n@c", there) == f"adapter/{adapter}+hf/o/n@c"
    assert beside("model", "adapter/c++/a+gguf/x+y.gguf", there) == f"adapter/{there}/c++/a+gguf/{there}/x+y.gguf"
    assert beside("model", "local/a+local/b", there) == f"local/{there}/a+local/b", "a folder may be called so"
    assert is_on_disk("model", whole) and what_lacks("model", whole) is None
    assert what_lacks("model", "adapter//no/where+local//x") == (
        "there is no folder '/no/where'; give one with adapter_config.json and adapter_model.safetensors"
    )
    # Another machine has the adapter elsewhere, and the base elsewhere too unless it is a hub's.
    assert at_path("model", "adapter//a+hf/o/n@c", "/b") == "adapter//b+hf/o/n@c"
    assert at_path("model", "adapter//a+local//x", "/b+local//y") == "adapter//b+local//y"


def test_verify_takes_an_adapter_from_where_it_lies_here(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = load_suite("tiny").model_dump(mode="json")
    written["domains"] = written["domains"][:1]
    written["domains"][0]["teacher"]["model"] = name = "adapter//there/a+local//there/b"
    suite = Suite.model_validate(written)
    refs = {"teacher": SimpleNamespace(name=name, fingerprint="f" * 64)}
    refs["student"] = SimpleNamespace(name="tiny/x", fingerprint="0" * 64)
    cells: Any = [SimpleNamespace(body=SimpleNamespace(**refs, domain=SimpleNamespace(name=suite.domains[0].name)))]
    monkeypatch.chdir(base.parent)
    for typed, meant in {
        "adapter+local/base": f"adapter/{adapter}+local/{base}",
        f"{adapter}+local/{base}": f"adapter/{adapter}+local/{base}",
        f"{adapter}": f"adapter/{adapter}+local//there/b",
    }.items():
        placed = placements(suite, cells, {"f" * 8: typed})
        assert with_placements(suite, placed).domains[0].teacher.model == meant
    with pytest.raises(ModelError, match=r"--model f+=no.* there is no folder 'no'; give one with adapter_config.json"):
        placements(suite, cells, {"f" * 8: "no+local/base"})


def test_a_base_is_never_fetched_but_at_a_commit(adapter: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Any] = []

    def snapshot(repo: str, **asked: Any) -> str:
        fetched.append((repo, asked["revision"]))
        return str(base)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    change(adapter, base_model_name_or_path="acme/Base", revision="main")
    commit = "0" * 40
    for name in (f"local/{adapter}", f"{adapter}", f"adapter/{adapter}"):
        with pytest.raises(ModelError, match=rf"adapter/{adapter}\+hf/acme/Base@main"):
            Registry.of(()).model(name)
    with pytest.raises(ModelError, match="revision 'main' can move"):
        Registry.of(()).model(f"adapter/{adapter}+hf/acme/Base@main").fingerprint()
    assert not fetched
    for name in ("acme/base", "ACME/Base"):
        model = AdapterModel("m", adapter, HubModel(name, commit))
        assert logits(model.load()[0]).any() and fetched.pop() == (name, commit)
    with pytest.raises(
        ModelError, match=r"is an adapter of 'acme/Base', not of 'acme/Other'; name that one, or correct"
    ):
        Registry.of(()).model(f"adapter/{adapter}+hf/acme/Other@{commit}")
    assert not fetched


def test_what_is_no_adapter_or_has_no_base_is_told(base: Path, adapter: Path, tmp_path: Path) -> None:
    registry = Registry.of(())
    for name, message in {
        f"adapter/{adapter}": rf"names no base; write the name adapter/{adapter}\+local/{base}, where",
        f"adapter/{adapter}+local/{tmp_path}/no": rf"there is no folder '{tmp_path}/no'; give one with config.json",
        f"adapter/{tmp_path}/no+local/{base}": r"there is no folder .*; give one with adapter_config.json and",
        f"adapter/{base}+local/{base}": r"no adapter_config.json in .*base, so no adapter; .* local/FOLDER for a whole",
        f"local/{adapter}": rf"holds adapter_config.json, an adapter .*; write the name adapter/{adapter}\+local/{base}, or",
    }.items():
        with pytest.raises(ModelError, match=message):
            registry.model(name)
    change(adapter, base_model_name_or_path=None)
    with pytest.raises(ModelError, match=rf"the name adapter/{adapter}\+BASE"):
        registry.model(f"local/{adapter}")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(
        ModelError, match=r"no adapter_model.safetensors in .* but adapter_model.bin, and pickled weights"
    ):
        model_of(adapter, base)
    (adapter / "adapter_model.bin").unlink()
    with pytest.raises(ModelError, match=r"no adapter_model.safetensors in .*, so no weights; save it again"):
        model_of(adapter, base)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"peft_type": "PROMPT_TUNING"},
            r"has peft_type 'PROMPT_TUNING', which no merged .* on '.*base' or another base",
        ),
        ({"peft_type": None}, "has peft_type None"),
        ({"alora_invocation_tokens": [3, 4]}, "has alora_invocation_tokens set, which no merged weights are equal to"),
        ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "has megatron_config set"),
    ],
)
def test_what_cannot_be_merged_is_refused_before_anything_is_loaded(
    values: dict[str, Any], message: str, base: Path, adapter: Path
) -> None:
    change(adapter, **values)
    with pytest.raises(ModelError, match=message):
        model_of(adapter, base)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_adapter_of_another_base_is_told_with_both(
    model_folders: dict[str, Path], base: Path, tmp_path: Path
) -> None:
    config = peft.LoraConfig(r=4, target_modules=TARGETS)
    fitting = tuned(base, tmp_path / "fitting", config)
    wide = tmp_path / "wide"
    model, tokenizer = LocalModel("b", base).load()
    for folder, changes in ((wide, {"intermediate_size": 48}), (tmp_path / "short", {"num_hidden_layers": 1})):
        type(model)(type(model.config)(**{**model.config.to_dict(), **changes})).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    cases: list[tuple[Path, Path, str]] = [
        (fitting, wide, "size mismatch"),
        (fitting, tmp_path / "short", r"the base has no place for \d+ tensors, base_model.model.*layers.1"),
        (tuned(tmp_path / "short", tmp_path / "a"), base, r"the adapter lacks \d+ tensors, .*layers.1"),
        (fitting, model_folders["gpt2"], r"[Tt]arget modules"),
    ]
    for adapter, other, why in cases:
        pattern = (
            rf"the adapter in {adapter} does not fit its base 'local/{other}': .*{why}.*; name the model that it was"
        )
        with pytest.raises(ModelError, match=pattern) as raised:
            model_of(adapter, other).load()
        assert "\n" not in str(raised.value)
    with pytest.raises(
        ModelError, match=r"Impossible to merge LoRA with .* no bias; name the model .* or merge the two"
    ):
        model_of(tuned(base, tmp_path / "b", peft.LoraConfig(target_modules=TARGETS, lora_bias=True)), base).load()
    (fitting / "adapter_model.safetensors").write_text("no weights at all")
    with pytest.raises(ModelError, match=r"the adapter in .* does not fit its base"):
        model_of(fitting, base).load()


def test_a_dry_run_tells_the_size_of_both(base: Path, adapter: Path) -> None:
    name = f"adapter/{adapter}+local/{base}"
    found = sizes_of({name: model_of(adapter, base), "base": LocalModel("base", base)})
    assert found[name].blueprint == found["base"].blueprint and found[name].blueprint is not None
    assert found[name].on_disk == found["base"].on_disk + sum(
        (adapter / file).stat().st_size for file in ("adapter_config.json", "adapter_model.safetensors")
    )
    assert found[name].download == 0
    hub = AdapterModel("m", adapter, HubModel("acme/base", "0" * 40))
    assert sizes_of({"m": hub})["m"].download is None, "the hub is asked for the base, and not reached"


@pytest.mark.parametrize("recipe", ["full", "lora", "head"])
def test_an_adapter_teaches_as_it_is_and_learns(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    written: dict[str, Any] = toy_suite(tmp_path, seeds=1).model_dump(mode="json")
    adapters = {
        role: tuned(tmp_path / role, tmp_path / f"{role}-adapter", peft.LoraConfig(r=2, target_modules="all-linear"))
        for role in ("teacher", "student")
    }
    written["domains"] = written["domains"][:1]
    spec = written["domains"][0]
    del spec["sizes"]["weak_train"]
    spec["teacher"] = {"model": "adapter/./teacher-adapter+local/./teacher", "recipe": "none"}
    spec["student"] = {
        "model": "adapter/./student-adapter+local/./student",
        "recipe": recipe,
        "steps": 2,
        "batch_size": 4,
        "learning_rate": 1e-3,
    }
    suite = Suite.model_validate(written).with_folders_of(tmp_path)
    planned = plan(suite, registry, trust=["confidence"])
    task = planned.cells[0].task
    assert task.teacher.name == f"adapter/{adapters['teacher']}+local/{tmp_path}/teacher"
    assert {"peft"} <= set(task.teacher.stage_fields()["libraries"]), "what was merged depends on who merged it"
    outcomes = run_inline(list(planned.cells[0].models), Store(tmp_path / "store"), registry)
    assert all(stage.node in outcomes for stage in planned.cells[0].models)


def test_memory_that_runs_out_is_not_met_with_what_an_adapter_refuses(base: Path, adapter: Path) -> None:
    name = f"adapter/{adapter}+local/{base}"
    engine = load_engine(Registry.of(()).model(name))
    told = str(out_of_memory(engine.model, "to read one row"))
    assert f"{name!r} to read one row; set dtype bfloat16 for it, end what else runs there" in told
    assert "quantization nf4" in str(out_of_memory(load_engine(LocalModel("base", base)).model, "to read one row"))


@pytest.mark.parametrize("begun", ["pissa_niter_4", "lora_ga", "corda", "loftq"])
def test_an_adapter_that_began_by_changing_its_base_is_refused(adapter: Path, base: Path, begun: str) -> None:
    """By gradients, data or drawn numbers that are in no file: what is merged would differ from load to load, or from what was trained."""
    change(adapter, init_lora_weights=begun)
    with pytest.raises(
        ModelError,
        match=rf"has init_lora_weights '{begun}', .*path_initial_model_for_weight_conversion=…\), or merge the two",
    ):
        model_of(adapter, base)


@pytest.mark.parametrize("begun", ["pissa", "olora", "orthogonal", "gaussian"])
def test_an_adapter_that_began_by_its_bases_weights_alone_says_what_was_trained(
    base: Path, tmp_path: Path, begun: str
) -> None:
    plain, _ = LocalModel("base", base).load()
    adapted: Any = peft.get_peft_model(plain, peft.LoraConfig(r=4, target_modules=TARGETS, init_lora_weights=begun))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    adapted.save_pretrained(tmp_path / "a")
    expected = logits(adapted.eval())
    for _ in range(2):
        np.testing.assert_allclose(logits(model_of(tmp_path / "a", base).load()[0]), expected, atol=2e-5)


def test_the_commit_that_an_adapter_names_is_its_bases(adapter: Path) -> None:
    """Another commit of the same repository may hold other weights."""
    trained_on, other = "a1" * 20, "b" * 40
    change(adapter, base_model_name_or_path="acme/Base", revision=trained_on.upper())
    assert AdapterModel("m", adapter, HubModel("acme/Base", trained_on))
    with pytest.raises(
        ModelError, match=rf"its base is at commit {trained_on.upper()}, not {other}; name that one, or take"
    ):
        AdapterModel("m", adapter, HubModel("acme/Base", other))
    for told in (None, "main"):  # neither names one
        change(adapter, revision=told)
        assert AdapterModel("m", adapter, HubModel("acme/Base", other))


def test_an_adapter_that_git_left_a_pointer_of_is_told_so(adapter: Path, base: Path) -> None:
    (adapter / "adapter_model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n"
    )
    with pytest.raises(ModelError, match=r"adapter_model.safetensors is a pointer of Git LFS .*git lfs pull"):
        model_of(adapter, base)
