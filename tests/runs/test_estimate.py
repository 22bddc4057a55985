"""What a dry run tells of each model: counted from shapes, and compared with what torch and peft make of the same configuration."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import architectures
from conftest import random_model
from support import BUNDLED, toy_registry, toy_suite
from w2s_bench.domains.documents import Count, key_of, of_task
from w2s_bench.domains.task import TaskDomain
from w2s_bench.domains.texts import rendered
from w2s_bench.domains.unread import counted
from w2s_bench.errors import ModelError
from w2s_bench.executors.timings import Timings
from w2s_bench.models import sizes, speed
from w2s_bench.models.footprint import Blueprint, Use, memory, operations, shapes_of
from w2s_bench.models.known_files import KNOWN_REPOSITORIES
from w2s_bench.models.origins import HubModel
from w2s_bench.models.speed import Throughput, measure
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs.estimate import ModelCost, estimate, places
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.runs.unmade import Unmade
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite

COMMIT = "a" * 40
#: Published numbers of parameters, and the configurations that they follow from.
KNOWN: dict[str, tuple[int, str, dict[str, Any]]] = {
    "gpt2": (124_439_808, "gpt2", {}),
    "Qwen3-0.6B": (
        596_049_920,
        "qwen3",
        {
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
        },
    ),
    "SmolLM2-135M": (
        134_515_008,
        "llama",
        {
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "vocab_size": 49152,
            "tie_word_embeddings": True,
        },
    ),
    "Llama-3.1-8B": (
        8_030_261_248,
        "llama",
        {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
            "tie_word_embeddings": False,
        },
    ),
}


def on_meta(kind: str, settings: dict[str, Any]) -> Any:
    """A model of shapes alone."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**settings))


def checkpoint(folder: Path, model: Any, *, output_too: bool = False) -> Path:
    """A folder with a model's configuration and a safetensors file of which there is the header alone."""
    folder.mkdir(exist_ok=True)
    model.config.save_pretrained(folder)
    held = {name: list(parameter.shape) for name, parameter in model.named_parameters()}  # tied ones once
    if output_too:
        held["lm_head.weight"] = list(model.get_output_embeddings().weight.shape)
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in held.items()}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder


