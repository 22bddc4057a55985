"""Models in the hub client's cache, where no hub can be asked: half a snapshot is not taken for the whole model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from w2s_bench.errors import ModelError
from w2s_bench.models.origins import HubModel

COMMIT = "a" * 40


@pytest.fixture
def snapshot(model_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of a model, as loading it fetches it; offline."""
    assert constants.HF_HUB_OFFLINE, "tests reach no network"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    original = huggingface_hub.snapshot_download
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda repo, **asked: original(repo, cache_dir=tmp_path, **asked)
    )
    folder = tmp_path / "models--a--b" / "snapshots" / COMMIT
    shutil.copytree(model_folders["words"], folder)
    assert (folder / "tokenizer_config.json").is_file() and (folder / "generation_config.json").is_file()
    return folder


def test_a_whole_snapshot_is_loaded_without_a_network(snapshot: Path) -> None:
    model, tokenizer = HubModel("a/b", COMMIT).load()
    assert model.config.vocab_size and tokenizer.eos_token == "<eos>"


@pytest.mark.parametrize("file", ["tokenizer_config.json", "generation_config.json", "config.json", "tokenizer.json"])
def test_half_a_snapshot_is_no_model(snapshot: Path, file: str) -> None:
    """Without them it would load as another model under the same fingerprint: without an end of answers, as one."""
    (snapshot / file).unlink()
    said = rf"model 'hf/a/b@{COMMIT}' is in the cache .* in part only, without {file}: fetch it once where there is a network"
    with pytest.raises(ModelError, match=said):
        HubModel("a/b", COMMIT).load()


def test_what_a_template_was_read_from_is_no_model(snapshot: Path) -> None:
    for file in snapshot.iterdir():
        if file.name not in ("tokenizer_config.json", "chat_template.jinja"):
            file.unlink()
    said = r"in part only, without config.json, generation_config.json, \*.safetensors, tokenizer.json: fetch it once"
    with pytest.raises(ModelError, match=said):
        HubModel("a/b", COMMIT).load()
    (snapshot / "tokenizer_config.json").unlink()
    (snapshot / "chat_template.jinja").write_text("{{ messages[0].content }}")
    with pytest.raises(ModelError, match=r"in part only, without tokenizer_config.json: fetch it once"):
        HubModel("a/b", COMMIT).chat_template()


def test_what_the_repository_has_not_is_not_missed(snapshot: Path) -> None:
    """By the client's note that it asked for a file in vain, or where somebody fetched all there is (`hf download`)."""
    (snapshot / "generation_config.json").unlink()
    note = snapshot.parent.parent / ".no_exist" / COMMIT / "generation_config.json"
    note.parent.mkdir(parents=True)
    note.touch()
    assert HubModel("a/b", COMMIT).load()
    note.unlink()
    with pytest.raises(ModelError, match=r"without generation_config.json"):
        HubModel("a/b", COMMIT).load()
    (snapshot / ".gitattributes").touch()
    assert HubModel("a/b", COMMIT).load()


def test_the_clients_own_list_of_a_commit_decides(snapshot: Path) -> None:
    (snapshot / "generation_config.json").unlink()
    listing = snapshot.parent.parent / "trees" / f"{COMMIT}.json"
    listing.parent.mkdir()
    from huggingface_hub._tree_cache import TREE_CACHE_FORMAT_VERSION

    files = {file.name: {"size": 1, "blob_id": "0"} for file in snapshot.iterdir()}
    listing.write_text(json.dumps({"format_version": TREE_CACHE_FORMAT_VERSION, "files": files}))
    assert HubModel("a/b", COMMIT).load(), "the repository has no settings of generation"
    (snapshot / "tokenizer_config.json").unlink()
    with pytest.raises(
        ModelError, match=r"cannot be fetched: .*there is no network here .*: fetch it once where there is"
    ):
        HubModel("a/b", COMMIT).load()


def test_a_hub_that_answers_is_asked_where_the_client_keeps_no_list(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Api:
        def list_repo_files(self, repo: str, *, revision: str) -> list[str]:
            assert (repo, revision) == ("a/b", COMMIT)
            return ["README.md", "pytorch_model.bin", *sorted(file.name for file in here)]

    here = [file for file in snapshot.iterdir() if file.name != "generation_config.json"]
    (snapshot / "generation_config.json").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(snapshot))
    assert HubModel("a/b", COMMIT).load()
    (snapshot / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match=r"in part only, without tokenizer_config.json"):
        HubModel("a/b", COMMIT).load()


def test_a_commit_in_capitals_is_told_how_to_be_written() -> None:
    with pytest.raises(ModelError, match=rf"a commit has small letters; write hf/a/b@{COMMIT}"):
        HubModel("a/b", COMMIT.upper()).load()
