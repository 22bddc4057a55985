"""A budget file beside a board: its table, what it says of the ceiling, and what `check` refuses in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cell_builder import change, make_cells, write_cells
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError
from w2s_bench.names import BUDGET
from w2s_bench.record import pack_bits
from w2s_bench.results import budgets
from w2s_bench.results.belief import read_results
from w2s_bench.results.budget_files import BudgetFile, read_budgets, steps_at
from w2s_bench.results.budgets import FACTORS
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.rules import check
from w2s_bench.results.clusters import Clusters
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.pages.budget_section import gained
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.suite import Suite

DOMAINS = ("w2s-bench/chess", "w2s-bench/math")
ITEMS = 300
#: (domain, arm) → accuracies at half, once and twice the steps.
LEVELS = {
    (DOMAINS[0], "ceiling"): (0.7, 0.8, 0.8),
    (DOMAINS[0], "naive"): (0.5, 0.6, 0.55),
    (DOMAINS[1], "ceiling"): (0.5, 0.8, 0.9),
    (DOMAINS[1], "naive"): (0.4, 0.5, 0.51),
}


def answered(accuracy: float, clusters: Clusters | None = None) -> Callable[[Cell], Cell]:
    """A made-up cell, answered on two seeds: the first items right, on one seed a few fewer than on the other."""

    def of(cell: Cell) -> Cell:
        seeds = []
        for seed, few in enumerate((-3, 3)):
            right = np.arange(ITEMS) < round(accuracy * ITEMS) + few
            seeds.append(SeedResult(seed=seed, accuracy=float(right.mean()), correct=pack_bits(right)))
        changed = change(cell, seeds=tuple(seeds), clusters=clusters)
        return Cell.of(changed.body, {"packages": {"torch": "2.13.0"}, "machines": ["x86_64"]})

    return of


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A results folder with a page, and no budget."""
    results = write_cells(tmp_path / "toy", *(make_cells(domain) for domain in DOMAINS))
    write_leaderboard(results)
    return results


def budget_of(results: Path, clusters: Clusters | None = None) -> BudgetFile:
    """Budgets of the board's suite at `LEVELS`."""
    suite, cells = read_results(results)
    model = {c.body.domain.name: c for c in cells if c.body.arm.name == "ceiling"}
    made = {
        (domain, arm, factor): answered(level, clusters)(model[domain])
        for (domain, arm), levels in reversed(LEVELS.items())  # in no order that a file has
        for factor, level in zip(FACTORS, levels, strict=True)
    }
    return BudgetFile.of(suite, made)


def errors(results: Path) -> list[tuple[str, str, str]]:
    return [(f.rule, f.file, f.found) for f in check(results).errors]


@pytest.mark.slow
def test_a_board_shows_its_budget_and_leads_nobody_to_it_without(board: Path) -> None:
    without = (board / "README.md").read_bytes()
    assert b"steps enough" not in without and "budget" not in board_as_json(write_leaderboard(board))
    budget_of(board).write(board)
    told = board_as_json(write_leaderboard(board))["budget"]
    assert told["seeds"] == 2 and [one["domain"] for one in told["domains"]] == ["chess", "math"]
    page = (board / "README.md").read_text()
    table = page.partition("## Are the steps enough?")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")][2:]
    assert [row[:6] for row in rows] == [
        ["chess", "`ceiling`", "10", "0.700", "0.800", "0.800"],
        ["chess", "`naive`", "10", "0.500", "0.600", "0.550"],
        ["math", "`ceiling`", "10", "0.500", "0.800", "0.900"],
        ["math", "`naive`", "10", "0.400", "0.500", "0.510"],
    ]
    assert [row[-1] for row in rows] == ["flat", "falls", "rises", "flat"]
    assert (
        rows[0][6] == "0.000 ± 0.000" and rows[1][6].startswith("−0.050 ± 0.0") and rows[2][6].startswith("+0.100 ± ")
    )
    assert "The ceiling is flat in chess. **The ceiling rises in math**" in table
    assert "300 `dev` items (none of `test`) of 2 seeds" in table
    assert errors(board) == []
    (board / BUDGET).unlink()
    write_leaderboard(board)
    assert (board / "README.md").read_bytes() == without


