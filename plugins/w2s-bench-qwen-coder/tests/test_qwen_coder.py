"""A model is the file that its maker published, wherever it came from; any other, or none, is said."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from w2s_bench import LanguageModel, ModelError
from w2s_bench_qwen_coder import published, w2s_models
from w2s_bench_qwen_coder.command import fetched, main
from w2s_bench_qwen_coder.published import MODELS, PublishedModel

CONTENT = b"GGUF and all the rest"
SMALL = replace(MODELS["0.5b"], sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(published.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def hub(monkeypatch: pytest.MonkeyPatch, content: bytes | Exception) -> list[tuple[str, str]]:
    """The hub has one file; returns what was asked for."""
    asked: list[tuple[str, str]] = []

    def download(repository: str, file: str, *, local_dir: Path) -> str:
        asked.append((repository, file))
        if isinstance(content, Exception):
            raise content
        local_dir.mkdir(parents=True, exist_ok=True)
        (local_dir / file).write_bytes(content)
        return str(local_dir / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_models_are_known_before_their_files_are_there(folder: Path) -> None:
    made = {name: factory() for name, factory in w2s_models().items()}
    assert set(made) == {"0.5b", "1.5b"} and not folder.exists()
    for name, model in made.items():
        assert isinstance(model, LanguageModel)
        assert model.name == f"w2s-bench-qwen-coder/{name}" and model.fingerprint() == MODELS[name].sha256


def test_a_missing_file_is_said_with_where_it_comes_from(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"w2s-bench-qwen-coder fetch 0\.5b") as refused:
        PublishedModel(SMALL).load()
    said = str(refused.value)
    assert str(folder / SMALL.file) in said and SMALL.repository in said and published.FOLDER_VARIABLE in said


def test_another_file_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / SMALL.file).write_bytes(CONTENT + b" and more")
    with pytest.raises(ModelError, match=f"another file: its SHA-256 is .* {SMALL.sha256}"):
        PublishedModel(SMALL).in_its_file()


def test_the_published_file_is_a_gguf_model_of_the_same_fingerprint(folder: Path) -> None:
    folder.mkdir()
    (folder / SMALL.file).write_bytes(CONTENT)
    held = PublishedModel(SMALL).in_its_file()
    assert held.path == folder / SMALL.file and held.fingerprint() == PublishedModel(SMALL).fingerprint()


def test_a_file_is_fetched_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, CONTENT)
    fetched(SMALL)
    fetched(SMALL)
    assert asked == [(SMALL.repository, SMALL.file)] and (folder / SMALL.file).read_bytes() == CONTENT


def test_what_the_hub_says_reaches_the_user(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub(monkeypatch, OSError("no route to host"))
    assert main(["fetch", "1.5b"]) == 1
    said = capsys.readouterr().err
    assert "no route to host" in said and str(folder) in said


def test_the_command_tells_what_there_is(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert main(["list"]) == 0
    told = capsys.readouterr().out
    assert str(folder) in told and "1117 MB" in told and told.count("not here") == len(MODELS)


@pytest.mark.parametrize("arguments", [["fetch", "7b"], [], ["remove"]])
def test_a_mistaken_call_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2 and "usage" in capsys.readouterr().err
