"""Plugins at their worst, all in one run through real workers: each fails its own cell with the reason, and no other cell.

What they do is in tests/toy/w2s_bench_toy; they are installed like any plugin and share workers with everything else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import toy_environment, toy_suite

pytestmark = pytest.mark.slow

#: Name → what its cell's reason must say.
FAULTS = {
    "raises": "raised RuntimeError in score: no scores today",
    "exits": "raised SystemExit in score",
    "hangs": "took longer than 25 seconds, the limit of this stage, and was stopped",
    "eats_memory": "MemoryError",
    "prints_megabytes": "print",
    "changes_inputs": "read-only",
    "forks": "process",
    "reseeds": "seed",
    "changes_environment": "environment",
    "changes_directory": "directory",
    "segfaults": "worker died (exit code -11), by SIGSEGV",
    "kills_itself": "worker died (exit code -9)",
}


def w2s(suite: Path, folder: Path, broken: dict[str, str], workers: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(folder), "--quiet"]
    command += ["--store", str(folder / "store"), "--workers", str(workers)]
    command += ["--stage-timeout", "25", "--stage-memory", "3"]
    env = toy_environment(W2S_TOY_BROKEN=",".join(broken))
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)


def bodies(folder: Path) -> dict[str, dict[str, object]]:
    """Arm → cell body, without what names the arms' own plugin."""
    found = {}
    for path in sorted(folder.glob("toy/results/*/*.json")):
        body = json.loads(path.read_text())["body"]
        found[body["arm"]["name"].rpartition("/")[2]] = body
    return found


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    small = toy_suite(folder / "models", seeds=1)
    path = folder / "toy.yaml"
    path.write_text(small.model_copy(update={"domains": small.domains[:1]}).to_yaml())
    return path


@pytest.fixture(scope="module")
def alone(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    folder = tmp_path_factory.mktemp("alone")
    done = w2s(suite, folder, {}, 2)
    assert done.returncode == 0, done.stderr
    return bodies(folder)


@pytest.fixture(scope="module")
def beside(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, object]], str]:
    """(cells, what was said) of a run in which every fault happens; with one worker, so that all share its process."""
    folder = tmp_path_factory.mktemp("beside")
    began = time.monotonic()
    done = w2s(suite, folder, FAULTS, 1)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 500
    return bodies(folder), done.stderr


@pytest.mark.parametrize("name", FAULTS)
def test_its_own_cell_fails_and_says_why(beside: tuple[dict[str, dict[str, object]], str], name: str) -> None:
    cells, said = beside
    (seed,) = cells[name]["seeds"]  # type: ignore[misc]  # JSON
    assert seed["accuracy"] is None
    assert FAULTS[name] in seed["error"], seed["error"]
    assert FAULTS[name] in said, "the run says it, too"


def test_every_other_cell_is_what_it_is_without_them(
    alone: dict[str, dict[str, object]], beside: tuple[dict[str, dict[str, object]], str]
) -> None:
    others = {name: body for name, body in beside[0].items() if name not in FAULTS}
    assert others.keys() == alone.keys() and len(alone) >= 12
    assert others == alone
