"""A suite at other coverages and gold budgets: what each point changes, what it shares, and how all are shown together."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from cell_builder import change, make_cells, write_cells
from support import run_inline, toy_environment, toy_registry, toy_suite
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError, SuiteError
from w2s_bench.names import CURVES
from w2s_bench.protocol.files import ITEMS
from w2s_bench.record import read_records
from w2s_bench.results.board import Gain
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.rules import check
from w2s_bench.results.curve_pages import KEPT, PLOTS, read_curves, write_curves
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.pages.curve_page import curve_page
from w2s_bench.results.pages.curve_plot import arm_strokes, draw_curve
from w2s_bench.results.pages.strokes import DOTTED
from w2s_bench.results.republished import compare_pages
from w2s_bench.results.statistics import Estimate
from w2s_bench.runs.curves import plan_points, points
from w2s_bench.runs.execute import make_plan
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.suite import Suite
from w2s_bench.suite_files import read_results_suite
from w2s_bench.types import Item

TRUST = ["confidence", "aum", "probe:folds=3", "verifier"]
LEARN_FROM_GOLD = {"gold_trust_set", "naive_plus_gold", "probe@folds=3", "verifier"}


def changed(one: Plan, other: Plan) -> set[str]:
    """The arms of the first domain whose cells are made of other stages."""
    nodes = [{cell.row: [stage.node for stage in cell.targets()] for cell in each.cells} for each in (one, other)]
    assert nodes[0].keys() == nodes[1].keys()
    rows = {row for row in nodes[0] if nodes[0][row] != nodes[1][row]}
    return {row.rpartition("/")[2] for row in rows}


def test_suites_without_a_budget_are_what_they_were() -> None:
    suite = toy_suite_of(Path("models"))
    assert "gold_budget" not in suite.to_yaml()
    assert suite.at(gold_budget=12).digest != suite.digest == toy_suite_of(Path("models")).digest


def toy_suite_of(models: Path) -> Suite:
    """The toy suite as text: no model is made."""
    training = {"steps": 6, "learning_rate": 1e-3}
    domain = {
        "name": "w2s-bench-toy/largest",
        "version": "1",
        "sizes": {"dev": 30, "test": 40, "weak_train": 60, "trust": 24, "transfer": 100},
        "teacher": {"model": str(models / "teacher"), **training},
        "student": {"model": str(models / "student"), **training},
    }
    return Suite.model_validate({"name": "toy", "version": "1", "seeds": 2, "domains": [domain]})


def test_points_are_suites_called_after_theirs_and_the_own_number_is_none() -> None:
    suite = toy_suite_of(Path("models"))
    made = points(suite, coverages=[0.2, 0.5, 0.8, 0.2], gold_budgets=[6, 12])
    assert [each.name for each in made] == ["toy.gold-6", "toy.gold-12", "toy.coverage-0.2", "toy.coverage-0.8"]
    assert [each.coverage for each in made] == [0.5, 0.5, 0.2, 0.8]
    assert [each.gold_budget for each in made] == [6, 12, None, None]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gold_budget": 24}, "gold_budget 24 is no part of the trust set that domain 'w2s-bench-toy/largest' learns from, of 24"),
        ({"gold_budget": 0}, "gold_budget"),
        ({"coverage": 1.5}, "coverage"),
        ({"coverage": 0.001}, "keeps none"),
    ],
)  # fmt: skip
def test_a_point_that_cannot_be_is_refused_by_name(asked: dict[str, float], said: str) -> None:
    with pytest.raises(SuiteError, match=re.escape(said)):
        toy_suite_of(Path("models")).at(**asked)  # type: ignore[arg-type]
    if "gold_budget" in asked:
        with pytest.raises(ValidationError, match="gold_budget"):
            Suite.model_validate({**toy_suite_of(Path("models")).model_dump(), **asked})


def test_a_budget_changes_what_learns_from_gold_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gold that a smaller budget sees is part of what a larger one sees, and the rest of it lies behind nothing. `aum`, which has a
    student of all weak labels, those of the trust set too, sees no gold and stays what it is."""
    suite, registry = toy_suite(tmp_path / "models", seeds=1), toy_registry(monkeypatch)
    plans = {
        budget: plan(suite.at(gold_budget=budget) if budget else suite, registry, domains=["largest"], trust=TRUST)
        for budget in (None, 6, 12)
    }
    assert changed(plans[None], plans[6]) == changed(plans[6], plans[12]) == LEARN_FROM_GOLD
    store, seen = Store(tmp_path / "store"), {}
    for budget, planned in plans.items():
        graph = planned.cells[0].graphs[0]
        subset, gold = graph.subset("trust"), graph.gold("trust")
        outcomes = run_inline([gold], store, registry)
        seen[budget] = {item.id for item in read_records(outcomes[subset.node].result.path / ITEMS, Item)}  # type: ignore[union-attr]
        behind = [
            stage for stage in walk(planned.targets()) if stage.name == "gold" and stage.params["split"] == "trust"
        ]
        assert {stage.node for stage in behind} == {gold.node}, "all gold of the trust set is of the budget's items"
    assert [len(seen[budget]) for budget in (6, 12, None)] == [6, 12, 24]
    assert seen[6] < seen[12] < seen[None]


