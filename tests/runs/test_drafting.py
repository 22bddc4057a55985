"""`suite new` and `suite check`: sizes that fit, and what is wrong with a suite before hours are spent on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support import run_inline, small_suite_file, toy_registry
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError, SuiteError
from w2s_bench.executors import Ended, Failed
from w2s_bench.names import BUDGET, DATA_VARIABLE, INCLUDE_VARIABLE
from w2s_bench.plugins.registry import Registry
from w2s_bench.results.budget_files import read_budgets
from w2s_bench.results.budgets import verdict
from w2s_bench.results.checking.rules import check
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs import drafting, execute, on_dev, refusals
from w2s_bench.runs.drafting import SHARES, draft, look_at_suite, sizes_for
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite

runner = CliRunner()


class Inline:
    """An executor without processes, which notes what it was asked for."""

    def __init__(self, registry: Any) -> None:
        self.registry, self.asked = registry, list[Any]()

    def run(self, targets: Any, store: Store, events: Callable[..., None]) -> Any:
        self.asked += walk(targets)
        outcomes = run_inline(targets, store, self.registry)
        for stage in walk(targets):
            events(Ended(stage, outcomes[stage.node]))
        return outcomes


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Suite, dict[str, Any], Inline]]:
    """The toy suite with one domain, where its stages run and are kept, and who runs them."""
    root = tmp_path_factory.mktemp("drafting")
    with pytest.MonkeyPatch.context() as patched:
        inline = Inline(toy_registry(patched))
        suite = load_suite(small_suite_file(root))
        yield suite, {"store": Store(root / "store"), "executor": inline, "events": lambda event: None}, inline


def changed(suite: Suite, **sizes: int) -> Suite:
    """The suite with other sizes."""
    content = suite.model_dump()
    content["domains"][0]["sizes"] |= sizes
    return Suite.model_validate(content)


def test_shares_leave_room_and_sizes_are_capped() -> None:
    assert sum(share for share, _ in SHARES.values()) == pytest.approx(0.97)
    assert sizes_for(1000, trained_teacher=True) == {
        "dev": 100,
        "test": 290,
        "weak_train": 190,
        "trust": 100,
        "transfer": 290,
    }
    assert sizes_for(200, trained_teacher=True)["test"] == 58, "0.29 · 200 is a rounding error below 58"
    untrained = sizes_for(1000, trained_teacher=False)
    assert "weak_train" not in untrained and sum(untrained.values()) <= 1000
    assert sizes_for(10**6, trained_teacher=True) == {split: most for split, (_, most) in SHARES.items()}


@pytest.mark.parametrize("trained_teacher", [True, False])
def test_dev_takes_what_a_gap_needs_where_four_fifths_are_left(trained_teacher: bool) -> None:
    for items in range(20, 400):
        sizes = sizes_for(items, trained_teacher=trained_teacher)
        assert sizes["dev"] == (20 if 100 <= items < 200 else items // 10) and sum(sizes.values()) <= 0.97 * items
        assert sizes["transfer"] >= sizes["test"] > sizes["trust"] >= 1


@pytest.mark.slow
def test_a_draft_fills_its_splits(toy: tuple[Suite, dict[str, Any], Inline]) -> None:
    suite, where, inline = toy
    spec = suite.domains[0]
    before = len(inline.asked)
    made = draft(
        "mine",
        [spec.name],
        {"model": spec.teacher.model, "recipe": "none"},
        {"model": spec.student.model, "recipe": "lora", "steps": 5, "learning_rate": 1e-3},
        seeds=2,
        coverage=0.4,
        **where,
    )
    assert {stage.name for stage in inline.asked[before:]} == {"items", "held_out", "splits"}, "nothing is trained"
    assert (made.name, made.seeds, made.coverage, made.domains[0].sizes.weak_train) == ("mine", 2, 0.4, 0)
    assert 300 < made.domains[0].sizes.total <= 400
    look = look_at_suite(made, gap=False, **where)
    assert look.ok and look.domains[0].items == 400 and look.domains[0].asked == made.domains[0].sizes.total


@pytest.mark.slow
def test_sizes_shrink_until_groups_fit(
    toy: tuple[Suite, dict[str, Any], Inline], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, where, _ = toy
    spec, told = suite.domains[0], list[Any]()
    models = (
        {"model": spec.teacher.model, "recipe": "none"},
        {"model": spec.student.model, "recipe": "lora", "steps": 5},
    )
    models[1]["learning_rate"] = 1e-3  # type: ignore[assignment]
    monkeypatch.setattr(drafting, "SHARES", {split: (share * 1.2, most) for split, (share, most) in SHARES.items()})
    made = draft("mine", [spec.name], *models, seeds=1, coverage=0.5, **{**where, "events": told.append})
    assert made.domains[0].sizes.total <= 400
    ends = [event.outcome for event in told if isinstance(event, Ended)]
    assert ends and not [end for end in ends if isinstance(end, Failed)], "a size that was tried is no failure"
    monkeypatch.setattr(drafting, "_TRIES", 1)
    with pytest.raises(SuiteError, match="no sizes were found that fit: domain 'w2s-bench-toy/largest' has 400 items"):
        draft("mine", [spec.name], *models, seeds=1, coverage=0.5, **where)
    monkeypatch.setattr(drafting, "_FEWEST", 500)
    with pytest.raises(SuiteError, match="has 400 items; at least 500"):
        draft("mine", [spec.name], *models, seeds=1, coverage=0.5, **where)


#: An lm-eval task, and its documents.
TASK = """task: places_of_mine
dataset_path: json
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: "{{options}}"
doc_to_target: gold
metric_list: [{metric: acc}]
metadata: {version: 1.0}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("items", "next_step"), [(110, "--gap"), (45, "(--gap takes 20 dev items a domain)")])
def test_a_task_with_parameters_is_drafted_and_the_next_step_finds_it(
    toy: tuple[Suite, dict[str, Any], Inline],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    items: int,
    next_step: str,
) -> None:
    suite, where, inline = toy
    monkeypatch.setattr(execute, "local_executor", lambda *_: inline)
    for variable in (DATA_VARIABLE, INCLUDE_VARIABLE):
        monkeypatch.setenv(variable, "")  # so that it is put back
        monkeypatch.delenv(variable)
    (tasks := tmp_path / "my tasks").mkdir()
    (tasks / "mine.yaml").write_text(TASK)
    for split, first in (("train", 0), ("test", 1000)):
        numbers = range(first, first + items)
        rows = [{"question": f"What is {n} + 1?", "options": [str(n + 1), str(n)], "gold": n % 2} for n in numbers]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    call = ["suite", "new", "mine", "--out", str(file := tmp_path / "mine.yaml"), "--quiet", "--store", str(tmp_path)]
    call += ["--teacher", suite.domains[0].teacher.model, "--student", suite.domains[0].student.model]
    call += ["--include-path", str(tasks), "--store", str(where["store"].root)]
    lacking = runner.invoke(app, [*call, "--domain", "lm-eval/places_of_mine", "--data", str(tasks)])
    assert lacking.exit_code == 2 and "Here: --domain 'NAME:key=value" in lacking.output
    domain = "lm-eval/places_of_mine:data={train: train.jsonl, test: test.jsonl},num_fewshot=0"
    done = runner.invoke(app, [*call, "--domain", domain, "--data", str(tmp_path)], env={"COLUMNS": "400"})
    assert done.exit_code == 0, done.output
    (spec,) = load_suite(file).domains
    assert spec.parameters == {"data": {"train": "train.jsonl", "test": "test.jsonl"}, "num_fewshot": 0}
    assert f"--data {tmp_path} --include-path '{tasks}'" in done.output and next_step in done.output