def test_the_page_is_what_cells_and_budget_give(board: Path) -> None:
    budget_of(board).write(board)
    assert [(rule, file) for rule, file, _ in errors(board)] == [("pages", "README.md")]
    assert CliRunner().invoke(app, ["leaderboard", str(board)]).exit_code == 0
    assert errors(board) == []


def test_equal_students_give_equal_bytes_and_say_where_they_were_made(board: Path) -> None:
    first = budget_of(board).write(board).read_bytes()
    assert budget_of(board).write(board).read_bytes() == first
    read = read_budgets(board)
    assert read == budget_of(board)
    assert read is not None and read.suite == read_results(board)[0].digest
    assert (read.split, read.seeds, read.packages, read.machines) == ("dev", (0, 1), {"torch": "2.13.0"}, ("x86_64",))


def change_file(results: Path, change: Callable[[Any], object]) -> None:
    content = json.loads((results / BUDGET).read_text())
    change(content)
    (results / BUDGET).write_text(json.dumps(content))


def student(content: Any, **fields: Any) -> None:
    content["domains"][1]["students"][1].update(fields)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(suite="0" * 64), "it is about a suite of digest 000000000000, suite.yaml has"),
        (lambda c: student(c, accuracies=[0.8, 1.2]), "less than or equal to 1"),
        (lambda c: student(c, accuracies=[-0.1, 0.8]), "greater than or equal to 0"),
        (lambda c: student(c, accuracies=[0.8, float("nan")]), "NaN is no JSON"),
        (lambda c: student(c, accuracies=[0.79, 0.80]), "accuracy 0.8 and the bits of correct (243 of 300 items) disagree"),
        (lambda c: student(c, accuracies=[0.79]), "ceiling has 1 accuracies and bits of 2 seeds"),
        (lambda c: student(c, correct=["ff", "ff"]), "cannot hold 300 bits"),
        (lambda c: student(c, steps=11), "took [5, 11, 20, 5, 10, 20] steps; half, once and twice the suite's are [5, 10, 20"),
        (lambda c: student(c, arm="oracle"), "arm is 'oracle'; expected ceiling or naive"),
        (lambda c: c["domains"][1]["students"].pop(), "expected 3 of each of ceiling, naive"),
        (lambda c: c["domains"].pop(), "it has domains chess; the suite has chess, math"),
        (lambda c: c["domains"].append(c["domains"][0]), "domain w2s-bench/chess stands twice"),
        (lambda c: c.update(seeds=[0, 1, 2]), "has 2 seeds, of 3"),
        (lambda c: c.update(seeds=[1, 2]), "seeds are 0 to 1"),
        (lambda c: c.update(split="test"), "Input should be 'dev'"),
        (lambda c: c.update(factors=[0.5, 1.0, 4.0]), "factors are (0.5, 1.0, 4.0)"),
        (lambda c: c["domains"][0]["student"].update(fingerprint="f" * 64), "chess: it has another student (fingerprint ffffffffffff)"),
        (lambda c: c["domains"][0]["teacher"].update(name="acme/x"), "chess: it has teacher 'acme/x', the suite's domain"),
        (lambda c: c.update(test=0.9), "Extra inputs are not permitted"),
        (lambda c: c.update(schema="w2s-bench/budget/9"), "Input should be 'w2s-bench/budget/1'"),
    ],
)  # fmt: skip
def test_check_refuses_what_cannot_be(board: Path, change: Callable[[Any], object], said: str) -> None:
    budget_of(board).write(board)
    write_leaderboard(board)
    change_file(board, change)
    found = [fact for rule, file, fact in errors(board) if (rule, file) == ("budget", BUDGET)]
    assert len(found) == 1 and said in found[0]


