"""`audit`: who reads the answers that a domain ships, or the files of the run, is found out; who does not is left in peace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support import run_inline
from w2s_bench._cli.app import app
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs.altered import Gold, altered_copy
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.suite import Suite
from w2s_bench.types import Answer, Item

runner = CliRunner()
LEAKING = '''
import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np

from w2s_bench import hookimpl


class Shipped:
    """Joins the domain's data by the prompt."""

    supervision, needs, scope = "none", (), "row"

    def score(self, evidence, *, rng):
        text = (resources.files("w2s_bench_tasks.knowledge") / "data" / "items.jsonl").read_text(encoding="utf-8")
        told = {row["question"]: row["choices"][row["answer"]] for row in map(json.loads, text.splitlines())}
        right = [told[prompt.removeprefix("Question: ").removesuffix("\\nAnswer:")] for prompt in evidence.prompts]
        return np.array([a == label.strip() for a, label in zip(right, evidence.labels)], dtype=float)


class Walking(Shipped):
    """Walks frames to the store, and from there to the gold."""

    def score(self, evidence, *, rng):
        frame = sys._getframe()
        while "context" not in frame.f_locals:
            frame = frame.f_back
        items = frame.f_locals["context"].inputs["pool:items"]
        asked = {row["id"]: row["prompt"] for row in map(json.loads, (items / "items.jsonl").read_text().splitlines())}
        told = {}
        for path in items.parents[1].glob("gold/*/answers.jsonl"):
            for row in map(json.loads, path.read_text().splitlines()):
                told[asked.get(row["id"])] = row["completion"]
        return np.array([told.get(p) == label for p, label in zip(evidence.prompts, evidence.labels)], dtype=float)


class Asking(Shipped):
    """Raises where it does not find what it should not look for."""

    def score(self, evidence, *, rng):
        scores = Walking.score(self, evidence, rng=rng)
        if not scores.any():
            raise ValueError("no gold found")
        return scores


class Sound(Shipped):
    def score(self, evidence, *, rng):
        return np.array([len(label) for label in evidence.labels], dtype=float) + rng.random(len(evidence))


@hookimpl
def w2s_trust_functions():
    return {"shipped": Shipped, "walking": Walking, "asking": Asking, "sound": Sound}
