"""What `w2s-bench new` writes is a plugin as it stands, and a name that will not do leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from w2s_bench._cli.app import app
from w2s_bench.errors import W2SBenchError
from w2s_bench.plugins.new import NEW, write_new

#: Everything that can be begun: kind, name, variant.
BEGUN = (
    ("trust-function", "fresh-margin", ""),
    ("trust-function", "fresh-probe", "trust_set"),
    ("domain", "fresh-quiz", ""),
    ("objective", "fresh-loss", ""),
)


@pytest.mark.slow
def test_each_is_installed_passes_its_own_tests_and_is_listed(tmp_path: Path) -> None:
    written = [write_new(what, name, tmp_path, variant=variant) for what, name, variant in BEGUN]
    assert {what for what, _, _ in BEGUN} == set(NEW)
    # An environment of their own, below which lies the one that runs the tests.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "below.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")

    def run(*command: str) -> str:
        done = subprocess.run([python, "-m", *command], cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    environment = {k: v for k, v in os.environ.items() if k != "W2S_BENCH_PLUGINS"}
    editable = [word for one in written for word in ("-e", one.distribution)]
    run("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", *editable)
    run("pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *(one.distribution for one in written))
    tables = json.loads(run("w2s_bench", "list", "--json"))
    listed = {row["name"]: row["summary"] for topic in ("trust", "domains", "objectives") for row in tables[topic]}
    assert all(listed[one.name] for one in written)
    for one in written:
        run("ruff", "check", one.distribution)
        run("ruff", "format", "--check", one.distribution)
    run("w2s_bench", "run", "fresh-quiz/suite.yaml", "--trust", "fresh-margin/fresh_margin", "--dry-run")
    planned = run("w2s_bench", "run", "fresh-loss/suite.yaml", "--trust", "confidence", "--dry-run", "--json")
    assert "knowledge/fresh-loss.fresh_loss@confidence" in json.loads(planned)["cells"]


@pytest.mark.parametrize(("what", "name", "variant"), BEGUN)
def test_what_is_written(what: str, name: str, variant: str, tmp_path: Path) -> None:
    """No placeholder is left, Python compiles, and nothing stands beside the folder."""
    written = write_new(what, name, tmp_path, variant=variant)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {"pyproject.toml", "README.md", ".github/workflows/test.yml", ".gitignore"} <= set(written.files)
    for file in written.files:
        text = (written.folder / file).read_text(encoding="utf-8")
        assert (
            "__module__" not in file and "$distribution" not in text and "$module" not in text and "$entry" not in text
        )
        if file.endswith(".py"):
            compile(text, file, "exec")
    assert "${{ matrix.python }}" in (written.folder / ".github/workflows/test.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "name", "said"),
    [
        ("trust-function", "3x", "cannot name a package"),
        ("trust-function", "../x", "cannot name a package"),
        ("trust-function", "class", "cannot name a package"),
        ("trust-function", "größe", "cannot name a package"),
        ("trust-function", "numpy", "numpy"),
        ("trust-function", "NumPy", "is installed here"),
        ("trust-function", "json", "which a package of that name would hide"),
        ("trust-function", "oracle", "an arm that the harness owns"),
        ("trust-function", "none", "cannot name a package"),  # its class would be `None`
        ("trust-function", "x" * 300, "cannot name a package: expected up to 64 letters"),
        ("trust-function", "need", "uses 'Need' for something else"),
        ("domain", "hookimpl", "uses 'hookimpl' for something else"),
        ("domain", "w2s-domains", "uses 'w2s_domains' for something else"),
        ("domain", "dict", "uses 'dict' for something else"),
        ("domain", "hf", "is reserved"),
        ("domain", "w2s-bench", "is reserved"),
    ],
)
def test_a_name_that_will_not_do(what: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(W2SBenchError, match=said):
        write_new(what, name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["no", "null", "on", "y", "e1", "score", "fit", "rows"])
@pytest.mark.parametrize("what", ["domain", "objective"])
def test_a_name_that_yaml_takes_for_something_else_is_a_text(what: str, name: str, tmp_path: Path) -> None:
    written = write_new(what, name, tmp_path)
    suite = yaml.safe_load((written.folder / "suite.yaml").read_text(encoding="utf-8"))
    assert suite["name"] == name
    assert f"{name}/{name}" in (suite["objectives"] if what == "objective" else [d["name"] for d in suite["domains"]])


def test_nothing_is_written_over_or_left_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("kept")
    with pytest.raises(W2SBenchError, match="is there already"):
        write_new("domain", "mine", tmp_path)
    with pytest.raises(W2SBenchError, match="there is no folder"):
        write_new("domain", "mine", tmp_path / "nowhere")

    def full(path: Path, *_: object, **__: object) -> int:
        if path.name == "test_domain.py":
            raise OSError(28, "No space left on device")
        return path.write_bytes(b"")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(W2SBenchError, match=r"No space left on device; nothing was left there"):
        write_new("domain", "yours", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["kept"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(W2SBenchError, match="Permission denied"):
            write_new("domain", "yours", tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_the_verb_says_what_is_next(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["new", "trust-function", "fresh-margin", "--out", str(tmp_path)])
    assert done.exit_code == 0 and "w2s-bench try fresh-margin/fresh_margin --on knowledge" in done.stdout
    refused = CliRunner().invoke(app, ["new", "domain", "fresh-quiz", "--learns", "trust_set", "--out", str(tmp_path)])
    assert refused.exit_code == 2 and "--learns is for a trust-function" in refused.output
    assert not (tmp_path / "fresh-quiz").exists()
    loss = CliRunner().invoke(app, ["new", "objective", "fresh-loss", "--out", str(tmp_path)])
    assert loss.exit_code == 0 and f"w2s-bench run {tmp_path / 'fresh-loss' / 'suite.yaml'}" in loss.stdout
