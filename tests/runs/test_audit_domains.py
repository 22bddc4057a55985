"""`audit` on domains whose files do not all tell gold as bundled ones do: what it cannot ask it does not call sound."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from w2s_bench._cli.app import app
from w2s_bench.suite import Suite

pytestmark = pytest.mark.slow

PLUGIN = '''
import csv
import json
from pathlib import Path

import numpy as np

from w2s_bench import TaskDomain, hookimpl

HERE = Path(__file__).parent


def domain(name):
    return TaskDomain(name, "1", "choice", HERE / name / "task.yaml", f"audited_{name}")


def shown():
    """The gold is text, and the prompt lists the options."""
    return domain("shown")


def mixed():
    """A part of the documents lies in a table."""
    return domain("mixed")


class Plain:
    supervision, needs, scope = "none", (), "row"

    def score(self, evidence, *, rng):
        return rng.random(len(evidence))


class Joining(Plain):
    """Joins the lines of `shown` by the prompt."""

    def score(self, evidence, *, rng):
        lines = (HERE / "shown" / "items.jsonl").read_text().splitlines()
        told = {row["question"]: row["answer"] for row in map(json.loads, lines)}
        return np.array([told.get(p) == label.strip() for p, label in zip(evidence.prompts, evidence.labels)], dtype=float)


@hookimpl
def w2s_domains():
    return {"shown": shown, "mixed": mixed}


@hookimpl
def w2s_trust_functions():
    return {"plain": Plain, "joining": Joining}
'''
LOADER = """
import csv, json
from pathlib import Path

HERE = Path(__file__).parent


def load(**_):
    from datasets import Dataset

    rows = [json.loads(line) for line in (HERE / "items.jsonl").read_text().splitlines()]
    if (HERE / "more.tsv").exists():
        with (HERE / "more.tsv").open() as file:
            more = list(csv.DictReader(file, delimiter="\\t"))
        rows += [{**row, "choices": row["choices"].split("|")} for row in more]
    return {"test": Dataset.from_list(rows)}
"""
TASK = """
task: audited_{name}
custom_dataset: !function loader.load
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: choices
doc_to_target: answer
metric_list:
  - metric: acc
"""
COUNT = 120


def documents(name: str) -> list[dict[str, Any]]:
    drawn, rows = random.Random(name), []
    for number in range(COUNT):
        options = list(map(str, drawn.sample(range(100, 999), 4)))
        question = f"The largest of {', '.join(options)} is"
        rows.append({"id": f"{name}{number:03d}", "group": f"{name}{number}", "key": question, "stratum": "all"})
        rows[-1] |= {"question": question, "choices": options, "answer": max(options), "url": f"at/{name}/{number}"}
    return rows


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    package, told = folder / "site" / "audited", folder / "site" / "audited-1.0.dist-info"
    for name in ("shown", "mixed"):
        (package / name).mkdir(parents=True)
        (package / name / "loader.py").write_text(LOADER)
        (package / name / "task.yaml").write_text(TASK.format(name=name))
    (package / "__init__.py").write_text(PLUGIN)
    (package / "shown" / "items.jsonl").write_text(lines(documents("shown")))
    rows = documents("mixed")
    (package / "mixed" / "items.jsonl").write_text(lines(rows[::2]))
    table = [{**row, "choices": "|".join(row["choices"])} for row in rows[1::2]]
    (package / "mixed" / "more.tsv").write_text(
        "".join("\t".join(row) + "\n" for row in [list(table[0]), *(r.values() for r in table)])
    )
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: audited\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[w2s_bench]\naudited = audited\n")
    training = {"model": "tiny/knowledge-s", "steps": 1, "batch_size": 2, "learning_rate": 1e-3}
    sizes = {"dev": 10, "test": 20, "weak_train": 10, "trust": 10, "transfer": 40}
    domains = [
        {"name": f"audited/{name}", "version": "1", "sizes": sizes, "teacher": training, "student": training}
        for name in ("shown", "mixed")
    ]
    path = folder / "small.yaml"
    path.write_text(Suite.model_validate({"name": "small", "version": "1", "seeds": 1, "domains": domains}).to_yaml())
    return path


def test_a_task_of_lm_eval_is_audited_on_its_data(suite: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its code is the harness's own and lm-eval's, which stay as they are; its documents lie below `--data`."""
    monkeypatch.syspath_prepend(str(suite.parent / "site"))
    for split, count in (("train", 120), ("test", 30)):
        (tmp_path / "arc_easy").mkdir(exist_ok=True)
        rows = [
            {
                "id": f"{split}{number}",
                "question": f"{row['question']} ({split})",
                "choices": {"text": row["choices"], "label": list("ABCD")},
                "answerKey": "ABCD"[row["choices"].index(row["answer"])],
            }
            for number, row in enumerate(documents(split)[:count])
        ]
        (tmp_path / "arc_easy" / f"{split}.jsonl").write_text(lines(rows))
    training = {"model": "tiny/knowledge-s", "steps": 1, "batch_size": 2, "learning_rate": 1e-3}
    sizes = {"dev": 10, "test": 20, "weak_train": 10, "trust": 10, "transfer": 40}
    domain = {"name": "lm-eval/arc_easy", "version": "1.0", "sizes": sizes, "teacher": training, "student": training}
    path = tmp_path / "small.yaml"
    path.write_text(Suite.model_validate({"name": "small", "version": "1", "seeds": 1, "domains": [domain]}).to_yaml())
    call = ["audit", "audited/plain", "--suite", str(path), "--data", str(tmp_path), "--workers", "1", "--json"]
    result = CliRunner().invoke(app, [*call, "--store", str(suite.parent / "store")])
    (one,) = json.loads(result.stdout)
    assert (one["verdict"], one["count"]) == ("sound", 40), one


@pytest.mark.parametrize("trust", ["joining", "plain"])
def test_sound_is_what_every_gold_was_altered_for(suite: Path, monkeypatch: pytest.MonkeyPatch, trust: str) -> None:
    monkeypatch.syspath_prepend(str(suite.parent / "site"))
    call = [
        "audit",
        f"audited/{trust}",
        "--suite",
        str(suite),
        "--store",
        str(suite.parent / "store"),
        "--workers",
        "1",
    ]
    result = CliRunner().invoke(app, [*call, "--json"])
    assert result.exit_code == 1, result.output
    told = {one["domain"]: one for one in json.loads(result.stdout)}
    assert told["audited/shown"]["verdict"] == ("follows gold" if trust == "joining" else "sound"), told
    mixed = told["audited/mixed"]
    assert (mixed["verdict"], mixed["records"]) == ("failed", COUNT // 2)
    if trust == "plain":
        assert (
            "of 40 items lies in no file that was altered" in mixed["reason"] and "gold of 40 " not in mixed["reason"]
        )
    else:
        assert "(files of the domain's packages" in mixed["reason"], "another domain's documents"