def test_a_coverage_changes_what_keeps_a_share_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, registry = toy_suite(tmp_path / "models", seeds=1), toy_registry(monkeypatch)
    own, other = (plan(each, registry, domains=["largest"], trust=TRUST) for each in (suite, suite.at(coverage=0.25)))
    shares = {"random", "oracle", "gold_random", "label_length", "confidence", "aum", "probe@folds=3", "verifier"}
    assert changed(own, other) == shares
    scores = [{stage.node for stage in each.stages() if stage.name == "score"} for each in (own, other)]
    assert scores[0] == scores[1], "only the cut moves"


def with_curves(results: Path) -> Path:
    """A results folder of made-up cells and two boards beside it: better students with more gold, or at another coverage."""
    write_cells(results, make_cells(), make_cells("w2s-bench/chess"))
    suite = read_results_suite(results)
    for point, shift in ((suite.at(gold_budget=10), 0.2), (suite.at(gold_budget=30), 0.1)):
        folder = results / CURVES / point.name
        (folder / "results").mkdir(parents=True)
        (folder / "suite.yaml").write_text(point.to_yaml(), encoding="utf-8")
        for domain in ("w2s-bench/math", "w2s-bench/chess"):
            lower = {"acme/verifier:layer=-1": 0.81 - shift, "gold_trust_set": 0.72 - shift}
            for name, cell in make_cells(domain, accuracies=lower).items():
                at_point(cell, point, name).write(folder)
    write_leaderboard(results)
    return results


def at_point(cell: Cell, point: Suite, arm: str) -> Cell:
    """A made-up cell as one of the point's suite, with as many rows of the trust set as its budget has."""
    here = cell.body.suite.model_copy(update={"name": point.name, "digest": point.digest})
    budget, beside = point.gold_budget or 0, 60
    seeds = []
    for seed in cell.body.seeds:
        if arm in ("gold_trust_set", "naive_plus_gold") and seed.kept is not None:
            kept = seed.kept - beside + budget
            right = (seed.purity or 0.0) * seed.kept - beside + budget
            seed = seed.model_copy(update={"kept": kept, "purity": round(right) / kept})
        seeds.append(seed)
    return change(cell, suite=here, seeds=tuple(seeds))


def test_a_curve_has_its_points_in_order_and_tells_what_moves_from_what_does_not(tmp_path: Path) -> None:
    (curve,) = read_curves(with_curves(tmp_path / "toy"))
    assert curve.about == "gold_budget"
    assert [(point.at, point.words) for point in curve.points] == [(10, "10"), (30, "30"), (60, "all 60")]
    assert set(curve.arms) == {"probe", "acme/verifier:layer=-1", "acme/engine", "gold_trust_set", "naive_plus_gold"}
    assert curve.flat == ("naive", "confidence", "oracle")
    values = [point.row("acme/verifier:layer=-1").mean_pgr.value for point in curve.points]  # type: ignore[union-attr]
    assert values == sorted(values) and values[0] < values[-1]


