"""What was found out of a model is kept in files, and believed only where it is of the same model on the same machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import architectures
from w2s_bench.models import verdicts as module
from w2s_bench.models.verdicts import ANY, Verdict, Verdicts

FOUND = Verdict(splits=True, neighbours=True, padding=64, trees=0, cache=ANY, padded_cache=64)


class Asked:
    """Counts how often a model is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Verdict:
        self.times += 1
        return FOUND


@pytest.fixture(scope="module")
def plain() -> Any:
    return architectures.new("llama")


def file_of(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_another_process_and_another_run_do_not_ask_again(plain: Any, tmp_path: Path) -> None:
    asked = Asked()
    for _ in range(3):
        assert Verdicts(tmp_path / "store" / "v").of(plain, "f", asked) == FOUND
    assert asked.times == 3, "nothing is written below a folder that is not there"
    (tmp_path / "store").mkdir()
    for _ in range(3):
        assert Verdicts(tmp_path / "store" / "v").of(plain, "f", asked) == FOUND
    assert asked.times == 4


def test_whatever_a_verdict_hangs_on_makes_it_another(
    plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked()

    def ask(fingerprint: str = "f", asker: str = "engine") -> int:
        Verdicts(tmp_path, asker).of(plain, fingerprint, asked)
        return asked.times

    assert (ask(), ask(), ask("g"), ask(asker="acme"), ask()) == (1, 1, 2, 3, 3)
    changes: list[tuple[str, Any]] = [
        ("torch.__version__", "0.1"),
        ("transformers.__version__", "0.1"),
        ("w2s_bench.machine.described", lambda: "another machine"),
    ]
    for number, (name, value) in enumerate(changes, start=4):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            assert ask() == number, name
    with monkeypatch.context() as patch:
        patch.setattr(plain.config, "_attn_implementation_internal", "eager")
        assert ask() == 7
    plain.bfloat16()
    assert ask() == 8
    plain.float()
    engine = tmp_path / "engine"
    engine.mkdir()
    (engine / "verdicts.py").write_text("another engine")
    monkeypatch.setattr(module, "__file__", str(engine / "verdicts.py"))
    assert ask() == 9


def test_weights_in_eight_bits_are_not_those_in_four(
    plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of 8 bits look for outliers among all rows of a batch; those of 4 do not."""
    from transformers import BitsAndBytesConfig

    asked = Asked()
    for number, bits in enumerate(({"load_in_8bit": True}, {"load_in_4bit": True}), start=1):
        for config in (BitsAndBytesConfig(**bits), BitsAndBytesConfig(**bits).to_dict()):
            monkeypatch.setattr(plain.config, "quantization_config", config, raising=False)
            Verdicts(tmp_path).of(plain, "f", asked)
            assert asked.times == number


def test_other_kernels_and_another_version_of_the_asker_are_asked_anew(
    plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.executors.local import worker
    from w2s_bench.executors.local.hosts import Host
    from w2s_bench.store import Store

    asked, versions = Asked(), dict[str, str]()
    store = Store(tmp_path / "store")
    store.layout.mark.claim()
    for told in (module, worker):
        monkeypatch.setattr(told, "version_of", lambda name: versions.get(name, ""))
    for number, (name, version) in enumerate([("acme", "1"), ("acme", "2"), ("mamba-ssm", "2.2")], start=1):
        versions[name] = version
        for _ in range(2):
            worker.Worker(store, host=Host("engine", "acme"))._models.verdicts.of(plain, "f", asked)
        assert asked.times == number


def no_json(text: str) -> str:
    return text[: len(text) // 2]


def another_number(text: str) -> str:
    return text.replace("64", "1073741824")


def sealed(**changes: Any) -> Callable[[str], str]:
    def change(text: str) -> str:
        content = json.loads(text)
        content["verdict"] = {name: v for name, v in {**content["verdict"], **changes}.items() if v is not None}
        content["digest"] = module._digest(content["of"], content["verdict"])
        return json.dumps(content)

    return change


def of_another(text: str) -> str:
    content = json.loads(text)
    content["of"]["model"] = "g"
    content["digest"] = module._digest(content["of"], content["verdict"])
    return json.dumps(content)


@pytest.mark.parametrize(
    "spoilt",
    [
        no_json,
        another_number,
        of_another,
        lambda text: "[" * 100_000,
        lambda text: "null",
        lambda text: text + " " * (1 << 17),
        *(sealed(padding=odd) for odd in (-1, 2.5, True, "64", None, ANY + 1)),
        sealed(splits=1),
        sealed(other=1),
        lambda text: text.replace("64", "NaN"),
    ],
)
def test_a_damaged_or_foreign_file_is_made_anew(plain: Any, tmp_path: Path, spoilt: Callable[[str], str]) -> None:
    asked = Asked()
    Verdicts(tmp_path).of(plain, "f", asked)
    path = file_of(tmp_path)
    whole = path.read_text()
    path.write_text(spoilt(whole))
    assert Verdicts(tmp_path).of(plain, "f", asked) == FOUND
    assert asked.times == 2 and path.read_text() == whole


def test_a_folder_in_the_place_of_a_file_ends_nothing(plain: Any, tmp_path: Path) -> None:
    asked = Asked()
    Verdicts(tmp_path).of(plain, "f", asked)
    path = file_of(tmp_path)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    assert Verdicts(tmp_path).of(plain, "f", asked) == FOUND and asked.times == 2


def test_a_second_worker_and_a_second_run_load_a_large_model_without_asking_it(
    tmp_path: Path, monkeypatch: Any
) -> None:
    from w2s_bench.executors.local.worker import Worker
    from w2s_bench.models import assumptions
    from w2s_bench.models.loading import load_engine
    from w2s_bench.models.origins import LocalModel
    from w2s_bench.store import Store

    origin = LocalModel("m", architectures.save("mistral", tmp_path / "m"))
    store = Store(tmp_path / "store")
    store.layout.mark.claim()
    found = load_engine(origin, models=Worker(store)._models).notes()
    monkeypatch.setattr(assumptions, "_found_out", lambda *_: pytest.fail("it is asked again"))
    again = Worker(Store(tmp_path / "store"))._models
    assert load_engine(origin, models=again).notes() == found and len(found) == 2
    assert store.exists() and not list(store.entries()), "the verdict is none of its results"