@pytest.mark.parametrize("name", KNOWN)
def test_parameters_are_those_published(name: str, tmp_path: Path) -> None:
    count, kind, settings = KNOWN[name]
    model = on_meta(kind, settings)
    found = sizes._of_folder(checkpoint(tmp_path / "m", model)).blueprint
    assert found is not None and found.parameters == count
    if settings.get("tie_word_embeddings"):
        again = sizes._of_folder(checkpoint(tmp_path / "m", model, output_too=True)).blueprint
        assert again is not None and again.parameters == count, "a file may hold the embedding twice"
    text = model.config
    assert (found.width, found.layers, found.vocabulary) == (text.hidden_size, text.num_hidden_layers, text.vocab_size)


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2", "opt", "gpt_neox", "phi", "olmo2"])
def test_adapters_are_as_many_as_peft_makes(name: str) -> None:
    from w2s_bench.models.finetuning import add_lora

    model = architectures.new(name)
    shapes = {key: tuple(parameter.shape) for key, parameter in model.named_parameters()}
    blueprint = Blueprint.of(shapes, model.config.to_dict())
    adapted = add_lora(model, rank=4, seed=0)
    assert blueprint.adapters(4) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def test_memory_by_hand() -> None:
    """A layer of two matrices (8 × 4), an embedding of 10 × 4 that is the output too: 104 weights."""
    tensors = {"embed_tokens.weight": (10, 4), "up.weight": (8, 4), "down.weight": (4, 8), "inv_freq": (99,)}
    config = {"hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 10}
    config |= {"num_attention_heads": 2, "tie_word_embeddings": True}
    of = Blueprint.of(tensors, config)
    assert (of.parameters, of.adapters(2), of.kept) == (104, 2 * 12 * 2, 8)
    token = 4 * (14 * 4 + 5 * 8)
    full = memory(of, Use("full", tokens=100, predicted=5, read=10), process=7)
    assert (full.weights, full.gradients, full.optimizer, full.process) == (416, 416, 832, 7)
    assert full.activations == 100 * token + 5 * 10 * 4 * 3
    assert full.total == 416 + 416 + 832 + 7 + full.activations
    lora = memory(of, Use("lora", dtype="bfloat16", lora_rank=2, tokens=100, predicted=5, read=10), process=0)
    assert (lora.weights, lora.gradients, lora.optimizer) == (208 + 48 * 4, 48 * 4, 48 * 8)
    assert lora.activations == 100 * token // 2 + 5 * 10 * 4 * 3
    eight = memory(of, Use("full", optimizer="adamw8bit"), process=0)
    assert (eight.gradients, eight.optimizer) == (416, 208)
    for recipe in ("head", "none"):
        frozen = memory(of, Use(recipe, tokens=100, predicted=5, read=10, generated=20), process=0)
        assert (frozen.weights, frozen.gradients, frozen.optimizer) == (416, 0, 0)
        assert frozen.activations == 10 * 2 * token + 20 * of.kept * 4
    four = memory(of, Use("lora", dtype="bfloat16", quantization="nf4", lora_rank=2), process=0)
    assert four.weights == int(208 - 64 * (2 - 0.52)) + 48 * 4


def test_operations_by_hand() -> None:
    of = Blueprint(104, ((8, 4), (4, 8)), 4, 8, 1, 10)
    forward = 2 * (64 * 100 + 40 * 5)
    work: dict[str, Any] = {"tokens": 100, "predicted": 5}
    assert operations(of, "none", **work, training=False) == forward
    assert operations(of, "full", **work, training=True) == 3 * forward
    assert operations(of, "lora", **work, training=True) == 2 * forward


def test_a_file_that_is_no_safetensors_is_told(tmp_path: Path) -> None:
    for content in (b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{"):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=r"."):
            shapes_of(tmp_path / "x.safetensors")
    (tmp_path / "config.json").write_text("{}")
    told = sizes._of_folder(tmp_path)
    assert (told.blueprint, told.on_disk, told.why) == (None, 11, "its files cannot be read")


def test_throughput_lies_between_what_was_measured() -> None:
    fast = Throughput({"train": [(64, 1e9), (256, 4e9)]})
    assert [fast.of("train", width) for width in (8, 64, 128, 256, 9999)] == pytest.approx([1e9, 1e9, 2e9, 4e9, 4e9])
    assert fast.of("read", 64) is None


def test_measuring_times_every_work_however_slow_the_machine_is() -> None:
    """By a clock that goes a minute each time it is looked at: the narrowest width is measured, and no other."""
    minutes = iter(range(0, 1_000_000, 60))
    found = measure(seconds=10, clock=lambda: float(next(minutes)))
    assert set(found.measured) == {"train", "read", "generate"}
    assert all([width for width, _ in points] == [64] for points in found.measured.values())
    assert all(rate > 0 for points in found.measured.values() for _, rate in points)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plan:
    return plan(toy_suite(tmp_path / "models"), toy_registry(monkeypatch), trust=())


def test_each_model_has_its_cost(planned: Plan, tmp_path: Path) -> None:
    stages, timings = planned.stages(), Timings.of_store(tmp_path)
    assert places(planned) == (("cpu", "float32"),)
    unmeasured = estimate(planned, stages, timings, {}, {})
    assert [model.roles for model in unmeasured] == [
        ("w2s-bench-toy/largest teacher", "w2s-bench-toy/sums teacher"),
        ("w2s-bench-toy/largest student", "w2s-bench-toy/sums student"),
    ]
    from w2s_bench.models.loading import load_engine
    from w2s_bench.models.origins import from_folder

    for model in unmeasured:
        real = load_engine(from_folder(model.name)).model
        assert model.parameters == sum(p.numel() for p in real.parameters())
        assert model.memory is not None and model.memory["weights"] == 4 * model.parameters
        assert model.memory["total"] == sum(size for part, size in model.memory.items() if part != "total")
        assert (model.download, model.seconds, model.assumed_lengths, model.why) == (0, None, True, "")
        assert model.on_disk == sum(p.stat().st_size for p in Path(model.name).iterdir() if p.name != "training.json")
    rates: Any = {work: [(64, 1e9)] for work in ("train", "read", "generate")}
    here = ("cpu", "float32")
    slow = estimate(planned, stages, timings, {}, {here: Throughput(rates)})
    rates = {work: [(64, 2e9)] for work in ("train", "read", "generate")}
    fast = estimate(planned, stages, timings, {}, {here: Throughput(rates), ("cpu", "bfloat16"): Throughput({})})
    for one, other in zip(slow, fast, strict=True):
        assert one.seconds and other.seconds and one.seconds == pytest.approx(2 * other.seconds)
    assert slow[1].seconds and slow[0].seconds and slow[1].seconds > slow[0].seconds, "the student is larger"
    # What the store has seen is believed before any measuring.
    own = {stage.node: stage for stage in stages if stage.timed_as.startswith(f"{slow[0].name} ")}
    for stage in own.values():
        timings.learn(stage, 3.0)
    assert estimate(planned, stages, timings, {}, {})[0].seconds == pytest.approx(
        sum(timings.known(stage) or 0.0 for stage in own.values())
    )
    assert estimate(planned, [], timings, {}, {})[1].seconds == 0.0


def test_numbers_that_the_processor_lacks_are_said_with_what_they_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = toy_suite(tmp_path / "models").model_dump(mode="json")
    for domain in content["domains"]:
        domain["teacher"] |= {"recipe": "lora", "dtype": "bfloat16"}
        domain["student"] |= {"precision": "bfloat16"}

    def costs(able: bool) -> tuple[Any, Any, Any]:
        monkeypatch.setattr("w2s_bench.models.setup.multiplies", lambda numbers: able or numbers == "float32")
        asked = plan(Suite.model_validate(content), toy_registry(monkeypatch), trust=())
        return places(asked), *estimate(asked, asked.stages(), Timings.of_store(tmp_path), {}, {})

    where, narrow, student = costs(able=True)
    assert where == (("cpu", "bfloat16"), ("cpu", "float32")) and (narrow.why, student.why) == ("", "")
    where, wide, student = costs(able=False)
    assert where == (("cpu", "float32"),)
    assert wide.memory["weights"] - narrow.memory["weights"] == 2 * wide.parameters
    told = "no instructions for bfloat16 here, so that "
    assert wide.why == f"{told}weights, rounded to it, are held and multiplied in float32"
    assert student.why == f"{told}products are float32's"


def test_a_label_source_without_a_model_costs_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = toy_suite(tmp_path / "models").model_dump(mode="json")
    content["domains"][0]["teacher"] = {"source": "noisy", "rate": 0.3}
    noisy = plan(Suite.model_validate(content), toy_registry(monkeypatch), trust=())
    costs = estimate(noisy, noisy.stages(), Timings.of_store(tmp_path), {}, {})
    assert [cost.roles for cost in costs] == [
        ("w2s-bench-toy/largest student", "w2s-bench-toy/sums student"),
        ("w2s-bench-toy/sums teacher",),
    ]


def test_stored_items_tell_how_long_rows_are(planned: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "items"
    folder.mkdir()
    row = {"id": "a", "prompt": "x" * 40, "choices": ["y" * 8, "y" * 16]}
    (folder / "items.jsonl").write_text("\n".join(json.dumps(row) for _ in range(3)) + "\n")
    stored = {cell.graphs[0].items.node: folder for cell in planned.cells}
    timings = Timings.of_store(tmp_path)
    (teacher, _), (assumed, _) = estimate(planned, [], timings, stored, {}), estimate(planned, [], timings, {}, {})
    assert not teacher.assumed_lengths and assumed.assumed_lengths


def test_documents_tell_how_long_rows_are_before_items_are_stored(planned: Plan, tmp_path: Path) -> None:
    """As long as the same items would, once they are stored."""
    texts = [(40, [8, 16]), (80, [8, 16])]
    folder = tmp_path / "items"
    folder.mkdir()
    rows = [{"id": str(n), "prompt": "x" * n, "choices": ["y" * m for m in of]} for n, of in texts]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    named = {cell.task.domain.name: cell.task.domain.params for cell in planned.cells}
    counts = {key_of(one["name"], one["parameters"]): Count(9, None, texts) for one in named.values()}
    stored = {cell.graphs[0].items.node: folder for cell in planned.cells}
    timings, unread = Timings.of_store(tmp_path), replace(planned, unmade=Unmade({}))
    looked_at = estimate(replace(planned, unmade=Unmade(counts)), [], timings, {}, {})
    assert looked_at == estimate(unread, [], timings, stored, {})
    assert looked_at != estimate(unread, [], timings, {}, {}) and not any(model.assumed_lengths for model in looked_at)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_domains_files_tell_how_long_its_items_are(name: str) -> None:
    """As lm-eval renders them, without lm-eval."""
    domain = Registry.load(()).domain(name)
    assert isinstance(domain, TaskDomain)
    count = counted(domain)
    assert count is not None and 16 <= len(count.texts) <= 32
    task = domain.task()
    documents = list(of_task(task))
    assert count.documents == len(documents)
    step = -(-len(documents) // 32)
    assert [(prompt, list(options)) for prompt, options in count.texts] == rendered(
        task, domain.kind, documents[::step]
    )


def of_hub(source: HubModel) -> sizes.Sizes:
    return sizes.sizes_of({source.name: source})[source.name]


def test_a_model_that_is_not_here_is_not_known_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert constants.HF_HUB_OFFLINE, "tests reach no network"
    told = of_hub(HubModel("acme/m", COMMIT))
    assert (told.blueprint, told.on_disk, told.download, told.why) == (None, 0, None, "not known offline")
    snapshot = tmp_path / "models--acme--m" / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    checkpoint(snapshot, random_model(architectures.tokenizer()))
    told = of_hub(HubModel("acme/m", COMMIT))
    assert told.download == 0 and told.on_disk > 0 and told.blueprint is not None


def test_what_is_to_be_fetched_is_what_the_hub_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    model = random_model(architectures.tokenizer())
    here = checkpoint(tmp_path / "remote", model)

    class File:
        def __init__(self, rfilename: str, size: int | None) -> None:
            self.rfilename, self.size = rfilename, size

    class Tensors:
        def __init__(self) -> None:
            self.tensors = {
                name: type("T", (), {"shape": list(s)})() for name, s in shapes_of(here / "model.safetensors").items()
            }

    class Api:
        asked = 0

        def model_info(self, repo: str, *, revision: str, files_metadata: bool, timeout: float) -> Any:
            Api.asked += 1
            assert (repo, revision, files_metadata) == ("acme/m", COMMIT, True) and timeout <= 5
            files = [File("model.safetensors", 1000), File("tokenizer.json", 50), File("pytorch_model.bin", 9999)]
            return type("Info", (), {"siblings": [*files, File("config.json", None)]})()

        def get_safetensors_metadata(self, repo: str, *, revision: str) -> Any:
            return type("Meta", (), {"files_metadata": {"model.safetensors": Tensors()}})()

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(here / "config.json"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    told = of_hub(HubModel("acme/m", COMMIT))
    assert (told.on_disk, told.download, told.why) == (0, 1050, ""), "pickled weights are never fetched"
    assert told.blueprint is not None and told.blueprint.parameters == sum(p.numel() for p in model.parameters())

    def fails(kind: str) -> Any:
        def asked(source: HubModel) -> sizes.Sizes:
            calls.append(source.repo)
            raise type(kind, (Exception,), {})("on purpose")

        return asked

    calls: list[str] = []
    two = {repo: HubModel(repo, COMMIT) for repo in ("acme/a", "acme/b")}
    monkeypatch.setattr(sizes, "asked_of_hub", fails("GatedRepoError"))
    assert "not known: accept its terms" in sizes.sizes_of(two)["acme/b"].why and calls == ["acme/a", "acme/b"]
    calls.clear()
    monkeypatch.setattr(sizes, "asked_of_hub", fails("ConnectError"))
    assert [one.why for one in sizes.sizes_of(two).values()] == ["not known offline"] * 2
    assert calls == ["acme/a"], "a hub that does not answer is not waited for again"


def test_what_shipped_suites_name_is_known_without_a_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    suites = [load_suite(path.stem) for path in Path(str(files("w2s_bench.suites"))).glob("*.yaml")]
    models = {model.model for suite in suites for spec in suite.domains for model in (spec.teacher, spec.student)}
    named = {name for name in models if name.startswith("hf/")}
    assert len(named) == 5
    for name in named:
        repo, _, commit = name.removeprefix("hf/").partition("@")
        told = of_hub(HubModel(repo, commit))
        assert told.blueprint is not None and told.download is None and "not known offline" in told.why
        # The shapes that follow from the configuration have as many weights as the repository counts, but for norms.
        own = sum(out * into for out, into in told.blueprint.linear)
        tied = KNOWN_REPOSITORIES[repo].config["tie_word_embeddings"]  # type: ignore[index]
        own += (1 if tied else 2) * told.blueprint.vocabulary * told.blueprint.width
        assert 0 < told.blueprint.parameters - own < 1e-3 * own


def test_a_dry_run_prints_each_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from w2s_bench._cli import dry_run

    suite = toy_suite(tmp_path / "models")
    planned = plan(suite, toy_registry(monkeypatch), trust=())
    store = str(tmp_path / "store")
    dry_run.print_dry_run(planned, tmp_path / "toy", store, (), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [set(model) for model in told["models"]] == [set(ModelCost.__dataclass_fields__)] * 2
    assert told["models"][0]["seconds"] is None and told["models"][0]["memory"]["total"] > 0
    monkeypatch.setattr(
        dry_run,
        "_measured",
        lambda places: {d: Throughput({w: [(64, 1e6)] for w in ("train", "read", "generate")}) for d in places},
    )
    dry_run.print_dry_run(planned, tmp_path / "toy", store, (), as_json=False, measure=True)
    shown = capsys.readouterr().out
    assert "parameters" in shown and "to fetch" in shown and "rows of 256 tokens are assumed" in shown
    assert "--measure times" not in shown


def test_a_dry_run_refuses_a_folder_that_loading_would_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = toy_suite(tmp_path / "models")
    (tmp_path / "models" / "student" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"models/student' cannot be loaded from .*: it has no tokenizer .*; save the"):
        plan(suite, toy_registry(monkeypatch), trust=())


def test_measuring_goes_with_a_dry_run_alone() -> None:
    from w2s_bench._cli.preflight import refuse_measuring_alone
    from w2s_bench.errors import W2SBenchError

    refuse_measuring_alone(measure=True, dry_run=True)
    with pytest.raises(W2SBenchError, match="add --dry-run"):
        refuse_measuring_alone(measure=True, dry_run=False)


def test_what_is_measured_is_one_thread_which_is_what_a_worker_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    seen, threads = set[int](), torch.get_num_threads()
    monkeypatch.setattr(
        speed, "_works", lambda *_: [("read", 1.0, lambda: seen.add(torch.get_num_threads()))] if not seen else []
    )
    torch.set_num_threads(2)
    try:
        measure(seconds=0.0)
        assert (seen, torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(threads)