@pytest.mark.slow
def test_the_page_has_every_point_and_the_board_leads_to_it(tmp_path: Path) -> None:
    results = with_curves(tmp_path / "toy")
    assert "curves/README.md" not in (results / "README.md").read_text()
    page = write_curves(results)
    assert page == results / CURVES / "README.md"
    text = page.read_text()
    for head in (
        "10 gold labels",
        "30 gold labels",
        "all 60",
        "](toy.gold-10/README.md)",
        "](../README.md)",
        "](gold.svg)",
    ):
        assert head in text
    (curve,) = read_curves(results)
    for point in curve.points:
        row = point.row("gold_trust_set")
        assert row is not None and f"{row.mean_pgr.value:.2f} [" in text  # type: ignore[union-attr]
    assert "coverage.svg" not in text and not (results / CURVES / "coverage.svg").exists()
    before = {path: path.read_bytes() for path in (page, results / CURVES / "gold.svg")}
    write_curves(results)
    assert before == {path: path.read_bytes() for path in before}, "the same bytes from the same cells"
    write_leaderboard(results)
    assert "(curves/README.md)" in (results / "README.md").read_text()
    assert {verdict.verdict for verdict in compare_pages(results, read_cells_of(results))} == {"identical"}


def read_cells_of(results: Path) -> list[Cell]:
    from w2s_bench.results.belief import read_results

    return read_results(results)[1]


def test_the_page_tells_what_trusted_labels_are_worth_beside_the_gold_where_a_run_was_decomposed(
    tmp_path: Path,
) -> None:
    (curve,) = read_curves(with_curves(tmp_path / "toy"))
    kept = "`kept_plus_gold`, the student of an arm's rows and the gold of the budget together, to `gold_trust_set`"
    assert kept not in curve_page("toy", (curve,), PLOTS, KEPT), "a usual run has none of them"
    worth = {"10 gold labels": 0.3, "all 60": 0.05}  # the point of 30 was not decomposed
    boards = {
        point.words: replace(
            point.board,
            gains=(
                Gain(
                    "confidence", {"labels": Estimate(value, value - 0.02, value + 0.02, df=2, seeds=2, items=300)}, {}
                ),
            ),
        )
        for point, value in zip((curve.points[0], curve.points[2]), worth.values(), strict=True)
    }
    points = tuple(replace(point, board=boards.get(point.words, point.board)) for point in curve.points)
    page = curve_page("toy", (replace(curve, points=points, own=boards["all 60"]),), PLOTS, KEPT)
    table = page.partition(kept)[2].partition("\n\n")[2].partition("\n\n")[0]
    cells = [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]]
    assert cells == ["confidence", "none", "+0.30 [0.28, 0.32]", "–", "+0.05 [0.03, 0.07]"]
    assert page.count("`kept_plus_gold`") == 1, "no table of what no board has"
    # An arm of another selection is no row of the ranking, and has its gain all the same.
    row = replace(curve.row_of("confidence"), arm="confidence@balanced")
    boards = {
        words: replace(board, other_selections=(row,), gains=(replace(board.gains[0], arm="confidence@balanced"),))
        for words, board in boards.items()
    }
    points = tuple(replace(point, board=boards.get(point.words, point.board)) for point in curve.points)
    page = curve_page("toy", (replace(curve, points=points, own=boards["all 60"]),), PLOTS, KEPT)
    assert "balanced" in page.partition(kept)[2], page
    # What one point alone has is no curve.
    alone = (curve.points[0], *points[1:])
    page = curve_page("toy", (replace(curve, points=alone, own=boards["all 60"]),), PLOTS, KEPT)
    assert "`kept_plus_gold`" not in page


def test_a_plot_dots_what_is_the_same_at_every_point_and_tells_of_what_lies_off_its_axis(tmp_path: Path) -> None:
    (curve,) = read_curves(with_curves(tmp_path / "toy"))
    looks = arm_strokes(curve)
    assert {arm for arm, look in looks.items() if look.dash == DOTTED} == set(curve.flat)
    assert len({(look.marker, look.filled, look.dash) for look in looks.values()}) == len(looks)
    text = draw_curve(curve)
    assert "<!-- dotted, open marks: the same at every point -->" in text
    dotted = [style for style in re.findall(r"stroke-dasharray: ([\d.]+),", text) if float(style) < 1.5]
    assert len(dotted) == 2 * len(curve.flat) + 1, "a line each, the piece beside its name, and the legend"
    assert curve.base is not None and curve.base < -0.6
    assert f"base −{-curve.base:.2f}, off the axis" in text
    assert all(f"<!-- {arm} -->" in text for arm in looks)


def test_a_folder_of_another_suite_is_no_point(tmp_path: Path) -> None:
    results = with_curves(tmp_path / "toy")
    write_cells(results / CURVES / "other", make_cells(), make_cells("w2s-bench/chess"))
    with pytest.raises(CellError, match=r"no point of a curve of suite 'toy'.*nothing else"):
        write_curves(results)


