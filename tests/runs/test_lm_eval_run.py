"""A suite with `lm-eval/arc_easy` from its YAML to a verified row: models on disk, rows made here, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from domains.test_lm_eval import arc, write
from w2s_bench._cli import progress
from w2s_bench._cli.app import app
from w2s_bench.errors import W2SBenchError
from w2s_bench.executors import Event, Noted, Preparing
from w2s_bench.names import DATA_VARIABLE, INCLUDE_VARIABLE
from w2s_bench.plugins.registry import Registry
from w2s_bench.results.files import read_cells
from w2s_bench.runs import execute
from w2s_bench.runs.plan import Plan

pytestmark = pytest.mark.slow

SIZES = {"dev": 16, "test": 20, "weak_train": 24, "trust": 12, "transfer": 30}
TRAINING = {"recipe": "head", "steps": 5, "batch_size": 8, "learning_rate": 1e-3}
TRUST = "w2s-bench/confidence"


def save_model(folder: Path, *, width: int, seed: int) -> Path:
    """A random Llama that reads 512 positions, with byte-level BPE over the rows' words."""
    from conftest import bpe_tokenizer
    from w2s_bench_tasks.pretraining import new_model

    tokenizer = bpe_tokenizer()
    model = new_model(
        vocab_size=len(tokenizer), width=width, layers=1, max_length=512, seed=seed,
        eos_id=tokenizer.eos_token_id, pad_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(folder)
    return folder


def suite_file(folder: Path) -> Path:
    """The suite beside its models and its data."""
    models = {
        role: {"model": str(save_model(folder / "models" / role, width=width, seed=seed)), **TRAINING}
        for role, width, seed in (("teacher", 16, 1), ("student", 32, 2))
    }
    domain = {"name": "lm-eval/arc_easy", "version": "1.0", "sizes": SIZES, **models}
    path = folder / "arc.yaml"
    path.write_text(yaml.safe_dump({"name": "arc", "version": "1", "seeds": 1, "domains": [domain]}))
    return path


def to_run(told: str) -> set[str]:
    """The stages that a dry run says it would compute, from its table: name, stored, to run."""
    lines = [line.split() for line in told.splitlines()]
    return {line[0] for line in lines if len(line) == 3 and line[2].isdigit() and int(line[2])}


def stored(told: str) -> set[str]:
    """The stages of which a dry run finds results, from the same table."""
    lines = [line.split() for line in told.splitlines()]
    return {line[0] for line in lines if len(line) == 3 and line[1].isdigit() and int(line[1])}


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("W2S_BENCH_STORE", str(tmp_path / "store"))
    for variable in (DATA_VARIABLE, INCLUDE_VARIABLE):  # set, so that what the call sets goes with the test
        monkeypatch.setenv(variable, "")
    return tmp_path


def test_a_run_gives_a_board_a_row_verifies_and_other_documents_are_computed_anew(here: Path) -> None:
    suite, data, out = suite_file(here), here / "data", here / "out"
    data.mkdir()
    write(data, "arc_easy", "train", [arc(n) for n in range(110)])
    write(data, "arc_easy", "test", [arc(n) for n in range(110, 140)])
    options = ["--trust", TRUST, "--out", out, "--workers", 1, "--data"]
    call("run", suite, *options, data, "--quiet")
    cells = read_cells(out / "arc")
    assert "confidence" in (out / "arc" / "README.md").read_text(encoding="utf-8")
    assert not [cell.row for cell in cells if any(seed.error for seed in cell.body.seeds)]
    row = next(cell.row for cell in cells if cell.body.arm.trusts == TRUST)
    assert "identical" in call("verify", out / "arc", "--row", row, "--workers", 1, "--trust-folder", "--data", data)

    moved = data.rename(here / "elsewhere")
    assert not to_run(call("run", suite, *options, moved, "--dry-run")), "where the data lie is no part of a cell"
    write(moved, "arc_easy", "train", [{**arc(n), "question": f"What was {n}?"} for n in range(110)])
    assert {"items", "states", "train_head", "grade"} <= to_run(call("run", suite, *options, moved, "--dry-run"))
    told = call("verify", out / "arc", "--row", row, "--workers", 1, "--trust-folder", "--data", moved, code=1)
    assert "DIFFERS" in told and "kept" in told


def test_another_answer_of_an_example_leaves_nothing_that_is_stored(here: Path) -> None:
    """It stands in every prompt, and makes no item."""
    path, data = suite_file(here), here / "data"
    suite = yaml.safe_load(path.read_text())
    suite["domains"][0]["parameters"] = {"num_fewshot": 2}
    path.write_text(yaml.safe_dump(suite))
    data.mkdir()
    write(data, "arc_easy", "train", [arc(n) for n in range(110)])
    write(data, "arc_easy", "test", [arc(n) for n in range(110, 140)])
    options = ["--trust", TRUST, "--out", here / "out", "--workers", 1, "--data", data]
    call("run", path, *options, "--quiet")
    assert stored(call("run", path, *options, "--dry-run"))
    shown = [int(e["id"]) for e in Registry.load().domain("lm-eval/arc_easy", num_fewshot=2).task().examples]
    rows = [arc(n) | ({"answerKey": "ABCD"[(n + 1) % 4]} if n == shown[1] else {}) for n in range(110)]
    write(data, "arc_easy", "train", rows)
    again = call("run", path, *options, "--dry-run")
    assert {"items", "train_head", "grade"} <= to_run(again) and not stored(again)


def written(folder: Path, train: int, test: int) -> Path:
    """A data folder of `arc_easy` with so many documents to learn from and in its own test."""
    data = folder / "data"
    data.mkdir()
    write(data, "arc_easy", "train", [arc(n) for n in range(train)])
    write(data, "arc_easy", "test", [arc(n) for n in range(train, train + test)])
    return data


@pytest.mark.parametrize(
    ("train", "test", "fills"), [(82, 20, True), (81, 40, False), (120, 19, False), (60, 20, False)]
)
def test_a_dry_run_refuses_sizes_beyond_what_a_task_has(here: Path, train: int, test: int, fills: bool) -> None:
    """`SIZES` takes 82 documents to learn from, and 20 of the task's own test; neither stands in for the other."""
    options = ["--trust", TRUST, "--out", here / "out", "--data", written(here, train, test), "--dry-run", "--json"]
    made = CliRunner().invoke(app, ["run", str(suite_file(here)), *map(str, options)])
    told = " ".join(made.stderr.split())
    assert made.exit_code == (0 if fills else 2), made.output
    if fills:
        assert json.loads(made.stdout)["sizes_unchecked"] == ["lm-eval/arc_easy"]
    else:
        assert f"domain 'lm-eval/arc_easy' has {train + test} items, too few for sizes dev 16" in told
        assert "(sum 102). Make the splits smaller" in told
        assert f"{test} of the items are its task's own test documents" in told and made.stdout == ""
    assert not (here / "store").exists() and not (here / "out").exists()


@pytest.mark.parametrize("quiet", [[], ["--quiet"], ["--json"]])
def test_a_run_is_planned_in_the_sight_of_who_waits(
    here: Path, quiet: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What planning waits for is told while it does, by the same display as a run; `--quiet` and `--json` leave it out."""
    told: list[Event] = []
    asked: list[bool] = []

    @contextmanager
    def shown(title: str, *, quiet: bool, as_json: bool) -> Iterator[Callable[[Event], None]]:
        asked.append(quiet or as_json)
        yield told.append

    monkeypatch.setattr(progress, "shown_progress", shown)
    call("run", suite_file(here), "--trust", TRUST, "--data", written(here, 82, 20), "--dry-run", *quiet)
    assert told[-2:] == [Preparing("reading the documents of lm-eval/arc_easy"), Preparing("")]
    assert asked == [bool(quiet)]


def test_planning_and_running_are_one_display(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not said while it was planned is said as early in the run as if that were one: nothing counts anew between."""
    told: list[list[Event]] = []

    @contextmanager
    def shown(title: str, *, quiet: bool, as_json: bool) -> Iterator[Callable[[Event], None]]:
        told.append([])
        yield told[-1].append

    def stop(planned: Plan, *, events: Callable[[Event], None], **_: object) -> None:
        events(Noted("it runs"))
        raise W2SBenchError("and is stopped")

    monkeypatch.setattr(progress, "shown_progress", shown)
    monkeypatch.setattr(execute, "execute", stop)
    call("run", suite_file(here), "--trust", TRUST, "--data", written(here, 82, 20), "--out", here / "out", code=2)
    assert len(told) == 1 and Preparing("") in told[0] and told[0][-1] == Noted("it runs")


def test_a_run_without_its_data_names_the_task_and_the_next_step(here: Path) -> None:
    told = " ".join(call("run", suite_file(here), "--trust", TRUST, "--out", here / "out", code=2).split())
    assert "lm-eval/arc_easy" in told and "--data DIR" in told and "Traceback" not in told
    absent = " ".join(call("run", here / "arc.yaml", "--data", here / "nowhere", code=2).split())
    assert "is no folder; give --data DIR" in absent