def test_items_are_as_many_as_dev_has(board: Path) -> None:
    content = read_results(board)[0].model_dump()
    content["domains"][1]["sizes"]["dev"] = 299
    suite = Suite.model_validate(content)
    faults = list(budget_of(board).model_copy(update={"suite": suite.digest}).faults(suite))
    assert faults == ["math: it has 300 dev items, the suite 299"]


def test_a_link_is_not_followed_and_a_page_is_not_made_of_what_is_contradicted(board: Path, tmp_path: Path) -> None:
    elsewhere = budget_of(board).write(tmp_path)
    (board / BUDGET).symlink_to(elsewhere)
    with pytest.raises(CellError, match=r"budget\.json is no budget.*a link"):
        write_leaderboard(board)
    assert errors(board)[0][:2] == ("budget", BUDGET)
    (board / BUDGET).unlink()
    budget_of(board).write(board)
    change_file(board, lambda c: student(c, steps=11))
    with pytest.raises(CellError, match=r"math: its students took .* steps"):
        write_leaderboard(board)


def test_a_board_whose_suite_has_changed_does_not_show_what_was_found_before(board: Path) -> None:
    """As after `run --seeds` with more: a run writes its page, and `check` says that the file is of before."""
    write_leaderboard(board)
    without = (board / "README.md").read_bytes()
    budget_of(board).model_copy(update={"suite": "1" * 64}).write(board)
    write_leaderboard(board)
    assert (board / "README.md").read_bytes() == without
    assert [(rule, file) for rule, file, _ in errors(board)] == [("budget", BUDGET)]


def test_intervals_are_over_clusters(board: Path) -> None:
    ends = [name < ITEMS // 2 for name in range(ITEMS)]
    alone, two = (budget_of(board, clusters).shown() for clusters in (None, Clusters.of(ends)))
    widths = [shown.domains[1].at("ceiling", 1.0).within for shown in (alone, two)]
    assert widths[0] is not None and widths[1] is not None and widths[1] > 3 * widths[0]
    assert alone.domains[1].at("ceiling", 1.0).more == two.domains[1].at("ceiling", 1.0).more


def test_steps_of_a_budget_are_whole_and_at_least_one(board: Path) -> None:
    suite, _ = read_results(board)
    spec = suite.domains[0]
    assert [steps_at(spec, factor) for factor in FACTORS] == [5, 10, 20]
    content = spec.model_dump()
    content["student"]["steps"] = 1
    assert [steps_at(type(spec).model_validate(content), factor) for factor in FACTORS] == [1, 1, 2]


def test_one_point_is_flat_and_more_is_not() -> None:
    assert [budgets.verdict(more) for more in (0, 4 / 400, -4 / 400)] == ["flat"] * 3
    assert [budgets.verdict(more) for more in (5 / 400, -5 / 400)] == ["rises", "falls"]


def test_half_widths_count_clusters() -> None:
    gain = np.array([1.0, 0.0, 0.0, 0.0, -1.0, 0.5, 0.0, 0.0])
    alone = budgets.half_width(gain, None)
    assert alone == pytest.approx(1.96 * gain.std(ddof=1) / np.sqrt(len(gain)))
    assert budgets.half_width(gain, np.arange(8)[::-1]) == pytest.approx(alone)
    # Each item twice is no more evidence than once.
    assert budgets.half_width(np.repeat(gain, 2), np.repeat(np.arange(8), 2)) == pytest.approx(alone)
    assert budgets.half_width(gain, np.zeros(8, dtype=np.int64)) is None, "one cluster has no spread to tell"


def test_what_is_not_known_is_a_dash() -> None:
    assert gained(None, None) == "–"
    assert gained(0.0123, None) == "+0.012 ± –"
    assert gained(-0.0001, 0.02) == "0.000 ± 0.020"
