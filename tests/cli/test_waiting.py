"""A command that waits for a plugin says so on standard error; one that is quick says nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from w2s_bench._cli.waiting import Waits, told_waits

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
def w2s_trust_functions(): return {{"t": T}}
"""
COMMANDS = (
    ["list", "--json"],
    ["plugins", "--json"],
    ["score", "labels.jsonl", "--list", "--json"],
    ["score", "labels.jsonl", "--trust", "slow-one/t", "--out", "scored", "--json"],
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


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments[::3]))
def test_a_command_says_which_plugin_it_waits_for(tmp_path: Path, arguments: list[str]) -> None:
    """The plugin is imported to its end only once the command has said that it waits."""
    site, go = tmp_path / "site", tmp_path / "go"
    info = site / "slow_one-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "slow_one.py").write_text(PLUGIN.format(go=str(go)))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-one\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[w2s_bench]\nmain = slow_one\n")
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
    said = next((line for line in process.stderr if line.startswith("waiting: importing plugin slow-one (")), "")
    go.touch()
    out, err = process.communicate(timeout=300)
    assert said, "it gave the plugin up in silence"
    assert process.returncode == 0, err
    assert "slow-one" in json.dumps(json.loads(out)), "standard output is JSON alone, and the plugin is in it"
