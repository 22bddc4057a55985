"""SIGKILL to the driver or to one of its workers, at random moments: what was stored stays, and the rest is made the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from support import toy_environment, toy_suite

pytestmark = pytest.mark.slow

#: Random moments in all; the seed says which. `W2S_BENCH_KILLS=1000` tries more.
KILLS = int(os.environ.get("W2S_BENCH_KILLS", "100"))
PARTS = 4


def start(suite: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(folder), "--workers", "2", "--quiet"]
    return subprocess.Popen(
        [*command, "--store", str(folder / "store")], env=toy_environment(), stderr=subprocess.PIPE, text=True
    )


def bodies(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): json.loads(path.read_text())["body"]
        for path in sorted(folder.glob("toy/results/*/*.json"))
    }


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    small = toy_suite(folder / "models", seeds=1)
    path = folder / "toy.yaml"
    path.write_text(small.model_copy(update={"domains": small.domains[:1]}).to_yaml())
    return path


@pytest.fixture(scope="module")
def undisturbed(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], float]:
    """(cell bodies, seconds) of a run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    process = start(suite, folder)
    _, told = process.communicate(timeout=300)
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


@pytest.mark.parametrize("part", range(PARTS))
def test_after_any_kill_a_resumed_run_ends_as_an_undisturbed_one(
    suite: Path, undisturbed: tuple[dict[str, object], float], tmp_path: Path, part: int
) -> None:
    expected, seconds = undisturbed
    rng, kills, rounds = random.Random(part), 0, 0
    victims: list[str] = []
    while kills < KILLS // PARTS:
        folder = tmp_path / str(rounds)
        rounds += 1
        whole = False
        while not whole:  # one life of a driver after another, on one store
            process, whole = start(suite, folder), True
            while True:
                # A worker's death leaves a driver that goes on; it may be killed later, or a worker again.
                pause = rng.uniform(0, seconds) if kills < KILLS // PARTS else 300
                try:
                    process.communicate(timeout=pause)
                    break
                except subprocess.TimeoutExpired:
                    victims.append(kill_something(process, rng))
                    kills, whole = kills + 1, False
        assert process.returncode == 0
        assert bodies(folder) == expected, victims
        assert not list((folder / "store" / ".partial").glob("*"))
    assert set(victims) == {"driver", "worker"}