@pytest.mark.parametrize(("role", "none"), [("teacher", " or 'none' for the teacher"), ("student", " for who learns")])
def test_of_a_domain_that_generates_a_recipe_is_named_that_its_model_may_have(role: str, none: str) -> None:
    content = load_suite("tiny").model_dump()
    (math,) = (domain for domain in content["domains"] if domain["name"].endswith("math"))
    math[role]["recipe"] = "head"
    suite = Suite.model_validate({**content, "domains": [math]})
    with pytest.raises(SuiteError, match=f"generates its answers: take 'full' or 'lora'{none}"):
        execute.make_plan(suite)


@pytest.mark.slow
def test_a_look_finds_what_is_wrong(toy: tuple[Suite, dict[str, Any], Inline]) -> None:
    suite, where, _ = toy
    look = look_at_suite(changed(suite, transfer=5000), gap=False, **where)
    assert not look.ok and "400 items" in look.domains[0].fault
    with pytest.raises(SuiteError, match="has 5 dev items, and a gap is looked for on dev alone"):
        look_at_suite(changed(suite, dev=5), gap=True, **where)


@pytest.mark.slow
def test_a_gap_is_of_dev_and_no_test_item_is_asked(toy: tuple[Suite, dict[str, Any], Inline]) -> None:
    suite, where, inline = toy
    before = len(inline.asked)
    look = look_at_suite(suite, gap=True, **where)
    gap = look.domains[0].gap
    assert look.ok and gap is not None
    assert all(0 <= figure <= 1 for figure in (gap.weak, gap.base, gap.ceiling, gap.labels))
    labels = [stage.label for stage in inline.asked[before:]]
    assert any("dev items" in label for label in labels) and any("seed 1" in label for label in labels)
    assert not [label for label in labels if "test items" in label or "test gold" in label]


