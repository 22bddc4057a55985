"""A command that waits for a plugin says so on standard error; one that is quick says nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cell_builder import make_cells, write_cells
from w2s_bench._cli.waiting import Waits, told_waits
from w2s_bench.results.leaderboard import write_leaderboard

PLUGIN = """
import pathlib, time
import numpy as np
from w2s_bench import hookimpl
while not pathlib.Path({go!r}).exists():
    time.sleep(0.01)
class T:
    supervision, needs, scope, kinds = "none", (), "row", ("choice", "generate")
    def fit(self, evidence, correct, *, rng): ...
    def score(self, evidence, *, rng): return np.array([len(label) for label in evidence.labels], float)
@hookimpl
def w2s_trust_functions(): return {{"margin": T}}
"""
#: Those that print JSON, where nothing but their own progress is silenced.
WITH_JSON = (
    ["list", "--json"],
    ["plugins", "--json"],
    ["score", "labels.jsonl", "--list", "--json"],
    ["score", "labels.jsonl", "--trust", "acme/margin", "--out", "scored", "--json"],
    ["check-plugin", "acme", "--json"],
    ["run", "tiny", "--domain", "math", "--trust", "acme/margin", "--explain", "--json", "--store", "store"],
)
#: `board` is a folder of made-up cells, two of them by trust functions of acme 1.2.
OF_A_BOARD = (
    ["check", "board"],
    ["merge", "board", "board", "--out", "both"],
    ["submit", "board", "--to", "leaderboard"],
)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_takes_long_is_said_after_two_seconds_and_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    waits = Waits(clock)
    waits("importing plugin acme\x1b[2J")
    for second in range(60):
        if second == 1:
            waits("importing plugin acme\x1b[2J")  # it is asked a second time
        clock.now += 1
        waits.look()
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        f"waiting: importing plugin acme\\x1b[2J ({seconds} s so far)" for seconds in (2, 27, 52)
    ]
    assert told.out == ""


def test_what_is_quick_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    waits = Waits(clock)
    for name in range(20):
        waits(f"importing plugin {name}")
        clock.now += 1.5
        waits.look()
    waits("")
    clock.now += 60
    waits.look()
    with told_waits(quiet=True) as awaits:
        awaits("importing plugin acme")
    assert capsys.readouterr() == ("", "")


def heard(tmp_path: Path, arguments: list[str]) -> tuple[int, str, str]:
    """Exit code and what a command printed, that says on standard error which plugin it waits for.

    The plugin is imported to its end only once the command has said so, or has given it up.
    """
    site, go = tmp_path / "site", tmp_path / "go"
    info = site / "acme-1.2.dist-info"
    info.mkdir(parents=True)
    (site / "acme.py").write_text(PLUGIN.format(go=str(go)))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[w2s_bench]\nmain = acme\n")
    rows = [json.dumps({"prompt": f"question {i}", "label": "yes" * (i + 1), "correct": i % 2 == 0}) for i in range(60)]
    (tmp_path / "labels.jsonl").write_text("\n".join(rows))
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path, "W2S_BENCH_PLUGIN_CACHE": str(tmp_path / "memory")}
    environment.pop("W2S_BENCH_PLUGINS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "w2s_bench", *arguments],
        cwd=tmp_path,
        env=environment | {"W2S_BENCH_IMPORT_TIMEOUT": "60"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    before = []
    for line in process.stderr:
        before.append(line)
        if line.startswith("waiting: importing plugin acme ("):
            break
    else:
        pytest.fail(f"it gave the plugin up, or went on, in silence: {before}")
    go.touch()
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.slow
@pytest.mark.parametrize("arguments", WITH_JSON, ids=lambda arguments: " ".join(arguments[::3]))
def test_a_command_that_prints_json_says_which_plugin_it_waits_for(tmp_path: Path, arguments: list[str]) -> None:
    code, out, err = heard(tmp_path, arguments)
    assert code == 0, err
    assert "margin" in json.dumps(json.loads(out)), "standard output is JSON alone, and the plugin is in it"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", OF_A_BOARD, ids=lambda arguments: arguments[0])
def test_a_command_about_boards_says_which_plugin_it_waits_for(tmp_path: Path, arguments: list[str]) -> None:
    write_leaderboard(write_cells(tmp_path / "board", make_cells()))
    code, out, err = heard(tmp_path, arguments)
    assert code == 0, out + err
