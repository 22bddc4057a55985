"""Numbers of few bits on a processor that has no instructions for them: rounded as the suite says, computed in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import architectures
from w2s_bench import machine
from w2s_bench.errors import ModelError, W2SBenchError
from w2s_bench.executors.slurm.submission import Setup as Submitted
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.setup import Setup
from w2s_bench.names import DEVICE_VARIABLE
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.runs.provenance import provenance
from w2s_bench.store.stage import Stage
from w2s_bench.suite_training import Training
from w2s_bench.types import Item, TrainingRow

INTEL, ARM = "processor\t: 0\nflags\t\t: {}\n\nprocessor\t: 1\nflags\t\t: none\n", "processor : 0\nFeatures : {}\n"


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Has the machine's processor be another, by the text of /proc/cpuinfo."""
    read = machine._cpuinfo

    def be(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(machine, "_cpuinfo", lambda: read(tmp_path / "cpuinfo"))
        machine._has_instructions_for.cache_clear()

    for variable in (machine.MULTIPLIES_VARIABLE, DEVICE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    yield be
    machine._has_instructions_for.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architectures.save("qwen3", tmp_path_factory.mktemp("qwen3"))


@pytest.mark.parametrize(
    ("listed", "bfloat16", "float16"),
    [
        (INTEL.format("sse2 avx2 avx512f"), False, False),
        (INTEL.format("avx512f avx512_bf16"), True, False),
        (INTEL.format("amx_tile amx_bf16 avx512_fp16"), True, True),
        (INTEL.format("avx512_bf16x"), False, False),
        (ARM.format("fp asimd"), False, False),
        (ARM.format("fp asimd asimdhp bf16"), True, True),
        ("model name : of which nothing is listed\n", True, True),
    ],
)
def test_a_processor_says_what_it_multiplies(
    processor: Callable[[str], None], listed: str, bfloat16: bool, float16: bool
) -> None:
    processor(listed)
    assert (machine.multiplies("bfloat16"), machine.multiplies("float16")) == (bfloat16, float16)
    assert machine.multiplies("float32")


def test_a_variable_says_otherwise_and_slurms_jobs_are_told_what_the_plan_was_made_for(
    processor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of them makes the plan again, on whatever processor it meets."""

    def told() -> str:
        own: Any = dict.fromkeys(("store", "collect", "limits", "plugins", "minutes", "patience"))
        return Submitted.here(**own).environment[machine.MULTIPLIES_VARIABLE]

    processor(INTEL.format("amx_bf16"))
    assert told() == "bfloat16"
    processor(INTEL.format("avx2"))
    assert told() == "" and not machine.multiplies("bfloat16")
    monkeypatch.setenv(machine.MULTIPLIES_VARIABLE, "bfloat16, float16")
    assert told() == "bfloat16,float16" and machine.multiplies("bfloat16")
    processor(INTEL.format("amx_bf16"))
    monkeypatch.setenv(machine.MULTIPLIES_VARIABLE, "")
    assert told() == "" and not machine.multiplies("bfloat16")
    monkeypatch.setenv(machine.MULTIPLIES_VARIABLE, "fp8")
    with pytest.raises(W2SBenchError, match=r"W2S_BENCH_MULTIPLIES names 'fp8'; expected bfloat16, float16, both"):
        machine.multiplies("bfloat16")


def planned(origin: Any, **how: Any) -> PlannedModel:
    how = {"recipe": "lora", "steps": 2, "learning_rate": 1e-3} | how
    return PlannedModel.of(Training.model_validate({"model": "local/m", **how}), origin)


def test_whoever_plans_decides_and_the_stages_parameters_say_so(
    folder: Path, processor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a worker on another processor computes what was planned, and results of two kinds of machine have two keys."""
    origin = LocalModel("local/m", folder)
    processor(INTEL.format("avx512_bf16"))
    able, exact = planned(origin, dtype="bfloat16"), planned(origin)
    assert able.params["setup"] == {"dtype": "bfloat16"} and able.setup.held == "bfloat16"
    lower = planned(origin, recipe="full", precision="bfloat16")
    assert lower.imitated is None and "setup" not in lower.params
    processor(INTEL.format("avx2"))
    unable = planned(origin, dtype="bfloat16")
    assert unable.params["setup"] == {"dtype": "bfloat16", "widened": True} and unable.setup.held == "float32"
    assert PlannedModel.read(unable.params) == unable and unable.plain.setup.widened
    assert planned(origin) == exact, "float32 is what it was"
    assert planned(origin, recipe="full", precision="bfloat16") == replace(lower, setup=Setup(widened=True))
    assert [planned(origin, **how).imitated for how in ({"dtype": "float16"}, {"precision": "bfloat16"}, {})] == [
        "float16",
        "bfloat16",
        None,
    ]
    with machine.multiplying_all_but(()):
        assert planned(origin, dtype="bfloat16") == able, "a plan of what was made elsewhere"
        with machine.multiplying_all_but(["bfloat16"]):
            assert planned(origin, dtype="bfloat16") == unable and not planned(origin, dtype="float16").imitated
    assert not planned(origin, dtype="bfloat16", quantization="nf4").setup.widened
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    assert not planned(origin, dtype="bfloat16").setup.widened
    assert not planned(origin, recipe="full", precision="bfloat16").setup.widened


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_rounded_and_products_are_those_of_float32(folder: Path, dtype: Any) -> None:
    origin, setup = LocalModel("local/m", folder), Setup(dtype=dtype)
    narrow, wide = (load_engine(origin, setup=which) for which in (setup, replace(setup, widened=True)))
    assert {p.dtype for p in wide.model.parameters()} == {torch.float32}
    expected = {name: tensor.float() for name, tensor in narrow.model.state_dict().items()}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in wide.model.state_dict().items())
    assert not all(
        torch.equal(tensor, expected[name]) for name, tensor in load_engine(origin).model.state_dict().items()
    )
    choices = tuple(" " + architectures.text(2, n) for n in range(3))
    item = Item("1", "1", "1", "", architectures.text(5, 1), choices)
    rounded = load_engine(origin)
    rounded.model.load_state_dict(expected)
    (found,), (same,), (near,) = (engine.choice_scores([item]) for engine in (wide, rounded, narrow))
    assert found == pytest.approx(same, abs=1e-5)
    assert found == pytest.approx(near, abs=0.3) and found != pytest.approx(near, abs=1e-5)
    (autocast,) = load_engine(origin, setup=replace(setup, widened=True), precision="bfloat16").choice_scores([item])
    assert autocast == pytest.approx(found, abs=1e-5), "nothing is computed in fewer digits"


def test_a_tied_output_layer_stays_tied_and_other_recipes_are_refused_alike(folder: Path) -> None:
    origin = LocalModel("local/m", architectures.save("smollm", folder.parent / "smollm"))
    engine = load_engine(origin, setup=Setup(dtype="bfloat16", widened=True))
    inputs, outputs = engine.model.get_input_embeddings().weight, engine.model.get_output_embeddings().weight
    assert inputs is outputs
    rows = [TrainingRow("1", architectures.text(4, 1), " " + architectures.text(2, 3), False, None, None)]
    how: dict[str, Any] = {"steps": 1, "batch_size": 1, "learning_rate": 1e-3, "seed": 0, "lora_rank": 2}
    with pytest.raises(ModelError, match="lost in weights of bfloat16"):
        engine.train(rows, recipe="full", **how)
    engine.train(rows, recipe="lora", **{**how, "steps": 8, "learning_rate": 1e-2})
    engine.save_weights(folder.parent, recipe="lora")
    again = load_engine(origin, folder.parent, recipe="lora", lora_rank=2, setup=engine.setup)
    (found,), (expected,) = (each.label_logprobs(rows) for each in (again, engine))
    assert found == pytest.approx(expected, abs=1e-5)
    (before,) = load_engine(origin, setup=engine.setup).label_logprobs(rows)
    assert sum(expected) > sum(before) + 0.1, "and it has learned"


def test_a_run_says_for_what_it_computed_in_float32_and_another_is_held_to_a_tolerance(
    folder: Path, processor: Callable[[str], None]
) -> None:
    def made() -> dict[str, Any]:
        stage = Stage(print, {"model": planned(LocalModel("local/m", folder), dtype="bfloat16").params}, {})
        return provenance([stage], [])

    processor(INTEL.format("avx512_bf16"))
    able = made()
    assert machine.IMITATED not in able
    processor(INTEL.format("avx2"))
    unable = made()
    assert unable[machine.IMITATED] == ["bfloat16"]
    assert machine.elsewhere(able, able) is machine.elsewhere(unable, unable) is None
    assert machine.elsewhere(able, unable) == "float32 computed in place of nothing; here of bfloat16"
    assert machine.elsewhere(unable, able) == "float32 computed in place of bfloat16; here of nothing"
    for odd in (5, "bfloat16", {"bfloat16": 1}, None, True):  # a stranger's cell may say anything
        assert machine.elsewhere({**able, machine.IMITATED: odd}, able) is None
