"""Folders that may be read but not written: said before anything is computed, and no hindrance where nothing is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import small_suite_file, toy_environment

_RIGHTS = "-dac_override,-dac_read_search"


def ordinary(command: list[str]) -> list[str]:
    """The command without root's right to write anywhere, where the tests run as root."""
    if os.geteuid():
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("run as root without setpriv, to which no folder is read-only")
    return ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}", *command]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing below the folder may be written."""
    before = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path, mode in before.items():
            path.chmod(mode)


def w2s(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ordinary([sys.executable, "-m", "w2s_bench", *map(str, arguments)])
    return subprocess.run(command, env=toy_environment(), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_suite_file(tmp_path_factory.mktemp("suite"))


def test_a_read_only_results_folder_ends_the_run_before_anything_is_computed(suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    with read_only(results):
        done = w2s("run", suite, "--out", results, "--store", tmp_path / "store")
    assert done.returncode == 2
    assert f"cannot write results to {results / 'toy'}: Permission denied; give another --out" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_written_is_said_with_the_next_step(suite: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    with read_only(store):
        done = w2s("run", suite, "--out", tmp_path / "results", "--store", store, "--workers", 1)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr and "--store DIR" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_finished_run_is_written_again_from_a_store_that_is_read_only(suite: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = w2s("run", suite, "--out", tmp_path / "first", "--store", store, "--workers", 1)
    assert first.returncode == 0, first.stderr
    with read_only(store):
        again = w2s("run", suite, "--out", tmp_path / "again", "--store", store)
    assert again.returncode == 0, again.stderr
    pages = [(tmp_path / name / "toy" / "README.md").read_text() for name in ("first", "again")]
    assert pages[0] == pages[1]