def errors(results: Path) -> list[tuple[str, str]]:
    return [(f.rule, f.file) for f in check(results).errors]


@pytest.mark.slow
def test_check_looks_at_each_point_and_at_the_page_about_them_all(tmp_path: Path) -> None:
    results = with_curves(tmp_path / "toy")
    points = sorted(path for path in (results / CURVES).iterdir())
    write_curves(results)
    for board in (results, *points):
        write_leaderboard(board)
    assert errors(results) == []

    page = results / CURVES / "README.md"
    page.write_text(page.read_text().replace("Mean PGR over", "Median PGR over"))
    (results / CURVES / "coverage.svg").write_text("<svg/>")
    found = {f.file: f for f in check(results).errors}
    assert set(found) == {"curves/README.md", "curves/coverage.svg"}
    assert found["curves/README.md"].rule == "curves" and "not what the cells give" in found["curves/README.md"].found
    assert "no page of these curves" in found["curves/coverage.svg"].found
    assert CliRunner().invoke(app, ["leaderboard", str(results)]).exit_code == 0
    assert errors(results) == []

    (points[0] / "README.md").write_text("our method wins")
    assert errors(results) == [("pages", "curves/toy.gold-10/README.md")]
    write_leaderboard(points[0])
    cell = points[1] / "results/math/confidence.json"
    cell.write_text(cell.read_text().replace('"accuracy": 0.', '"accuracy": 1.', 1))
    (finding,) = check(results).errors
    assert (finding.rule, finding.file) == ("cell", "curves/toy.gold-30/results/math/confidence.json")
    assert finding.row == "toy.gold-30: math/confidence"


@pytest.mark.slow
def test_check_tells_of_folders_that_are_no_points_and_follows_no_link(tmp_path: Path) -> None:
    results = with_curves(tmp_path / "toy")
    for board in (results, *(results / CURVES).iterdir()):
        write_leaderboard(board)
    write_cells(results / CURVES / "other", make_cells(), make_cells("w2s-bench/chess"))
    write_leaderboard(results / CURVES / "other")
    (finding,) = check(results).errors
    assert finding.rule == "curves" and "curves/other is no point of a curve of suite 'toy'" in finding.found
    (results / CURVES).rename(tmp_path / "elsewhere")
    (results / CURVES).symlink_to(tmp_path / "elsewhere")
    assert ("curves", "curves") in errors(results)


@pytest.mark.slow
def test_purity_and_accuracy_are_drawn_by_coverage_and_not_by_gold(tmp_path: Path) -> None:
    results = write_cells(tmp_path / "toy", make_cells(), make_cells("w2s-bench/chess"))
    suite = read_results_suite(results)
    point = suite.at(coverage=0.25)
    folder = results / CURVES / point.name
    (folder / "results").mkdir(parents=True)
    (folder / "suite.yaml").write_text(point.to_yaml(), encoding="utf-8")
    for domain in ("w2s-bench/math", "w2s-bench/chess"):
        for cell in make_cells(domain).values():
            at_coverage(cell, point).write(folder)
    page = write_curves(results)
    assert page is not None and "](purity.svg)" in page.read_text()
    drawn = (results / CURVES / "purity.svg").read_text()
    assert drawn.startswith("<?xml") and "prefers-color-scheme: dark" in drawn
    write_curves(results)
    assert drawn == (results / CURVES / "purity.svg").read_text(), "the same bytes from the same cells"


def at_coverage(cell: Cell, point: Suite) -> Cell:
    """A made-up cell of half the pool as one of a quarter: as many labels of a hundred are right."""
    seeds = []
    for seed in cell.body.seeds:
        if cell.body.arm.coverage == 0.5 and seed.kept is not None:
            kept = seed.kept // 2
            right = None if seed.purity is None else round(seed.purity * kept) / kept
            told = {name: value for name, value in seed.diagnostics.items() if name not in ("kept_by_stratum", "auroc")}
            fields = {"kept": kept, "coverage": kept / 400, "purity": right, "diagnostics": told}
            seed = seed.model_copy(update=fields)
        seeds.append(seed)
    arm = cell.body.arm
    arm = arm.model_copy(update={"coverage": 0.25}) if arm.coverage == 0.5 else arm
    here = cell.body.suite.model_copy(update={"name": point.name, "digest": point.digest})
    return change(cell, suite=here, arm=arm, seeds=tuple(seeds))


