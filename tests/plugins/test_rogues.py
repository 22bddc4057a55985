"""Third-party code runs in processes of its own: whatever it leaves there, every other cell is what it is without it.

What the plugin does is in tests/rogue/w2s_rogue; a trust function's parameter says which. One worker's place, so that
everything follows everything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import LINUX, TESTS, bodies, toy_environment, toy_suite
from w2s_bench.controls import OWN_ARMS

pytestmark = pytest.mark.slow

ROGUE = TESTS / "rogue"
SLEEP = f"999.{os.getpid()}"  # seconds, by which the processes that the plugin leaves are found; of this run alone
SAID = "did not leave everything as it found it: in score it changed "

#: What is not noticed, and is nobody's harm.
UNSEEN = ("hook", "linear", "generator")
#: What is: part of the cell's reason.
NOTICED = {
    "precision": SAID + "torch's settings: backends.mkldnn.matmul.fp32_precision from none to bf16",
    "alarm": SAID + "its timers (REAL): call signal.alarm(0)",
    "handler": SAID + "the handlers of signals (SIGTERM)",
    "timer": SAID + "the threads there are: left Thread-",
    "silence": SAID + "its standard error; use contextlib.redirect_stdout",
    "close": SAID + "its standard error",
    "daemon": SAID + "the processes there are: left sleep running",
    "daemon_and_die": "worker died (exit code 3)",
    "cycle": "raised ValueError in score: no scores (",
    "surrogate": "raised ValueError in score: no weights in c\\udce9 (",
    "endless": "raised ValueError in score: no no no ",
    "mute": "raised MuteError in score: (its __str__ raised RuntimeError) (",
    "interrupt": "KeyboardInterrupt: stop (w2s_rogue/__init__.py:",
    "special": "raised SpecialExit in score: out (",
    "generator_exit": "raised GeneratorExit in score:",
}

Cells = dict[str, dict[str, Any]]


def run(folder: Path, suite: Path, store: Path, functions: Iterable[str], *, mischief: bool) -> tuple[Cells, str]:
    """(file → cell body, what was said on standard error)."""
    env = toy_environment(**({"W2S_ROGUE": SLEEP} if mischief else {}))
    env["PYTHONPATH"] = os.pathsep.join([str(ROGUE), env["PYTHONPATH"]])
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(folder), "--store", str(store)]
    command += ["--quiet", "--workers", "1", "--stage-timeout", "100", "--trust", "w2s-bench-toy/prompt_hash"]
    for one in functions:
        command += ["--trust", f"w2s-rogue/rogue:what={one}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1), done.stderr
    return bodies(folder), done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Cells, str]]:
    """Without mischief; with all of it; afterwards on the same store, by sound plugins alone."""
    folder = tmp_path_factory.mktemp("runs")
    sound = toy_suite(folder / "models", seeds=1)
    shifty = sound.domains[1].model_copy(update={"name": "w2s-rogue/shifty"})
    suite = folder / "toy.yaml"
    suite.write_text(sound.model_copy(update={"domains": (shifty, sound.domains[0])}).to_yaml())
    return {
        "clean": run(folder / "clean", suite, folder / "clean.store", UNSEEN, mischief=False),
        "beside": run(folder / "beside", suite, folder / "store", [*UNSEEN, *NOTICED], mischief=True),
        "after": run(folder / "after", suite, folder / "store", (), mischief=False),
    }


def test_every_other_cell_is_what_it_is_without_them(runs: dict[str, tuple[Cells, str]]) -> None:
    clean, beside = runs["clean"][0], runs["beside"][0]
    others = {name: body for name, body in beside.items() if not any(f"what={bad}." in name for bad in NOTICED)}
    own = sum(len(arm.kinds) for arm in OWN_ARMS.values() if not arm.explains)  # a domain of each kind
    assert len(others) == own + 2 + len(UNSEEN)
    assert others == clean


def test_the_store_holds_nothing_of_it(runs: dict[str, tuple[Cells, str]]) -> None:
    clean, after = runs["clean"][0], runs["after"][0]
    assert after == {name: body for name, body in clean.items() if "rogue@what=" not in name}


@pytest.mark.parametrize("name", NOTICED)
def test_its_own_cell_fails_and_says_why(runs: dict[str, tuple[Cells, str]], name: str) -> None:
    cells, said = runs["beside"]
    (body,) = (body for file, body in cells.items() if f"what={name}." in file)
    (seed,) = body["seeds"]
    assert seed["accuracy"] is None
    assert NOTICED[name] in seed["error"]
    assert len(seed["error"]) < 2000
    assert NOTICED[name] in said


@LINUX
def test_no_process_is_left(runs: dict[str, tuple[Cells, str]]) -> None:
    assert runs
    assert not [one for one in psutil.process_iter(["cmdline"]) if SLEEP in (one.info["cmdline"] or ())]
