"""vLLM in the engine's place, by a stand-in that computes as transformers does: the same figures and answers, and who asks it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import architectures
from support import toy_registry, toy_suite
from w2s_bench.errors import ModelError, W2SBenchError
from w2s_bench.models.loading import load_engine, load_whole
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.vllm import VllmEngine
from w2s_bench.names import DEVICE_VARIABLE, ENGINE_VARIABLE
from w2s_bench.protocol.planned import PlannedModel, load_planned
from w2s_bench.record import write_json, write_records
from w2s_bench.runs.plan import plan
from w2s_bench.runs.refusals import refuse_absent_vllm
from w2s_bench.store.stage import Stage, StageContext
from w2s_bench.types import Item, TrainingRow

TRAINING: dict[str, Any] = {"steps": 3, "batch_size": 4, "learning_rate": 1e-2, "lora_rank": 2, "seed": 0}


class SamplingParams:
    """The fields that are asked for, with vLLM's defaults; any other name is an error there too."""

    def __init__(
        self,
        *,
        max_tokens: int = 16,
        temperature: float = 1.0,
        n: int = 1,
        seed: int | None = None,
        prompt_logprobs: int | None = None,
        stop: Any = None,
        stop_token_ids: Any = None,
        detokenize: bool = True,
        skip_special_tokens: bool = True,
    ) -> None:
        assert detokenize or not stop, "stop strings are only supported when detokenize is True"
        self.__dict__ |= {name: value for name, value in locals().items() if name != "self"}


class LLM:
    """Reads a folder, one row at a time, without any memory of keys and values."""

    alive = 0
    folders: ClassVar[list[str]] = []

    def __init__(self, model: str, *, dtype: str, seed: int, trust_remote_code: bool, disable_log_stats: bool) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
        LLM.alive += 1
        LLM.folders.append(model)
        self.llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=self._shutdown))

    def _shutdown(self) -> None:
        LLM.alive -= 1

    def generate(self, prompts: Any, sampling_params: Any, *, use_tqdm: bool) -> list[Any]:
        every = sampling_params if isinstance(sampling_params, list) else [sampling_params] * len(prompts)
        return [self._answered(p["prompt_token_ids"], by) for p, by in zip(prompts, every, strict=True)]

    @torch.no_grad()
    def _answered(self, ids: list[int], by: Any) -> Any:
        logprobs = self.model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        told: list[Any] = [None]
        told += [{i: SimpleNamespace(logprob=float(logprobs[at, i]))} for at, i in enumerate(ids[1:])]
        outputs = [SimpleNamespace(token_ids=tuple(self._new(ids, by, number))) for number in range(by.n)]
        return SimpleNamespace(prompt_logprobs=told if by.prompt_logprobs == 0 else None, outputs=outputs)

    def _new(self, ids: list[int], by: Any, number: int) -> list[int]:
        new: list[int] = []
        generator = torch.Generator().manual_seed((by.seed or 0) + number)
        while len(new) < by.max_tokens:
            logits = self.model(torch.tensor([[*ids, *new]])).logits[0, -1].float()
            if by.temperature:
                new.append(int(torch.multinomial((logits / by.temperature).softmax(-1), 1, generator=generator)))
            else:
                new.append(int(logits.argmax()))
            ended = new[-1] in {*(by.stop_token_ids or ()), self.tokenizer.eos_token_id}
            if ended or any(stop in self.tokenizer.decode(new) for stop in by.stop or ()):
                break
        return new


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("vllm")
    vars(module).update(LLM=LLM, SamplingParams=SamplingParams)
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(LLM, "alive", 0)
    return module


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel("m", architectures.save("llama", tmp_path_factory.mktemp("m") / "m"))


def rows() -> list[TrainingRow]:
    choices = (" w5 w6", " w7", " w8 w9 w4")
    return [
        TrainingRow(str(i), architectures.text(3 + 2 * i, i), choices[i % 3], i % 2 == 0, choices, i % 3)
        for i in range(6)
    ]


def items() -> list[Item]:
    return [Item(row.id, "g", row.id, "s", row.prompt, row.choices) for row in rows()]


def by_vllm(source: LocalModel, saved: Path | None = None, **tuning: Any) -> VllmEngine:
    return VllmEngine(*load_whole(source, saved, **tuning))


