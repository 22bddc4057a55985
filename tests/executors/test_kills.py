"""SIGKILL to the driver or to one of its workers, at a hundred random moments: what was stored stays, the rest is made the same.

A tenth of the moments fall into a whole suite, models and all; the others into a graph of quick stages, so that many
fall into the store's own writing.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from support import TESTS, bodies, small_suite_file, toy_environment

pytestmark = pytest.mark.slow

#: Random moments in all; seeds say which. `W2S_BENCH_KILLS=1000` gives the whole suite a hundred of them.
KILLS = int(os.environ.get("W2S_BENCH_KILLS", "100"))

#: Prints what a graph of 40 stages in four layers came to: each waits a little, as a real one computes a little.
GRAPH = """
import json, sys
from pathlib import Path
from stage_functions import stage
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.store import Store
layer = [stage("write", text=f"0.{n}", sleep=0.02) for n in range(10)]
for depth in range(1, 4):
    layer = [stage("write", {"a": layer[n], "b": layer[n - 1]}, text=f" {depth}.{n}", sleep=0.02) for n in range(10)]
outcomes = LocalExecutor(2).run(layer, Store(Path(sys.argv[1])), lambda event: None)
print(json.dumps([outcomes[one.node].result.content for one in layer]))
"""


def start_graph(folder: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [sys.executable, "-c", GRAPH, str(folder / "store")]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)


def start(suite: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(folder), "--workers", "2", "--quiet"]
    return subprocess.Popen(
        [*command, "--store", str(folder / "store")],
        env=toy_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_suite_file(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def undisturbed(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], float]:
    """(cell bodies, seconds) of a run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    process = start(suite, folder)
    told = process.communicate(timeout=300)[0]
    assert process.returncode == 0, told
    return bodies(folder), time.monotonic() - began


def kill_something(process: subprocess.Popen[str], rng: random.Random) -> str:
    """The driver, or one of the workers it has at this moment."""
    try:
        workers = psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        workers = []
    if not workers or rng.random() < 0.5:
        process.kill()
        return "driver"
    try:
        rng.choice(workers).kill()
    except psutil.NoSuchProcess:
        process.kill()
        return "driver"
    return "worker"


def disturbed(
    start: Callable[[], subprocess.Popen[str]], rng: random.Random, kills: int, seconds: float
) -> tuple[str, list[str]]:
    """Let one driver after another run on one store until one ends by itself: what it printed, and who was killed before."""
    victims: list[str] = []
    while True:
        process, before, told = start(), len(victims), None
        while told is None:
            # A worker's death leaves a driver that goes on; it may be killed later, or a worker again.
            pause = rng.uniform(0, seconds) if len(victims) < kills else 300
            try:
                told = process.communicate(timeout=pause)[0]
            except subprocess.TimeoutExpired:
                victims.append(kill_something(process, rng))
        if process.returncode == 0:
            return told, victims
        assert len(victims) > before, f"exit code {process.returncode}, and nobody was killed"


def test_after_any_kill_a_resumed_graph_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    began = time.monotonic()
    expected = start_graph(tmp_path / "undisturbed").communicate(timeout=300)[0]
    seconds = time.monotonic() - began
    rng, kills, rounds = random.Random(0), 0, 0
    while kills < KILLS * 9 // 10:
        folder = tmp_path / str(rounds)
        rounds += 1
        told, victims = disturbed(lambda folder=folder: start_graph(folder), rng, 12, seconds)
        kills += len(victims)
        assert told == expected, victims
        assert not list((folder / "store" / ".partial").glob("*"))


def test_after_any_kill_a_resumed_suite_ends_as_an_undisturbed_one(
    suite: Path, undisturbed: tuple[dict[str, object], float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    rng, kills, rounds = random.Random(1), 0, 0
    while kills < KILLS // 10:
        folder = tmp_path / str(rounds)
        rounds += 1
        _, victims = disturbed(lambda folder=folder: start(suite, folder), rng, 5, seconds)
        kills += len(victims)
        assert bodies(folder) == expected, victims
        assert not list((folder / "store" / ".partial").glob("*"))
