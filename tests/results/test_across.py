"""A folder of boards → one page over all of them: counts of what boards say, nothing estimated anew, nothing of others written over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import median
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from cell_builder import TRUST, change, make_cells, write_cells
from support import ROOT
from w2s_bench._cli.app import app
from w2s_bench.controls import GOLD_TRUST_SET, NAIVE
from w2s_bench.errors import CellError
from w2s_bench.names import ACROSS, README
from w2s_bench.results.across import SEVERAL, Across, FunctionLine, OnBoard, build_across
from w2s_bench.results.across_pages import read_across, write_across
from w2s_bench.results.belief import read_results
from w2s_bench.results.board import MOST_FUNCTIONS, Leaderboard
from w2s_bench.results.leaderboard import build
from w2s_bench.results.pages.across_page import across_page
from w2s_bench.results.pages.across_plot import draw_across
from w2s_bench.results.references import ArmRef
from w2s_bench.results.statistics import Estimate
from w2s_bench.suite import Suite

COMMITTED = ROOT / "leaderboards"
FUNCTIONS = 5  # of `cell_builder`


def folder_of_boards(folder: Path) -> Path:
    """Four boards: `first` and `larger` of other items, so of other settings; `smaller` of the setting of `first` with fewer
    functions; `flat`, whose gap is unresolved."""
    cells = make_cells(seeds=5, items=600)
    write_cells(folder / "first", cells)
    write_cells(folder / "larger", make_cells(seeds=5, items=900))
    write_cells(folder / "smaller", {arm: cell for arm, cell in cells.items() if arm != "acme/margin"})
    write_cells(folder / "flat", make_cells("acme/flat", accuracies={"ceiling": 0.51}))
    return folder


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    return folder_of_boards(tmp_path / "boards")


def read(folder: Path) -> dict[str, tuple[Suite, Leaderboard]]:
    found = {}
    for path in folder.iterdir():
        suite, cells = read_results(path)
        found[path.name] = (suite, build(cells, path))
    return found


def function(across: Across, arm: str) -> FunctionLine:
    return next(line for line in across.functions if line.arm == arm)


def minus_naive(board: Leaderboard, arm: str) -> Estimate:
    minus = next(row for row in board.rows if row.arm == arm).mean_minus[NAIVE]
    assert isinstance(minus, Estimate)
    return minus


def test_figures_are_the_boards_own_and_counted_once_a_setting(boards: Path) -> None:
    found = read(boards)
    across = build_across(found)
    assert {board.folder: board.setting for board in across.boards} == {
        "first": "first",
        "flat": "flat",
        "larger": "larger",
        "smaller": "first",  # the same suite in all that students hang on: `first` has more functions
    }
    assert across.settings == ("first", "flat", "larger")
    assert len(across.functions) == FUNCTIONS
    own = {name: found[name][1] for name in ("first", "larger")}
    for line in across.functions:
        minus = {name: minus_naive(board, line.arm) for name, board in own.items()}
        assert {result.board: result.minus[NAIVE] for result in line.results} == minus
        assert line.without == 1
        assert line.above(NAIVE) == sum(e.holds and e.value > 0 for e in minus.values())
        assert line.below(NAIVE) == sum(e.holds and e.value < 0 for e in minus.values())
        values = [e.value for e in minus.values()]
        assert line.median == median(values) and line.range == (min(values), max(values))
    verifier, margin = function(across, "acme/verifier:layer=-1"), function(across, "acme/margin")
    assert (verifier.above(NAIVE), verifier.below(NAIVE), verifier.above(GOLD_TRUST_SET)) == (2, 0, 2)
    assert (margin.above(NAIVE), margin.below(NAIVE)) == (0, 2)


def test_functions_stand_by_track_and_median(boards: Path) -> None:
    assert [line.arm for line in read_across(boards).functions] == [
        "confidence",
        "acme/margin",
        "acme/verifier:layer=-1",
        "probe",
        "acme/engine",
    ]


def test_what_a_function_lacks_on_the_larger_board_is_the_next_boards(tmp_path: Path) -> None:
    cells = make_cells()
    many = {arm: cell for arm, cell in cells.items() if arm != "acme/margin"}
    few = {arm: cell for arm, cell in cells.items() if arm not in TRUST or arm == "acme/margin"}
    write_cells(tmp_path / "a-few", few)
    write_cells(tmp_path / "b-many", many)
    across = read_across(tmp_path)
    assert {board.setting for board in across.boards} == {"b-many"}
    assert {line.arm: [result.board for result in line.results] for line in across.functions} == {
        "acme/margin": ["a-few"],
        **{arm: ["b-many"] for arm in ("confidence", "acme/verifier:layer=-1", "probe", "acme/engine")},
    }


def test_the_page_says_it(boards: Path) -> None:
    write_cells(boards / "third", {arm: cell for arm, cell in make_cells(items=700).items() if arm != "acme/engine"})
    across = write_across(boards)
    page = (boards / README).read_text(encoding="utf-8")
    for board in across.boards:
        assert f"\n| [{board.folder}]({board.folder}/README.md) " in page
    assert "setting of [first](first/README.md)" in page
    assert "no mean PGR: its gap is unresolved (flat)" in page
    several, _, rest = page.partition("## Trust functions on several boards")[2].partition("<details>")
    assert [line.split("|")[1].strip() for line in several.splitlines() if line.startswith("| ")][1:] == [
        line.arm for line in across.functions if line.arm != "acme/engine"
    ]
    line = next(line for line in several.splitlines() if line.startswith("| acme/verifier"))
    assert [cell.strip() for cell in line.split("|")][2:4] == ["trust\u00a0set", "3\u00a0of\u00a04"]
    assert "<details><summary>1 trust function on two settings</summary>" in rest
    assert "**" in next(line for line in page.splitlines() if line.startswith("- acme/verifier"))
    flat = next(line for line in page.splitlines() if line.startswith("| [flat]"))
    assert {cell.strip() for cell in flat.split("|")[2:-1]} == {"–"}
    plot = (boards / ACROSS).read_text(encoding="utf-8")
    ElementTree.fromstring(plot)
    assert "<!-- probe -->" in plot and "<!-- acme/engine -->" not in plot


def test_functions_on_one_board_or_without_a_mean_are_counted_in_a_sentence(tmp_path: Path) -> None:
    write_cells(tmp_path / "one", make_cells())
    write_cells(tmp_path / "flat", make_cells("acme/flat", accuracies={"ceiling": 0.51}))
    page = across_page(read_across(tmp_path), ACROSS)
    assert f"Not shown: {FUNCTIONS} trust functions on one setting alone; their boards have them." in page
    assert f"No trust function has figures on {SEVERAL} settings or more." in page
    shutil.rmtree(tmp_path / "one")
    across = read_across(tmp_path)
    assert f"{FUNCTIONS} trust functions without a mean anywhere" in across_page(across, ACROSS)
    ElementTree.fromstring(draw_across(across, ""))


def test_figures_on_dev_items_are_no_results(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", make_cells())
    write_cells(tmp_path / "b", make_cells(items=200, evaluate_on="dev"))
    across = read_across(tmp_path)
    assert across.settings == ("a",)
    assert {result.board for line in across.functions for result in line.results} == {"a"}
    assert "on dev items: not a result" in across_page(across, ACROSS)


def test_so_many_functions_that_none_could_be_read_fold(boards: Path) -> None:
    template = function(read_across(boards), "probe").results[0]

    def line(arm: str, settings: int) -> FunctionLine:
        results = tuple(OnBoard(str(n), template.pgr, template.minus) for n in range(settings))
        return FunctionLine(arm, "none", results, 0)

    many = tuple(line(f"many{n}", SEVERAL) for n in range(MOST_FUNCTIONS))
    assert Across((), many).shown == many
    more = Across((), (line("often", SEVERAL + 1), *many))
    assert [each.arm for each in more.shown] == ["often"]
    assert f"{MOST_FUNCTIONS} trust functions on 2 to {SEVERAL} settings" in across_page(more, ACROSS)


@pytest.mark.slow
def test_the_same_cells_give_the_same_bytes(boards: Path, tmp_path: Path) -> None:
    write_across(boards)
    first = {name: (boards / name).read_bytes() for name in (README, ACROSS)}
    write_across(boards)  # over its own page, in a folder that now has one
    again = folder_of_boards(tmp_path / "again")
    write_across(again)
    for name, content in first.items():
        assert (boards / name).read_bytes() == (again / name).read_bytes() == content
    found = read(folder_of_boards(tmp_path / "third"))
    assert build_across(dict(reversed(found.items()))) == build_across(found)


@pytest.mark.parametrize("name", [README, ACROSS])
def test_what_others_wrote_is_not_written_over(boards: Path, name: str) -> None:
    (boards / name).write_text("# My notes")
    with pytest.raises(CellError, match="is not what `w2s-bench leaderboard` writes"):
        write_across(boards)
    assert (boards / name).read_text() == "# My notes"
    assert {path.name for path in boards.iterdir() if path.is_file()} == {name}


def test_a_link_to_a_page_is_not_followed(boards: Path, tmp_path: Path) -> None:
    write_across(boards)
    elsewhere = tmp_path / "elsewhere.md"
    (boards / README).rename(elsewhere)
    (boards / README).symlink_to(elsewhere)
    with pytest.raises(CellError, match="is not what"):
        write_across(boards)


def test_links_and_folders_without_a_suite_are_no_boards(boards: Path, tmp_path: Path) -> None:
    expected = build_across(read(boards))
    (boards / "linked").symlink_to(boards / "first")
    (boards / "notes").mkdir()
    (boards / "odd" / "suite.yaml").mkdir(parents=True)
    (boards / "half").mkdir()
    (boards / "half" / "suite.yaml").symlink_to(boards / "first" / "suite.yaml")
    (boards / "a-file").write_text("x")
    assert read_across(boards) == expected


def test_one_board_that_cannot_be_believed_refuses_the_page_and_is_named(boards: Path) -> None:
    cell = next((boards / "larger").glob("results/*/confidence.json"))
    cell.write_text(cell.read_text().replace('"items":900', '"items":901').replace('"items": 900', '"items": 901'))
    with pytest.raises(CellError, match=r"board 'larger': .*confidence\.json"):
        write_across(boards)
    assert not (boards / README).exists() and not (boards / ACROSS).exists()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = "acme/a|b`c`<img src=x>\n# big\n[x](javascript:y) **b** @all https://evil.example $x$ __i__"
    found = {}
    for items in (300, 310, 320):
        suite, _ = read_results(write_cells(tmp_path / str(items), make_cells(items=items)))
        cells = make_cells(items=items)
        arm = ArmRef(name=hostile, role="trust_function", supervision="privileged", coverage=0.5)
        cells[hostile] = change(cells.pop("acme/engine"), arm=arm)
        found[f"](x) <b>{items}"] = (suite, build(cells.values(), Path("somewhere"), hostile))
    across = build_across(found)
    page = across_page(across, ACROSS)
    assert sum("big" in line for line in page.splitlines()) > 1
    for bad in ("<img", "<b>", "# big\n", "[x](", " **b**", " @all", " https://", "$x$", " __i"):
        assert bad not in page
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    links = [part.attrs["href"] for token in tokens for part in token.children or () if part.type == "link_open"]
    own = {f"{quote(board.folder)}/{README}" for board in across.boards}
    assert set(links) == own | {"#trust-functions-on-several-boards"}
    ElementTree.fromstring(draw_across(across, ""))


@pytest.mark.slow
def test_the_command_takes_a_folder_of_boards(boards: Path) -> None:
    def call(*options: str) -> str:
        done = CliRunner().invoke(app, ["leaderboard", str(boards), *options])
        assert done.exit_code == 0, done.output
        return done.output

    told = call()
    assert "4 boards of 3 settings" in told and f"Wrote {boards / README}" in " ".join(told.split())
    assert call("--quiet") == ""
    found = json.loads(call("--json"))
    assert [board["folder"] for board in found["boards"]] == ["first", "flat", "larger", "smaller"]
    probe = next(line for line in found["functions"] if line["arm"] == "probe")
    assert probe["counts"][NAIVE]["of"] == 2 and len(probe["results"]) == 2
    assert probe["median"] == function(read_across(boards), "probe").median


def test_without_a_function_on_several_boards_the_command_prints_a_sentence(tmp_path: Path) -> None:
    write_cells(tmp_path / "one", make_cells())
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path)])
    told = " ".join(done.stdout.split())
    assert done.exit_code == 0 and "No trust function has figures on 3 settings or more" in told
    assert "above / below naive" not in told


def test_a_folder_of_neither_kind_is_told_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path, tmp_path / "nowhere"):
        done = CliRunner().invoke(app, ["leaderboard", str(path)])
        told = " ".join(done.output.split())
        assert done.exit_code == 2
        assert "a folder of such folders" in told and "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("verb", ["check", "verify", "table", "report"])
def test_other_verbs_name_a_board_where_the_folder_has_several(boards: Path, verb: str) -> None:
    options = ["--out", str(boards.parent / "x.html")] if verb == "report" else []
    done = CliRunner().invoke(app, [verb, str(boards), *options])
    assert done.exit_code == 2
    assert "It holds 4 such: give one of them" in " ".join(done.output.split())


@pytest.mark.slow
def test_the_committed_page_is_of_the_committed_boards(tmp_path: Path) -> None:
    for name in (README, ACROSS):
        shutil.copy(COMMITTED / name, tmp_path / name)
    for board in COMMITTED.iterdir():
        if board.is_dir():
            shutil.copytree(board, tmp_path / board.name, ignore=shutil.ignore_patterns("curves", "*.svg", "*.md"))
    write_across(tmp_path)
    for name in (README, ACROSS):
        same = (tmp_path / name).read_bytes() == (COMMITTED / name).read_bytes()
        assert same, f"leaderboards/{name} is of other boards; write it anew: w2s-bench leaderboard leaderboards"