def test_figures_and_greedy_answers_are_the_engines(source: LocalModel) -> None:
    own, other = load_engine(source), by_vllm(source)
    for ours, theirs in zip(own.choice_scores(items()), other.choice_scores(items()), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
    for ours, theirs in zip(own.label_logprobs(rows()), other.label_logprobs(rows()), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
    stop = own.generate(items(), max_new_tokens=12, until=())[0].text.split()[2]
    for until in ((), (stop,)):
        asked: Any = {"max_new_tokens": 12, "until": until}
        assert other.generate(items(), **asked) == own.generate(items(), **asked)
    assert LLM.alive == 0 and not any(Path(folder).exists() for folder in LLM.folders)


@pytest.mark.parametrize("before", [None, "fork"])
def test_the_users_own_way_to_start_processes_is_left(
    before: str | None, source: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "VLLM_WORKER_MULTIPROCESSING_METHOD"
    monkeypatch.delenv(name, raising=False) if before is None else monkeypatch.setenv(name, before)
    by_vllm(source).choice_scores(items()[:1])
    assert os.environ.get(name) == before


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_a_tuned_student_is_read_with_its_weights(source: LocalModel, recipe: Any, tmp_path: Path) -> None:
    student = load_engine(source)
    student.train(rows(), recipe=recipe, **TRAINING)
    student.save_weights(tmp_path, recipe=recipe)
    other = by_vllm(source, tmp_path, recipe=recipe, lora_rank=2)
    untuned = load_engine(source).choice_scores(items())
    for ours, theirs, before in zip(student.choice_scores(items()), other.choice_scores(items()), untuned, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
        assert np.abs(theirs - before).max() > 1e-2


def test_samples_hang_on_the_seed_alone(source: LocalModel) -> None:
    def drawn(seed: int, temperature: float = 1.0) -> list[list[str]]:
        rng = np.random.default_rng(seed)
        return by_vllm(source).samples(rows(), 3, temperature, max_new_tokens=6, rng=rng)

    assert drawn(1) == drawn(1) != drawn(2)
    assert [len(set(texts)) for texts in drawn(1)] != [1] * 6
    greedy = load_engine(source).generate(items(), max_new_tokens=6, until=())
    assert drawn(1, 1e-4) == [[answer.text] * 3 for answer in greedy]


def test_what_vllm_does_not_tell_is_refused(source: LocalModel) -> None:
    engine = by_vllm(source)
    for ask in (
        lambda: engine.hidden_states(rows(), -1),
        lambda: engine.option_states(rows()),
        lambda: engine.label_entropies(rows()),
        lambda: engine.train(rows(), recipe="full", **TRAINING),
    ):
        with pytest.raises(ModelError, match="vLLM gives answers and log-probabilities of model 'm', and nothing else"):
            ask()
    engine.model.generation_config.repetition_penalty = 2.0
    with pytest.raises(ModelError, match="change greedy answers, which vLLM is not told; unset W2S_BENCH_ENGINE"):
        engine.generate(items(), max_new_tokens=2, until=())


def test_its_own_errors_name_the_model_and_the_way_out(
    source: LocalModel, vllm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise ValueError("No available memory\nfor the cache blocks")

    monkeypatch.setattr(vllm, "LLM", full)
    with pytest.raises(
        ModelError, match=r"vLLM cannot read model 'm': No available memory for the cache blocks; unset"
    ):
        by_vllm(source).label_logprobs(rows())
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(
        ModelError, match=r"engine vllm cannot be imported here .*; pip install 'w2s-bench\[vllm\]', or unset"
    ):
        by_vllm(source).label_logprobs(rows())


def test_a_run_is_refused_where_vllm_is_not_installed_or_the_device_is_none_of_its(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(W2SBenchError, match=r"is vllm, which is not installed; pip install 'w2s-bench\[vllm\]'"):
            refuse_absent_vllm()
    for engine, device, told in (
        ("vllm", "", "is of CUDA devices, and models run on 'cpu'; give --device cuda"),
        ("vlm", "cuda", "is 'vlm'; give built-in or vllm"),
    ):
        monkeypatch.setenv(ENGINE_VARIABLE, engine)
        monkeypatch.setenv(DEVICE_VARIABLE, device)
        with pytest.raises(ModelError, match=told):
            planned(tmp_path, monkeypatch)


def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    return plan(toy_suite(tmp_path), toy_registry(monkeypatch)).stages()


def test_the_keys_of_what_vllm_makes_say_so_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    usual = planned(tmp_path, monkeypatch)
    monkeypatch.setenv(ENGINE_VARIABLE, "vllm")
    by = planned(tmp_path, monkeypatch)
    assert "engine" not in str([stage.params for stage in usual])
    told = {(stage.name, stage.params.get("read")) for stage in by if "engine" in stage.params.get("model", {})}
    assert told == {("predict", None), ("read", "choice_probs"), ("read", "label_logprobs"), ("samples", None)}
    assert "hidden_states" in {stage.params.get("read") for stage in by}
    assert all("vllm" in stage.libraries for stage in by if "engine" in stage.params.get("model", {}))
    trained = [[stage.params for stage in stages if stage.name == "train"] for stages in (usual, by)]
    assert trained[0] == trained[1] != []


def test_models_that_vllm_is_given_in_no_such_way_keep_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    from w2s_bench.models.setup import Setup
    from w2s_bench.protocol.planned import _engine_for

    monkeypatch.setenv(ENGINE_VARIABLE, "vllm")
    engines = [
        _engine_for("cuda", Setup(quantization=q, device_map=d))
        for q, d in (("none", "none"), ("nf4", "none"), ("none", "auto"))
    ]
    assert engines == ["vllm", "built-in", "built-in"]


def test_a_stage_that_was_planned_for_vllm_runs_by_it(source: LocalModel, tmp_path: Path) -> None:
    from w2s_bench.protocol.files import FORMAT, ITEMS, PREDICTIONS
    from w2s_bench.protocol.recipes.tuned import predict

    model = PlannedModel("m", source.fingerprint(), device="cuda", engine="vllm")
    registry: Any = SimpleNamespace(model=lambda name: source)
    for name in ("subset", "out"):
        (tmp_path / name).mkdir()
    write_records(tmp_path / "subset" / ITEMS, items())
    write_json(tmp_path / "subset" / FORMAT, {"kind": "choice", "until": [], "delimiter": " "})
    context = StageContext(
        {"model": model.params_to_ask(), "max_new_tokens": None},
        {"subset": tmp_path / "subset"},
        tmp_path / "out",
        registry,
    )
    assert isinstance(load_planned(context), VllmEngine)
    predict(context)
    assert (tmp_path / "out" / PREDICTIONS).exists() and LLM.folders and LLM.alive == 0
