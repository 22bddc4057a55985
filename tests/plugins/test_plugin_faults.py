"""Plugins at their worst, all in one run through real workers: each fails its own cell with the reason, and no other cell.

What they do is in tests/toy/w2s_bench_toy/faults.py; they are installed like any plugin and share workers with everything
else. Every kind of change that `isolation.watch` finds has a test of its own without workers in test_watch.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support import small_suite_file, toy_environment

pytestmark = pytest.mark.slow

Cells = dict[str, dict[str, Any]]
LIMIT = 60  # seconds a stage; far above what any sound one takes, torch loaded on a busy machine too

#: Name → what its cell's reason must say.
FAULTS = {
    "raises": "raised RuntimeError in score: no scores today",
    "exits": "raised SystemExit in score",
    "hangs": f"took longer than {LIMIT} seconds, the limit of this stage, and was stopped",
    "eats_memory": "MemoryError",
    "prints_megabytes": "changed the log: it printed 4.0 MiB, more than the 1 MiB it may; print less",
    "changes_inputs": "raised ValueError in score: assignment destination is read-only (faults.py:",
    "forks": "tried to fork its process",
    "reseeds": "numpy's global generator, by numpy.random.seed or by draws; take all randomness from the `rng` given",
    "changes_environment": "the environment: OMP_NUM_THREADS (changed), PATH (removed), W2S_TOY_WAS_HERE (added)",
    "changes_directory": "the working directory, from ",
    "segfaults": "worker died (exit code -11), by SIGSEGV",
    "kills_itself": "worker died (exit code -9)",
}


def start(suite: Path, folder: Path, broken: Iterable[str], workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(folder), "--quiet"]
    command += ["--store", str(folder / "store"), "--workers", str(workers)]
    command += ["--stage-timeout", str(LIMIT), "--stage-memory", "3"]
    env = toy_environment(W2S_TOY_BROKEN=",".join(broken))
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def bodies(folder: Path) -> Cells:
    """Arm → cell body."""
    found = {}
    for path in sorted(folder.glob("toy/results/*/*.json")):
        body = json.loads(path.read_text())["body"]
        found[body["arm"]["name"].rpartition("/")[2]] = body
    return found


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_suite_file(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def runs(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Cells, str]]:
    """(cells, what was said) of a run without the faults, and of one with all of them in a single worker's place.

    They run at the same time: for most of it the second one waits for the function that hangs.
    """
    folders = {name: tmp_path_factory.mktemp(name) for name in ("alone", "beside")}
    alone, beside = start(suite, folders["alone"], (), 2), start(suite, folders["beside"], FAULTS, 1)
    try:
        said = {name: run.communicate(timeout=500)[1] for name, run in (("alone", alone), ("beside", beside))}
    finally:
        for run in (alone, beside):
            run.kill()
    assert alone.returncode == 0, said["alone"]
    assert beside.returncode == 1, said["beside"]
    assert "Traceback" not in said["beside"]
    return {name: (bodies(folders[name]), said[name]) for name in folders}


@pytest.mark.parametrize("name", FAULTS)
def test_its_own_cell_fails_and_says_why(runs: dict[str, tuple[Cells, str]], name: str) -> None:
    cells, said = runs["beside"]
    (seed,) = cells[name]["seeds"]
    assert seed["accuracy"] is None
    assert FAULTS[name] in seed["error"], seed["error"]
    assert FAULTS[name] in said, "the run says it, too"


def test_every_other_cell_is_what_it_is_without_them(runs: dict[str, tuple[Cells, str]]) -> None:
    alone, beside = runs["alone"][0], runs["beside"][0]
    others = {name: body for name, body in beside.items() if name not in FAULTS}
    assert others.keys() == alone.keys() and len(alone) >= 12
    assert others == alone
