"""`audit`: who reads the answers that a domain ships, or the files of the run, is found out; who does not is left in peace."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support import run_inline, toy_registry, toy_suite
from w2s_bench._cli.app import app
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs.altered import altered_copy, documents_in
from w2s_bench.runs.audit import ranked_cells
from w2s_bench.runs.dealt import Gold
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.suite import Suite
from w2s_bench.types import Answer, Item

runner = CliRunner()
LEAKING = '''
import json
import random
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


class Loading(Shipped):
    """Loads the domain's task, as its code does it, and abstains once."""

    def score(self, evidence, *, rng):
        from w2s_bench_tasks.knowledge.domain import domain

        global_state = random.getstate(), np.random.get_state()
        told = {document["question"]: document for document in domain().task().test_docs()}
        random.setstate(global_state[0])
        np.random.set_state(global_state[1])
        scores = []
        for prompt, label in zip(evidence.prompts, evidence.labels):
            document = told[prompt.removeprefix("Question: ").removesuffix("\\nAnswer:")]
            scores.append(float(document["choices"][document["answer"]] == label.strip()))
        return np.array([-1e12, *scores[1:]])


class Facts(Shipped):
    """Knows the cities of every country from the table that the domain's questions were made of."""

    def score(self, evidence, *, rng):
        import w2s_bench_tasks

        folder = Path(w2s_bench_tasks.__file__).parent / "knowledge" / "making"
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        named = [[city["name"] in prompt for city in facts["cities"]] for prompt in evidence.prompts]
        return np.array([sum(row) for row in named], dtype=float)


class Making(Shipped):
    """Asks the code that made the domain."""

    def score(self, evidence, *, rng):
        from w2s_bench_tasks.knowledge.making import statements

        return np.zeros(len(evidence))


class Beside(Shipped):
    """Finds the files as they are shipped from where the harness itself lies."""

    def score(self, evidence, *, rng):
        import w2s_bench

        above = Path(w2s_bench.__file__).parents[1]
        (path,) = [
            path
            for folder in (above, above.parent / "tasks")
            if (path := folder / "w2s_bench_tasks" / "knowledge" / "data" / "items.jsonl").is_file()
        ]
        return np.full(len(evidence), float(len(path.read_bytes())))


class Sound(Shipped):
    def score(self, evidence, *, rng):
        return np.array([len(label) for label in evidence.labels], dtype=float) + rng.random(len(evidence))


@hookimpl
def w2s_trust_functions():
    return {
        "shipped": Shipped,
        "walking": Walking,
        "asking": Asking,
        "loading": Loading,
        "facts": Facts,
        "making": Making,
        "beside": Beside,
        "sound": Sound,
    }
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trust", "verdict"),
    [
        ("leaking/shipped", "follows gold"),
        ("leaking/loading", "follows gold"),
        ("leaking/sound", "sound"),
        ("leaking/walking", "follows the store"),
        ("leaking/asking", "failed"),
        ("mass_mean", "sound"),
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (
            "leaking/facts",
            r"facts\.json.* \(files of the domain's packages and of --data that neither",
        ),
        (
            "leaking/making",
            r"w2s_bench_tasks\.knowledge\.making.* \(files of the domain",
        ),
        (
            "leaking/beside",
            r"items\.jsonl comes with the domain, and no trust function",
        ),
    ],
)
def test_what_only_the_domains_makers_need_is_not_there(
    suite: Path, monkeypatch: pytest.MonkeyPatch, trust: str, reason: str
) -> None:
    """Gold follows from it, and no record of it is a question: other gold in the domain's documents would change no score."""
    code, (one,) = audited(suite, monkeypatch, trust)
    assert (code, one["verdict"]) == (1, "failed"), one
    assert re.search(reason, one["reason"]), one["reason"]


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
    altered = altered_copy(folder, tmp_path / "copy", gold)
    assert altered.records == 20 + 5 + 20
    assert sorted(path.name for path in altered.as_before) == ["broken.json", "code.py"]
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
    code = tmp_path / "copy" / "code.py"
    assert code.read_text() == "x = 1\n" and code.resolve() == code, "what resolves its own path stays in the copy"
    assert (tmp_path / "copy" / "broken.json").read_text() == "{"


def test_large_files_are_links_and_code_never(tmp_path: Path) -> None:
    folder, gold = tmp_path / "data", Gold.of([], [])
    folder.mkdir()
    for name in ("weights.bin", "table.py", "task.yaml"):
        (folder / name).write_bytes(b"#" * (1 << 20))
    assert altered_copy(folder, tmp_path / "copy", gold).records == 0
    assert [path.name for path in sorted((tmp_path / "copy").iterdir()) if path.is_symlink()] == ["weights.bin"]


def test_files_of_any_format_are_searched_for_the_questions(tmp_path: Path) -> None:
    questions = [f"What is “item” {n}?" for n in range(200)]
    table, escaped, readme = tmp_path / "a.tsv", tmp_path / "b.txt", tmp_path / "README.md"
    table.write_text("".join(f"{question}\tyes\n" for question in questions))
    escaped.write_text(json.dumps(questions))
    readme.write_text("For example: " + " ".join(questions[:5]))
    assert documents_in([readme, table], questions) == table
    assert documents_in([readme, escaped], questions) == escaped
    assert documents_in([readme], questions) is None and documents_in([table], []) is None


def test_of_a_chain_the_one_hop_is_audited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry, content = toy_registry(monkeypatch), toy_suite(tmp_path, seeds=1).model_dump(mode="json")
    spec = content["domains"][0]
    suite = Suite.model_validate({**content, "domains": [{**spec, "chain": [spec["student"]]}]})
    cells = plan(suite, registry, trust=["confidence"]).cells
    assert {cell.generation for cell in cells} == {None, 1, 2}
    (cell,) = ranked_cells(cells).values()
    assert cell.generation is None and cell.arm.ref.name.endswith("confidence")