@pytest.mark.slow
def test_a_budget_is_of_dev_at_half_once_and_twice_the_steps(toy: tuple[Suite, dict[str, Any], Inline]) -> None:
    suite, where, inline = toy
    before = len(inline.asked)
    look = look_at_suite(suite, gap=True, budget=True, **where)
    found = {(one.arm, one.factor): one for one in look.domains[0].budget}
    steps = suite.domains[0].student.steps
    assert list(found) == [(arm, factor) for arm in ("ceiling", "naive") for factor in (0.5, 1.0, 2.0)]
    assert [one.steps for one in found.values()] == 2 * [steps // 2, steps, 2 * steps]
    assert look.ok and look.domains[0].gap is not None
    assert found["ceiling", 1.0].accuracy == pytest.approx(look.domains[0].gap.ceiling), "the suite's own steps"
    for (arm, factor), one in found.items():
        if factor == 2:
            assert (one.more, one.within, one.verdict) == (None, None, None)
        else:
            assert one.more == pytest.approx(found[arm, 2 * factor].accuracy - one.accuracy)
            assert one.within is not None and one.verdict == verdict(one.more)
    assert len({one.accuracy for one in found.values()}) > 2, "other steps make other students"
    asked = inline.asked[before:]
    assert not [stage.label for stage in asked if "test items" in stage.label or "test gold" in stage.label]
    trained = {stage.node for stage in asked if stage.name == "train" and "teacher" not in stage.label}
    assert len(trained) == 12, "two seeds of two arms at three budgets; the gap's are among them"


@pytest.mark.slow
def test_a_budget_needs_dev_items(toy: tuple[Suite, dict[str, Any], Inline]) -> None:
    suite, where, _ = toy
    with pytest.raises(SuiteError, match=r"has 5 dev items, and steps are looked at on dev alone.* leave out --budget"):
        look_at_suite(changed(suite, dev=5), gap=False, budget=True, **where)


@pytest.mark.slow
def test_twice_the_steps_may_be_more_than_a_model_takes_and_nothing_is_computed_then(
    toy: tuple[Suite, dict[str, Any], Inline],
) -> None:
    suite, where, inline = toy
    content, before = suite.model_dump(), len(inline.asked)
    content["domains"][0]["student"]["steps"] = 6 * 10**7
    with pytest.raises(SuiteError, match=r"60000000 steps, and the 120000000 .* leave out --budget"):
        look_at_suite(Suite.model_validate(content), gap=True, budget=True, **where)
    assert len(inline.asked) == before


@pytest.mark.slow
def test_a_budget_is_kept_beside_a_board_of_its_suite_and_of_no_other(
    toy: tuple[Suite, dict[str, Any], Inline], tmp_path: Path
) -> None:
    suite, where, inline = toy
    board = execute.execute(
        execute.make_plan(suite, trust=()),
        out=tmp_path,
        store=where["store"].root,
        executor=inline,
        events=where["events"],
    ).folder
    before = len(inline.asked)
    with pytest.raises(CellError, match=rf"{board} is the board of suite 'toy' .*not of 'toy'"):
        look_at_suite(changed(suite, dev=29), gap=False, budget=True, keep=board, **where)
    assert not [stage for stage in inline.asked[before:] if stage.name == "train"], "told before anything is trained"

    look = look_at_suite(suite, gap=False, budget=True, keep=board, **where)
    assert look.kept == str(board / BUDGET)
    (shown,) = read_budgets(board).shown().domains  # type: ignore[union-attr]
    assert (shown.items, shown.budgets) == (30, look.domains[0].budget), "what was told is what is kept"
    assert [finding.rule for finding in check(board).errors] == ["pages"]
    assert "steps enough" not in (board / "README.md").read_text()
    write_leaderboard(board)
    assert "steps enough" in (board / "README.md").read_text() and not check(board).errors
    kept = (board / BUDGET).read_bytes()
    look_at_suite(suite, gap=False, budget=True, keep=board, **where)
    assert (board / BUDGET).read_bytes() == kept, "the same students, the same bytes"
    asked = inline.asked[before:]
    assert not [stage.label for stage in asked if "test items" in stage.label or "test gold" in stage.label]


def test_a_budget_is_of_one_hop_where_there_is_a_chain() -> None:
    chained = load_suite("tiny-chain")
    cells = on_dev.planned_for(chained, Registry.load(), ["w2s-bench/knowledge"], ("ceiling", "naive")).cells
    assert sorted(cell.row for cell in cells) == ["knowledge/ceiling", "knowledge/naive"]


@pytest.mark.slow
def test_the_verbs(toy: tuple[Suite, dict[str, Any], Inline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, where, inline = toy
    monkeypatch.setattr(execute, "local_executor", lambda *_: inline)
    spec, file = suite.domains[0], tmp_path / "mine.yaml"
    common = ["--store", str(where["store"].root), "--quiet"]
    asked = ["suite", "new", "mine", "--domain", spec.name, "--teacher-recipe", "none", "--out", str(file)]
    assert "--teacher is missing" in runner.invoke(app, [*asked, *common]).output
    asked += ["--teacher", spec.teacher.model, "--student", spec.student.model]
    done = runner.invoke(app, [*asked, *common])
    assert done.exit_code == 0, done.output
    told = f"Is there a gap to recover? w2s-bench suite check {file} --gap --store {where['store'].root}"
    assert told in " ".join(done.output.split())
    nowhere = runner.invoke(app, [*asked[:7], "--out", "/dev/null/x.yaml", *asked[-4:], *common])
    assert nowhere.exit_code == 2 and "there is no folder /dev/null to write x.yaml into" in nowhere.output
    with monkeypatch.context() as full:
        full.setattr(refusals, "unwritable", lambda folder: "Read-only file system")
        nowhere = runner.invoke(app, [*asked[:7], "--out", str(tmp_path / "x.yaml"), *asked[-4:], *common])
    assert nowhere.exit_code == 2 and "takes no file x.yaml: Read-only file system" in " ".join(nowhere.output.split())
    untrained = runner.invoke(app, [*asked, "--student-recipe", "none", *common])
    assert untrained.exit_code == 2 and "'none' is not one of" in untrained.output
    assert load_suite(file).domains[0].student.recipe == "lora"
    assert f"{file} is there already" in runner.invoke(app, [*asked, *common]).output
    wrong = runner.invoke(
        app, [*asked[:2], "Mine", *asked[3:-6], "--out", str(tmp_path / "x.yaml"), *asked[-4:], *common]
    )
    assert wrong.exit_code == 2 and "name: String should match" in wrong.output and not (tmp_path / "x.yaml").exists()
    told = runner.invoke(app, ["suite", "check", str(file), *common])
    assert told.exit_code == 0 and "400" in told.stdout and "80 % power" in told.stdout
    file.write_text(changed(load_suite(file), transfer=5000).to_yaml())
    refused = runner.invoke(app, ["suite", "check", str(file), "--json", *common])
    assert refused.exit_code == 1 and "400 items" in json.loads(refused.stdout)["domains"][0]["fault"]
    (stepped := tmp_path / "stepped.yaml").write_text(suite.to_yaml())  # its students are trained by now
    told = runner.invoke(app, ["suite", "check", str(stepped), "--budget", *common], env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert "Mean accuracy on dev, two seeds" in told.stdout and " at 12 steps than at 6: the ceiling " in told.stdout
    as_json = json.loads(runner.invoke(app, ["suite", "check", str(stepped), "--budget", "--json", *common]).stdout)
    assert [one["steps"] for one in as_json["domains"][0]["budget"]] == 2 * [3, 6, 12]
    assert as_json["domains"][0]["gap"] is None
    alone = runner.invoke(app, ["suite", "check", str(stepped), "--keep", str(tmp_path), *common])
    assert alone.exit_code == 2 and "--keep is for what --budget finds" in alone.output
    nowhere = runner.invoke(app, ["suite", "check", str(stepped), "--budget", "--keep", str(tmp_path), *common])
    assert nowhere.exit_code == 2 and "no cell files in" in nowhere.output