'''


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty rows of a bundled domain, and models that are hardly trained. The store beside it has the teacher and its labels, so
    that no engine has to start for them."""
    sizes = {"dev": 10, "test": 10, "weak_train": 10, "trust": 20, "transfer": 30}
    training = {"model": "tiny/knowledge-s", "steps": 1, "batch_size": 2, "learning_rate": 1e-3}
    registry = Registry.load([])
    version = registry.domain("w2s-bench/knowledge").version
    domain = {
        "name": "w2s-bench/knowledge",
        "version": version,
        "sizes": sizes,
        "teacher": training,
        "student": training,
    }
    folder = tmp_path_factory.mktemp("audit")
    path = folder / "small.yaml"
    small = Suite.model_validate({"name": "small", "version": "1", "seeds": 1, "domains": [domain]})
    path.write_text(small.to_yaml())
    graph = plan(small, registry, trust=["confidence"]).cells[0].graphs[0]
    before = [graph.items, graph.answers, graph.gold(graph.pool), graph.label_grades(graph.pool)]
    run_inline(before, Store(folder / "store"), registry)
    plugin = folder / "plugin"
    (plugin / "leaking-1.0.dist-info").mkdir(parents=True)
    (plugin / "leaking.py").write_text(LEAKING)
    (plugin / "leaking-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: leaking\nVersion: 1.0\n")
    (plugin / "leaking-1.0.dist-info" / "entry_points.txt").write_text("[w2s_bench]\nleaking = leaking\n")
    return path


def audited(suite: Path, monkeypatch: pytest.MonkeyPatch, *trust: str) -> tuple[int, Any]:
    monkeypatch.syspath_prepend(str(suite.parent / "plugin"))
    call = ["audit", *trust, "--suite", str(suite), "--store", str(suite.parent / "store"), "--workers", "1"]
    result = runner.invoke(app, [*call, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("[") else result.output


@pytest.mark.parametrize(
    ("trust", "verdict"),
    [
        ("leaking/shipped", "follows gold"),
        ("leaking/sound", "sound"),
        pytest.param("leaking/walking", "follows the store", marks=pytest.mark.slow),
        pytest.param("leaking/asking", "failed", marks=pytest.mark.slow),
        pytest.param("mass_mean", "sound", marks=pytest.mark.slow),
    ],
)
def test_verdicts(suite: Path, monkeypatch: pytest.MonkeyPatch, trust: str, verdict: str) -> None:
    code, told = audited(suite, monkeypatch, trust)
    assert code == (0 if verdict == "sound" else 1), told
    (one,) = told
    assert one["verdict"] == verdict, one
    assert (one["count"], one["domain"]) == (30, "w2s-bench/knowledge") and one["records"] > 1000
    differ = verdict.startswith("follows")
    assert bool(one["rows"]) == differ
    if differ:  # scores of 1 say that the label is right; what is found out is more than a few rows
        assert len(one["rows"]) > 5 and all({row["run"], row["audited"]} == {0.0, 1.0} for row in one["rows"])
    assert ("no gold found" in one["reason"]) == (verdict == "failed")


def test_mistakes_are_told(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = audited(suite, monkeypatch, "leaking/nothing")
    assert code == 2 and "unknown trust function 'leaking/nothing'" in " ".join(told.split())
    code, told = audited(suite, monkeypatch, "confidence", "--domain", "chess")
    assert code == 2 and "chess" in told


def item(name: str, prompt: str, choices: tuple[str, ...] | None) -> Item:
    return Item(name, f"group {name}", f"key {name}", "all", prompt, choices)


def test_gold_is_what_no_item_shows_and_goes_to_another_document(tmp_path: Path) -> None:
    documents = [
        {"id": f"i{n}", "question": f"What is item {n}?", "choices": ["a", "b"], "answer": n % 2, "hint": f"h{n}"}
        for n in range(20)
    ]
    items = [item(f"i{n}", f"Q: What is item {n}?\nA:", (" a", " b")) for n in range(20)]
    answers = [Answer(f"i{n}", documents[n], " a", n % 2, "") for n in range(20)]
    gold = Gold.of(items, answers)
    assert gold.fields == ("answer", "hint")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    (folder / "tree.json").write_text(json.dumps({"test": documents[:5], "other": [{"id": "i99", "answer": 3}]}))
    (folder / "table.csv").write_text(
        "question,answer\n" + "".join(f"{d['question']},{d['answer']}\n" for d in documents)
    )
    (folder / "code.py").write_text("x = 1\n")
    (folder / "broken.json").write_text("{")
    assert altered_copy(folder, tmp_path / "copy", gold) == 20 + 5 + 20
    found = [json.loads(line) for line in (tmp_path / "copy" / "rows.jsonl").read_text().splitlines()]
    for one, other in zip(documents, found, strict=True):
        assert {**one, "answer": 0, "hint": ""} == {**other, "answer": 0, "hint": ""}, "what is shown stays"
        assert one["hint"] != other["hint"], "no document keeps its own"
        assert other["answer"] == documents[int(other["hint"][1:])]["answer"], "all of another's gold together"
    assert sorted(row["hint"] for row in found) == sorted(row["hint"] for row in documents)
    assert json.loads((tmp_path / "copy" / "tree.json").read_text()) == {
        "test": found[:5],
        "other": [{"id": "i99", "answer": 3}],
    }
    lines = (tmp_path / "copy" / "table.csv").read_text().splitlines()
    assert lines == ["question,answer", *(f"{row['question']},{row['answer']}" for row in found)]
    assert (tmp_path / "copy" / "code.py").is_symlink() and (tmp_path / "copy" / "broken.json").is_symlink()
