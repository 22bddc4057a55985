"""Models are kept from one stage to the next: their weights stay what they were, and results what they would be without."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import architectures
from w2s_bench.models import reuse
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.reuse import LoadedModels
from w2s_bench.models.setup import Setup
from w2s_bench.types import Item, TrainingRow

GREAT = 1 << 40
SETTINGS: dict[str, Any] = {"steps": 3, "batch_size": 4, "learning_rate": 1e-2, "lora_rank": 2, "seed": 0}


def rows() -> list[TrainingRow]:
    choices = (" w5 w6", " w7")
    return [TrainingRow(str(i), architectures.text(4 + i, i), choices[i % 2], False, choices, i % 2) for i in range(8)]


def scores(engine: Engine) -> list[Any]:
    return [list(each) for each in engine.choice_scores(rows())]


def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is loaded from now on."""
    loaded, load = [], LocalModel.load

    def spy(self: LocalModel) -> tuple[Any, Any]:
        loaded.append(self.name)
        return load(self)

    monkeypatch.setattr(LocalModel, "load", spy)
    return loaded


@pytest.fixture(scope="module", params=["llama", "smollm", "gpt2", "gemma3_text"])
def origin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """`smollm` ties its output layer to its embedding."""
    return LocalModel(request.param, architectures.save(request.param, tmp_path_factory.mktemp("m") / request.param))


@pytest.fixture(params=[True, False], ids=["copied", "handed over"])
def copied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether weights that are to be written into are few enough to be copied."""
    if not request.param:
        monkeypatch.setattr(reuse, "_COPIED", 0)
    return bool(request.param)


def test_a_base_is_loaded_once_and_its_weights_lie_in_memory_once(
    origin: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, loaded = LoadedModels(keeps=True), loads(monkeypatch)
    first = load_engine(origin, models=models)
    models.settle(lambda: GREAT)
    second = load_engine(origin, models=models)
    assert loaded == [origin.name]
    assert first.model is not second.model and first.model.config is not second.model.config
    places = [{p.data_ptr() for p in engine.model.parameters()} for engine in (first, second)]
    assert places[0] == places[1]
    assert scores(first) == scores(second) == scores(load_engine(origin))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_training_leaves_the_kept_base_as_it_was_and_gives_what_it_gives_without(
    origin: LocalModel, recipe: Any, copied: bool, tmp_path: Path
) -> None:
    models = LoadedModels(keeps=True)
    untuned = scores(load_engine(origin))
    alone = load_engine(origin)
    expected = alone.train(rows(), recipe=recipe, **SETTINGS)
    alone.save_weights(tmp_path, recipe=recipe)
    for _ in range(2):
        student = load_engine(origin, models=models)
        assert student.train(rows(), recipe=recipe, **SETTINGS) == expected
        assert scores(student) == scores(alone) != untuned
        models.settle(lambda: GREAT)
        assert scores(load_engine(origin, models=models)) == untuned
        models.settle(lambda: GREAT)
        saved = load_engine(origin, tmp_path, recipe=recipe, lora_rank=2, models=models)
        assert scores(saved) == scores(alone)
        models.settle(lambda: GREAT)
        assert scores(load_engine(origin, models=models)) == untuned
        models.settle(lambda: GREAT)


def test_a_head_and_its_readings_leave_the_kept_base_as_it_was(origin: LocalModel) -> None:
    models = LoadedModels(keeps=True)
    engine = load_engine(origin, models=models)
    before = {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}
    states = engine.option_states(rows(), [1, -1])
    engine.gradients(rows(), recipe="full", lora_rank=2, dimensions=8, seed=0)
    models.settle(lambda: GREAT)
    again = load_engine(origin, models=models)
    np.testing.assert_array_equal(again.option_states(rows(), [1, -1]), states)
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_student_that_is_trained_beside_its_untuned_self_does_not_change_it(origin: LocalModel, copied: bool) -> None:
    """As objectives on policy have it: one stage is lent one base twice."""
    models = LoadedModels(keeps=True)
    student, untuned = load_engine(origin, models=models), load_engine(origin, models=models)
    before = scores(untuned)
    student.train(rows(), recipe="full", **SETTINGS)
    assert scores(untuned) == before != scores(student)


def test_great_weights_that_are_trained_are_handed_over_and_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a stage takes no more memory than without: the next one loads the base again."""
    origin = LocalModel("m", architectures.save("llama", tmp_path))
    monkeypatch.setattr(reuse, "_COPIED", 0)
    models, loaded = LoadedModels(keeps=True), loads(monkeypatch)
    engine = load_engine(origin, models=models)
    places = {p.data_ptr() for p in engine.model.parameters()}
    engine.train(rows(), recipe="full", **SETTINGS)
    assert {p.data_ptr() for p in engine.model.parameters()} == places and models.bytes == 0
    models.settle(lambda: GREAT)
    load_engine(origin, models=models)
    assert len(loaded) == 2


