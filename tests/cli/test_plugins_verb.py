"""`w2s-bench plugins`: what is installed, what it brings, and what is wrong with it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from w2s_bench._cli.app import app
from w2s_bench.plugins.entries import Plugin, Problem, Registered
from w2s_bench.plugins.registry import Registry


class Scale:
    """A reading."""


class Refusing:
    """It cannot be built."""

    def __init__(self) -> None:
        raise ValueError("no data here")


def test_what_comes_with_the_harness_is_whole() -> None:
    done = CliRunner().invoke(app, ["plugins", "--json"])
    assert done.exit_code == 0, done.output
    rows = {row["entry_point"]: row for row in json.loads(done.stdout) if row["distribution"] == "w2s-bench"}
    assert rows.keys() == {"baselines", "tasks"}
    assert {"kind": "domain", "name": "w2s-bench/knowledge"}.items() <= rows["tasks"]["provides"][0].items()
    told = CliRunner().invoke(app, ["plugins"])
    assert told.exit_code == 0 and "entry point baselines: ok" in told.stdout and "w2s-bench/knowledge" in told.stdout


def test_what_is_broken_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(name: str, kind: str, factory: type) -> Registered:
        return Registered(f"acme/{name}", kind, factory, "acme", "2.0", "first", __name__)  # type: ignore[arg-type]

    problem = Problem("first", "acme", "2.0", "importing acme raised ImportError: [b]no\x1b[31m")
    plugins = [
        Plugin("first", "acme", "2.0", "broken", (entry("scale", "reading", Scale),), problem),
        Plugin("second", "acme", "2.0", "ok", (entry("refusing", "trust_function", Refusing),)),
        Plugin("third", "other", "1.0", "left out", why="by W2S_BENCH_PLUGINS"),
    ]
    monkeypatch.setattr(Registry, "load", lambda **_: Registry.of(plugins))
    done = CliRunner().invoke(app, ["plugins"])
    assert done.exit_code == 1
    said = " ".join(done.stdout.split())
    assert "entry point first: broken importing acme raised ImportError: [b]no\\x1b[31m" in said
    assert "reading: acme/scale" in said and "ValueError: no data here" in said
    assert "third: left out by W2S_BENCH_PLUGINS" in said
    rows = json.loads(CliRunner().invoke(app, ["plugins", "--json"]).stdout)
    assert [row["status"] for row in rows] == ["broken", "ok", "left out"]
    assert "no data here" in rows[1]["provides"][0]["fault"]
