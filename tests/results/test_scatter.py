"""PGR against purity, AUROC and cost: known answers, names that never lie over each other, nothing where there is nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from cell_builder import TRUST, make_cells, write_cells
from w2s_bench.names import AGAINST
from w2s_bench.results.board import Leaderboard, Row
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.rules import check
from w2s_bench.results.leaderboard import build, write_leaderboard
from w2s_bench.results.pages.labels import around, of_text, placed, width_of
from w2s_bench.results.pages.scatter import LEAST, Spot, correlation, framed, frontier, kinds, panels, spots
from w2s_bench.results.pages.scatter_plot import draw_against
from w2s_bench.results.pages.sections import goes_with
from w2s_bench.results.report.reading import read_folder
from w2s_bench.results.statistics import Estimate, spearman

SVG = "{http://www.w3.org/2000/svg}"


def with_cost(cells: dict[str, Cell], device: str = "cpu") -> dict[str, Cell]:
    """Cells that say what they took: the n-th of them n minutes by the clock, and a third of that of processors."""
    return {
        arm: Cell.of(cell.body, {"device": device, "cost": {"seconds": 60.0 * n, "cpu_seconds": 20.0 * n}})
        for n, (arm, cell) in enumerate(cells.items(), 1)
    }


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    cells = [with_cost(make_cells(domain)) for domain in ("w2s-bench/math", "w2s-bench/chess")]
    return build([cell for each in cells for cell in each.values()], Path("somewhere"), "Two *made-up*\ndomains.")


def made_up(values: list[float], pgrs: list[float], row: Row) -> list[Spot]:
    pairs = enumerate(zip(values, pgrs, strict=True))
    return [
        Spot(replace(row, arm=f"f{n}", track="none"), "math", value, Estimate(pgr, pgr - 1, pgr + 1, 9.0, 3, 9))
        for n, (value, pgr) in pairs
    ]


def test_a_panel_has_every_arm_with_a_figure_and_means_are_over_domains(board: Leaderboard) -> None:
    purity, auroc, cost = kinds(board)
    assert cost.across.startswith("processor seconds")
    told = panels(board, purity)
    assert list(told) == ["chess", "math", "mean of 2 domains"]
    assert {spot.row.arm for spot in told["math"]} == {
        r.arm for r in board.rows if r.entries["math"].purity is not None
    }
    mean = next(spot for spot in told["mean of 2 domains"] if spot.row.arm == "probe")
    assert mean.value == pytest.approx(sum(board_purity(mean.row, name) for name in ("math", "chess")) / 2)
    assert {spot.row.arm for spot in panels(board, auroc)["math"]} == {
        row.arm for row in board.rows if not row.is_control
    }
    dear = next(spot for spot in panels(board, cost)["mean of 2 domains"] if spot.row.arm == "probe")
    assert dear.value == pytest.approx(dear.row.entries["math"].seconds / 3)  # type: ignore[operator]


def board_purity(row: Row, domain: str) -> float:
    purity = row.entries[domain].purity
    assert purity is not None
    return purity


def test_what_another_device_did_is_counted_by_the_clock() -> None:
    cells = with_cost(make_cells(), device="cuda")
    board = build(cells.values(), Path("somewhere"))
    *_, cost = kinds(board)
    assert cost.across.startswith("seconds")
    assert [spot.value for spot in spots(board.rows, "math", cost)] == [
        row.entries["math"].seconds for row in board.rows
    ]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-5, 9)), min_size=LEAST, max_size=12))
def test_the_correlation_is_spearmans_and_the_frontier_is_undominated(pairs: list[tuple[int, int]]) -> None:
    row = build(make_cells(arms=["weak", "ceiling", "base", "naive"]).values(), Path("x")).rows[0]
    values, pgrs = ([float(v) for v in side] for side in zip(*pairs, strict=True))
    here = made_up(values, pgrs, row)
    told = correlation(here)
    assert (told is None) == (len(set(values)) < 2 or len(set(pgrs)) < 2)
    if told is not None:
        assert told[0] == pytest.approx(spearmanr(values, pgrs).statistic)
        assert told[1] == len(pairs)
    best = frontier(here)
    assert [spot.pgr.value for spot in best] == sorted({spot.pgr.value for spot in best})
    for spot in here:
        no_worse = [kept for kept in best if kept.value <= spot.value and kept.pgr.value >= spot.pgr.value]
        assert no_worse, "every arm is on the frontier or outdone from there"
        better = [o for o in here if o.value <= spot.value and o.pgr.value > spot.pgr.value]
        assert not (better and spot in best)


def test_values_that_only_the_order_of_a_sum_tells_apart_are_one() -> None:
    purities = np.array([(0.1 + 0.2) + 0.3, 0.1 + (0.2 + 0.3), 0.7, 0.2])
    assert purities[0] != purities[1]
    told = spearman(purities, np.array([1.0, 2.0, 3.0, 0.0]))
    assert told == pytest.approx(spearmanr([0.6, 0.6, 0.7, 0.2], [1, 2, 3, 0]).statistic)


def test_few_functions_and_controls_make_no_correlation(board: Leaderboard) -> None:
    here = panels(board, kinds(board)[0])["math"]
    functions = [spot for spot in here if not spot.row.is_control]
    assert correlation(here) == correlation(functions) is not None
    assert correlation(functions[: LEAST - 1]) is None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(40, 400), st.floats(40, 250)), min_size=1, max_size=70), st.integers(1, 30))
def test_no_name_lies_over_another_or_over_a_mark(marks: list[tuple[float, float]], length: int) -> None:
    names = [f"{n}".rjust(length, "x") for n in range(len(marks))]
    edges = (40.0, 420.0, 30.0, 260.0)
    labels = placed(names, marks, edges, range(len(marks)), len(marks) // 2)
    boxes = [of_text(label.text, label.x, label.y) for label in labels]
    for n, box in enumerate(boxes):
        assert box.left >= edges[0] - 0.1 and box.right <= edges[1] + 0.1
        assert box.top >= edges[2] - 0.1 and box.bottom <= edges[3] + 0.1
        grown = replace(box, left=box.left + 0.2, right=box.right - 0.2, top=box.top + 0.2, bottom=box.bottom - 0.2)
        assert not any(grown.meets(other) for m, other in enumerate(boxes) if m != n)
        assert not any(grown.meets(around(mark)) for mark in marks)
    assert len({label.of for label in labels}) == len(labels)


def test_names_keep_off_lines_and_off_other_marks_where_there_is_room() -> None:
    edges = (40.0, 420.0, 30.0, 260.0)
    line = (220.0, 30.0, 220.0, 260.0)
    assert [label.x > 200 for label in placed(["probe"], [(200.0, 100.0)], edges, [0], 1)] == [True]
    (label,) = placed(["probe"], [(200.0, 100.0)], edges, [0], 1, lines=[line])
    assert label.x + width_of("probe") < 200, "left of its mark, where no line is in the way"
    assert not of_text("probe", label.x, label.y).is_crossed_by(line)
    walls = [(x, 30.0, x, 260.0) for x in range(45, 420, 10)]
    assert len(placed(["probe"], [(200.0, 100.0)], edges, [0], 1, lines=walls)) == 1, "on a line rather than nowhere"
    first, second = placed(["naive_plus_gold", "noisy_oracle"], [(203.0, 121.0), (200.0, 104.0)], edges, [0, 1], 2)
    assert first.y > second.y and not first.far and not second.far, "each at the height of its own mark"


def test_the_legend_tells_what_each_kind_of_line_is(board: Leaderboard) -> None:
    told = {against.name: draw_against(board, against) for against in kinds(board)}
    assert ">dashed, upright: naive<" in told["purity"] and ">dashed, upright: naive<" in told["cost"]
    assert ">dashed, upright: chance<" in told["auroc"]
    assert all(">95 % interval<" in text for text in told.values())
    assert [name for name, text in told.items() if ">no cheaper trust function is better<" in text] == ["cost"]


def test_a_lone_mark_is_named_beside_it() -> None:
    (label,) = placed(["probe"], [(200.0, 100.0)], (40.0, 420.0, 30.0, 260.0), [0], 1)
    assert (label.text, label.x, label.far) == ("probe", 208.0, False)


def test_the_plot_has_a_title_and_each_mark_its_name_and_figures(board: Leaderboard) -> None:
    for against in kinds(board):
        text = draw_against(board, against)
        root = ElementTree.fromstring(text)
        assert root.get("role") == "img"
        told = [element.text or "" for element in root.iter(f"{SVG}title")]
        assert told[0] == f"{board.suite.name}: {against.title}"
        marks = [spot.row.arm for here in panels(board, against).values() for spot in here]
        assert sorted(name.rsplit(": ", 1)[0] for name in told[1:]) == sorted(marks)
        assert "prefers-color-scheme:dark" in text and "<script" not in text and 'href="http' not in text
        assert draw_against(board, against) == text
        shown = {element.text for element in root.iter(f"{SVG}text")}
        assert {"confidence", "acme/margin", "probe"} <= shown


def test_marks_lie_within_their_frame(board: Leaderboard) -> None:
    for against in kinds(board):
        for here in panels(board, against).values():
            frame = framed(here, against, (46.0, 430.0, 34.0, 272.0))
            assert all(46 <= x <= 430 and 34 <= y <= 272 for x, y in frame.places)
            assert len(frame.ticks) > 1 and len({tick.text for tick in frame.ticks}) == len(frame.ticks)


def test_hostile_names_stay_text_in_a_plot() -> None:
    hostile = 'acme/"><script>alert(1)</script>\u202e\x1b[31m&amp;'
    cells = make_cells()
    engine = cells.pop("acme/engine").body
    cells[hostile] = Cell.of(engine.model_copy(update={"arm": engine.arm.model_copy(update={"name": hostile})}), {})
    board = build(cells.values(), Path("somewhere"))
    text = draw_against(board, kinds(board)[0])
    root = ElementTree.fromstring(text)
    assert not list(root.iter(f"{SVG}script"))
    assert "\u202e" not in text and "\x1b" not in text
    assert any("<script>" in (title.text or "") for title in root.iter(f"{SVG}title"))


def test_the_page_shows_them_and_check_sees_an_edited_one(tmp_path: Path) -> None:
    results = write_cells(tmp_path / "toy", make_cells())
    write_leaderboard(results)
    page = (results / "README.md").read_text(encoding="utf-8")
    assert "## What goes with a high PGR" in page
    there = {name for name in AGAINST.values() if (results / name).is_file()}
    assert there == {AGAINST["purity"], AGAINST["auroc"]}, "these cells say no cost"
    assert set(re.findall(r"\((pgr-\w+\.svg)\)", page)) == there
    assert check(results).passed
    (results / AGAINST["purity"]).write_text("<svg/>", encoding="utf-8")
    (results / AGAINST["cost"]).write_text("<svg/>", encoding="utf-8")
    assert [finding.file for finding in check(results).errors] == ["pgr-cost.svg", "pgr-purity.svg"]
    write_leaderboard(results)
    assert check(results).passed and not (results / AGAINST["cost"]).exists()


def test_a_board_without_a_gap_has_none_of_them(tmp_path: Path) -> None:
    results = write_cells(tmp_path / "toy", make_cells(accuracies={"ceiling": 0.51}))
    board = write_leaderboard(results)
    assert goes_with(board) == []
    assert not any((results / name).exists() for name in AGAINST.values())


def test_of_many_arms_some_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(60):
        monkeypatch.setitem(TRUST, f"acme/function_{n}", (0.55 + 0.005 * n, "none", 0.6 + 0.01 * (n % 35)))
    board = build(make_cells(items=200).values(), Path("somewhere"))
    root = ElementTree.fromstring(draw_against(board, kinds(board)[1]))
    named = [element.text for element in root.iter(f"{SVG}text") if "name" in (element.get("class") or "")]
    assert 3 <= len(named) <= 12
    assert len(list(root.iter(f"{SVG}title"))) == 1 + len(TRUST)


def test_a_page_begins_with_what_the_suite_says_of_itself(tmp_path: Path) -> None:
    results = write_cells(tmp_path / "toy", make_cells())
    suite = results / "suite.yaml"
    said = "Made *up*\\n<script>alert(1)</script> \\u202e"
    suite.write_text(suite.read_text("utf-8").replace("description: ''", f'description: "{said}"'), "utf-8")
    write_leaderboard(results)
    first = (results / "README.md").read_text(encoding="utf-8").split("\n\n")[1]
    assert first == "Made \\*up\\* &lt;script&gt;alert(1)&lt;/script&gt; \\\\u202e"
    assert check(results).passed
    assert read_folder(results).board.description.startswith("Made *up*")
    suite.write_text(suite.read_text("utf-8").replace("Made", "Otherwise made"), "utf-8")
    assert [finding.file for finding in check(results).errors] == ["README.md"], "the page is written anew then"