def test_a_folder_without_curves_has_no_page(tmp_path: Path) -> None:
    results = write_cells(tmp_path / "toy", make_cells())
    assert write_curves(results) is None and not (results / CURVES).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--coverage", ".2,half"], "'half' is not a number above 0"),
        (["--gold-budget", "2.5"], "'2.5' is not a whole number"),
        (["--gold-budget", "9999"], "gold_budget 9999 is no part of the trust set"),
        (["--coverage", "0"], "coverage"),
        (["--seeds", "1001"], "--seeds 1001: a run has 1 to 1000 seeds, a whole number"),
        (["--seeds", "1001", "--explain"], "--seeds 1001: a run has 1 to 1000 seeds, a whole number"),
        (["--coverage", ".2", "--executor", "slurm"], "--executor slurm returns at once"),
        (["--coverage", ".2", "--dry-run", "--json"], "--json tells of one board"),
    ],
)
def test_numbers_that_cannot_be_are_told_before_anything_runs(options: list[str], said: str, tmp_path: Path) -> None:
    call = ["run", "tiny", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"), *options]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 2 and said in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_what_boards_share_is_counted_once(tmp_path: Path) -> None:
    """A later board finds in the store what an earlier one of the same call has computed."""
    own = make_plan("tiny", domains=["knowledge"], trust=["verifier"], seeds=1)
    beside = plan_points(own, coverages=[0.2], gold_budgets=[25], domains=["knowledge"], trust=["verifier"])
    new, before = list[int](), set[str]()
    for each in (own, *beside):
        nodes = {stage.node for stage in each.stages()}
        new.append(len(nodes - before))
        before |= nodes
    call = ["run", "tiny", "--domain", "knowledge", "--trust", "verifier", "--seeds", "1", "--coverage", ".2"]
    call += ["--gold-budget", "25", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    told = CliRunner().invoke(app, [*call, "--dry-run"], env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert [int(line.split()[2]) for line in told.stdout.splitlines() if line.split()[:1] == ["all"]] == new
    assert len(before) > max(new) and "stages are computed by the boards before this one" in told.stdout
    explained = CliRunner().invoke(app, [*call, "--explain"]).stdout
    missing = [line for line in explained.splitlines() if line.startswith(("to run ", "waits "))]
    assert len(missing) == sum(new) and "by a board before this one" in explained


@pytest.mark.slow
def test_a_run_writes_a_board_a_point_that_stands_by_itself(tmp_path: Path) -> None:
    content = toy_suite(tmp_path / "models", seeds=1).model_dump(mode="json")
    path = tmp_path / "curved.yaml"
    path.write_text(Suite.model_validate({**content, "domains": content["domains"][:1]}).to_yaml(), encoding="utf-8")
    how = ["--trust", "verifier", "--decompose", "--out", tmp_path, "--store", tmp_path / "store", "--workers", "1"]
    curves = ["--coverage", ".25,.5", "--gold-budget", "12"]
    told = w2s("run", path, *how, *curves, "--dry-run")
    assert told.returncode == 0 and all(
        name in told.stdout for name in ("toy 1", "toy.gold-12 1", "toy.coverage-0.25 1")
    )
    done = w2s("run", path, *how, *curves)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "toy"
    text = (folder / CURVES / "README.md").read_text()
    assert "## Gold budget" in text and "## Coverage" in text and "curves/README.md" in done.stdout
    for name in ("toy.gold-12", "toy.coverage-0.25"):
        assert (folder / CURVES / name / "results/w2s-bench-toy.largest/kept_plus_gold@verifier.json").is_file()
        assert [f for f in check(folder / CURVES / name).findings if f.level == "error"] == []
    boards = (folder, folder / CURVES / "toy.gold-12")
    weak = [
        json.loads((each / "results/w2s-bench-toy.largest/weak.json").read_text())["body"]["seeds"] for each in boards
    ]
    assert weak[0] == weak[1]
    again = w2s("leaderboard", folder)
    assert again.returncode == 0 and (folder / CURVES / "README.md").read_text() == text


def w2s(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that has the toy plugin."""
    command = [sys.executable, "-m", "w2s_bench", *map(str, arguments)]
    return subprocess.run(command, env=toy_environment(), capture_output=True, text=True, timeout=400)