def test_models_of_one_base_that_are_all_written_into_are_no_more_than_were_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A student that is trained beside its tuned teacher: no third set of weights lies behind these two."""
    origin = LocalModel("m", architectures.save("llama", tmp_path / "m"))
    (tmp_path / "tuned").mkdir()
    load_engine(origin).save_weights(tmp_path / "tuned", recipe="full")
    monkeypatch.setattr(reuse, "_COPIED", 0)
    models = LoadedModels(keeps=True)
    student = load_engine(origin, models=models)
    places = {p.data_ptr() for p in student.model.parameters()}
    teacher = load_engine(origin, tmp_path / "tuned", models=models)
    before = scores(teacher)
    student.train(rows(), recipe="full", **SETTINGS)
    assert {p.data_ptr() for p in student.model.parameters()} == places and models.bytes == 0
    assert scores(teacher) == before != scores(student)
    assert scores(load_engine(origin, models=models)) == before, "the next is loaded anew"


def test_what_was_used_least_lately_goes_first_and_not_while_a_stage_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = (LocalModel(name, architectures.save("llama", tmp_path / name)) for name in "abc")
    models, loaded = LoadedModels(keeps=True), loads(monkeypatch)
    engine = load_engine(a, models=models)
    size = models.bytes
    assert size == 4 * sum(t.numel() for t in {*engine.model.parameters(), *engine.model.buffers()})
    for origin in (b, a, c):
        models.settle(lambda: 2 * size)
        load_engine(origin, models=models)
    assert models.bytes == 3 * size
    models.settle(lambda: 2 * size)
    assert models.bytes == 2 * size
    for origin in (a, c, b):
        load_engine(origin, models=models)
    assert loaded == ["a", "b", "c", "b"]
    models.settle(lambda: size - 1)
    assert models.bytes == 0


def test_a_model_loaded_otherwise_is_another(tmp_path: Path) -> None:
    origin, models = LocalModel("m", architectures.save("llama", tmp_path)), LoadedModels(keeps=True)
    whole, narrow = (
        load_engine(origin, models=models),
        load_engine(origin, setup=Setup(dtype="bfloat16"), models=models),
    )
    eager = load_engine(origin, setup=Setup(attention="eager"), models=models)
    assert (whole.model.dtype, narrow.model.dtype) == (torch.float32, torch.bfloat16)
    assert eager.model.config._attn_implementation == "eager" != whole.model.config._attn_implementation
    assert (
        load_engine(origin, setup=Setup(overflow="truncate_left", lora_alpha=3.0), models=models).model.dtype
        == torch.float32
    )
    assert len(models._kept) == 3


def test_an_accelerator_holds_what_the_running_stage_uses_and_nothing_else(tmp_path: Path) -> None:
    """Torch's device without numbers stands for one: what is free there decides how many rows are read at once."""
    models = LoadedModels(keeps=True)

    def lend(name: str) -> Any:
        return models.lend(name, lambda: (architectures.new("llama").to("meta"), None))[0]

    lend("teacher")
    lend("student")
    assert list(models._kept) == ["teacher", "student"], "both are of the running stage"
    models.settle(lambda: 0)
    assert list(models._kept) == ["teacher", "student"] and models.bytes == 0
    lend("student")
    assert list(models._kept) == ["student"]
    models.settle(lambda: 0)
    models.make_room()
    assert not models._kept


@pytest.mark.parametrize("odd", ["packed", "closure", "hook", "partial", "lock"])
def test_what_has_no_plain_copies_is_not_kept(odd: str) -> None:
    models, model = LoadedModels(keeps=True), architectures.new("llama")
    if odd == "packed":
        model.is_quantized = True
    elif odd == "closure":
        norm = model.model.norm.forward
        model.model.norm.forward = lambda states: norm(states + 0)
    elif odd == "partial":
        model.model.norm.forward = functools.partial(lambda states, more: model.lm_head(states) + more, more=0)
    elif odd == "lock":
        model.model.norm.guard = threading.Lock()  # has no copy, and a model that has it none
    else:
        model.model.norm.register_forward_hook(lambda module, given, output: output if model else None)
    assert models.lend("m", lambda: (model, None))[0] is model and not models._kept


def test_a_process_that_other_peoples_code_gets_models_in_keeps_none(tmp_path: Path) -> None:
    from w2s_bench.executors.local.hosts import Host
    from w2s_bench.executors.local.worker import Worker
    from w2s_bench.store import Store

    hosts = [None, Host(), Host("engine", "acme"), Host("reading"), Host("reading", "acme"), Host("objective", "acme")]
    keeps = [Worker(Store(tmp_path), host=host)._models.keeps for host in hosts]
    assert keeps == [True, True, True, True, False, False]


def test_an_item_is_scored_alike_by_a_model_lent_twice_and_in_its_own_settings(origin: LocalModel) -> None:
    models = LoadedModels(keeps=True)
    item = Item("1", "g", "1", "s", architectures.text(5, 1), (" w5", " w6 w7"))
    first = load_engine(origin, models=models)
    first.model.train()
    first.model.requires_grad_(False)
    second = load_engine(origin, models=models)
    assert not second.model.training and all(p.requires_grad for p in second.model.parameters())
    assert list(second.choice_scores([item])[0]) == list(load_engine(origin).choice_scores([item])[0])
