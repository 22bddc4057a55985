"""A suite with a chain, run as users run it: previewed, run, run again, one generation verified, more seeds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import toy_environment, toy_suite
from w2s_bench.suite import Suite

pytestmark = pytest.mark.slow

CHAINED = {"ceiling", "confidence", "naive", "oracle", "random"}


def w2s(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that has the toy plugin."""
    command = [sys.executable, "-m", "w2s_bench", *map(str, arguments)]
    return subprocess.run(command, env=toy_environment(), capture_output=True, text=True, timeout=400)


def suite_file(folder: Path, seeds: int, **changes: object) -> Path:
    content = toy_suite(folder / "models", seeds=seeds).model_dump(mode="json")
    spec = content["domains"][0]
    spec["chain"] = [{**spec["student"], "steps": 9}]
    path = folder / "chain.yaml"
    path.write_text(Suite.model_validate({**content, "domains": [{**spec, **changes}]}).to_yaml())
    return path


def test_a_chain_from_the_command_line(tmp_path: Path) -> None:
    path = suite_file(tmp_path, 1)
    how = (path, "--trust", "confidence", "--out", tmp_path, "--store", tmp_path / "store", "--workers", 1)
    told = w2s("run", *how, "--dry-run", "--json")
    assert told.returncode == 0, told.stderr
    previewed = json.loads(told.stdout)
    generations = [row for row in previewed["cells"] if "generation" in row]
    assert sorted(generations) == sorted(
        f"w2s-bench-toy.largest/generation{g}@{arm}" for g in (1, 2) for arm in CHAINED
    )
    done = w2s("run", *how)
    assert done.returncode == 0, done.stderr
    results = tmp_path / "toy"
    files = {path.stem: path.read_bytes() for path in results.glob("results/*/*.json")}
    assert len(files) == len(previewed["cells"])
    assert (results / "chains.svg").is_file() and "## Chains" in (results / "README.md").read_text()
    # What is stored is not computed again, and the cells stay as they are.
    again = json.loads(w2s("run", *how, "--dry-run", "--json").stdout)
    assert again["to_run"] == {} and sum(again["stored"].values()) == sum(previewed["to_run"].values())
    verified = w2s(
        "verify", results, "--row", "w2s-bench-toy.largest/generation2@confidence", "--trust-folder", "--workers", 1
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "generation2@confidence  identical" in verified.stdout and "chains.svg" in verified.stdout
    # A second seed joins: what the first one made, generations too, is only looked up.
    more = w2s("run", *how, "--seeds", 2, "--dry-run", "--json")
    assert sum(json.loads(more.stdout)["stored"].values()) >= sum(again["stored"].values())
    # Another model between is another suite, whose cells do not come to stand beside these.
    suite_file(
        tmp_path, 1, chain=[{**toy_suite(tmp_path / "models").domains[0].student.model_dump(mode="json"), "steps": 7}]
    )
    other = w2s("run", *how)
    assert other.returncode == 2 and "holds results of another suite" in other.stderr
    assert {path.stem: path.read_bytes() for path in results.glob("results/*/*.json")} == files
