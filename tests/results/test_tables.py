"""`table`: a board to take along, as text for people and as numbers for programs."""

from __future__ import annotations

import csv
import io
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

import w2s_bench
from cell_builder import make_cells, write_cells
from support import ROOT
from w2s_bench._cli.app import app
from w2s_bench._cli.table import Format
from w2s_bench.errors import CellError, UnknownNameError, W2SBenchError
from w2s_bench.names import short
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.checking.folder import board_of
from w2s_bench.results.files import read_cell
from w2s_bench.results.statistics import Estimate
from w2s_bench.results.tables.formats import FORMATS, TEXT, format_of, frame, write
from w2s_bench.results.tables.lines import arms_table, cells_table, column_names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(
        tmp_path_factory.mktemp("made") / "toy",
        make_cells(),
        make_cells("w2s-bench/chess", accuracies={"ceiling": 0.5}),
    )


@pytest.fixture(scope="module")
def board(folder: Path) -> Leaderboard:
    return board_of(folder)[0]


def test_the_command_and_the_library_know_the_same_formats() -> None:
    assert [one.value for one in Format] == list(FORMATS)
    assert format_of(Path("a.tex"), None) == "latex" and format_of(Path("a.tex"), "csv") == "csv"
    assert format_of(None, None) == "md" == format_of(Path("a"), None)


def test_a_line_an_arm_is_the_board_in_its_order(board: Leaderboard) -> None:
    data = arms_table(board).data()
    assert data["arm"] == [row.arm for row in board.rows]
    for at, row in enumerate(board.rows):
        pgr = row.entries["math"].pgr
        assert isinstance(pgr, Estimate)
        assert (data["pgr@math"][at], data["pgr_low@math"][at], data["pgr_high@math"][at]) == (
            pgr.value,
            pgr.low,
            pgr.high,
        )
        assert data["rank"][at] == row.rank


def test_a_line_a_cell_has_references_and_says_why_a_figure_is_missing(board: Leaderboard) -> None:
    data = cells_table(board).data()
    cells = set(zip(data["domain"], data["arm"], strict=True))
    assert {("math", "weak"), ("chess", "acme/margin")} <= cells
    assert len(cells) == len(data["arm"]) == len(data["pgr"])
    assert {data["track"][at] for at, arm in enumerate(data["arm"]) if arm == "weak"} == {"reference"}
    unresolved = [at for at, domain in enumerate(data["domain"]) if domain == "chess"]
    assert all(data["pgr"][at] is None and "ceiling − weak" in str(data["pgr_why"][at]) for at in unresolved)


@pytest.mark.parametrize("name", ["tiny-objectives", "tiny-diagnostics"])
def test_every_cell_of_one_hop_is_a_line_that_says_where_its_arm_stands(name: str) -> None:
    """Both boards have as many cells beside the ranked arms as of them: by other objectives, and to explain arms."""
    folder = ROOT / "leaderboards" / name
    cells = [read_cell(path).body for path in sorted(folder.glob("results/*/*.json"))]
    one_hop = {(short(body.domain.name), short(body.arm.name)): body.arm for body in cells if not body.chain}
    board = board_of(folder)[0]
    data = cells_table(board).data()
    lines = {
        (str(domain), str(arm)): (table, of)
        for domain, arm, table, of in zip(*(data[head] for head in ("domain", "arm", "table", "of")), strict=True)
    }
    assert lines.keys() == one_hop.keys() and len(data["arm"]) == len(one_hop)
    for line, arm in one_hop.items():
        expected = ("rows", "")
        if arm.role == "reference":
            expected = ("references", "")
        elif arm.objective:
            expected = ("other_objectives", arm.plain)
        elif arm.made_of:
            expected = ("explaining", arm.made_of)
        elif arm.is_other_selection:
            expected = ("other_selections", short(arm.trusts or ""))
        assert lines[line] == expected, line
    beside = {arm for (_, arm), (table, _) in lines.items() if table not in ("rows", "references")}
    told = arms_table(board, sorted(beside))
    assert {*told.data()["arm"]} == beside and told.heads == ("arm", "table", "of")
    assert {"minus_usual", "minus_top"} <= {*told.data()} or name == "tiny-diagnostics"


def test_arms_of_every_table_of_the_board_are_found_by_pattern() -> None:
    folder = ROOT / "leaderboards" / "tiny-objectives"
    ran = CliRunner().invoke(app, ["table", str(folder), "--arms", "gce:*", "--format", "json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert {(line["arm"], line["of"]) for line in told} == {("gce:naive", "naive"), ("gce:confidence", "confidence")}
    assert all(line["table"] == "other_objectives" and line["minus_usual"] < 0 for line in told)


def test_arms_and_columns_are_chosen_by_name_and_by_pattern(board: Leaderboard) -> None:
    table = cells_table(board, ["acme/verifier:layer=-1", "gold_*"], ["purity", "minus_*"])
    data = table.data()
    assert next(iter(data["arm"])) == "acme/verifier:layer=-1"
    assert set(data["arm"]) == {"acme/verifier:layer=-1", "gold_trust_set", "gold_random"}
    assert {"purity", "minus_naive", "minus_naive_low"} <= set(data) and "accuracy" not in data
    for kind, call in (("arm", (["nope"], [])), ("column", ([], ["nope"]))):
        with pytest.raises(UnknownNameError, match=f"unknown {kind} 'nope'"):
            arms_table(board, *call)
    named = column_names(board, cells=False)
    assert "pgr@math" in named and "minus_naive@chess" in named
    assert arms_table(board, (), named).data()


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def test_each_format_has_a_line_an_arm(board: Leaderboard) -> None:
    table, arms = arms_table(board), len(board.rows)
    written = {name: TEXT[name](table) for name in TEXT}
    assert written["md"].count("\n") == arms + 2
    assert len(list(csv.DictReader(io.StringIO(written["csv"])))) == arms
    assert [line["arm"] for line in json.loads(written["json"])] == [row.arm for row in board.rows]
    assert written["latex"].count(r" \\") == arms + 1 and "−" not in written["latex"]
    html = Cells()
    html.feed(written["html"])
    assert html.tags.count("tr") == arms + 1


def test_names_from_outside_are_text_in_every_format(board: Leaderboard) -> None:
    table = arms_table(board)
    evil = r"a|<script>\input{x}_$&%" + "\x1b[2J\u202e"
    table = type(table)(table.heads, ((evil,), *table.names[1:]), table.subjects, table.columns)
    for name in ("md", "latex", "html"):
        text = TEXT[name](table)
        assert "\x1b" not in text and "\u202e" not in text and "<script>" not in text
    assert r"\input{" not in TEXT["latex"](table) and r"a\|" in TEXT["md"](table)
    assert json.loads(TEXT["json"](table))[0]["arm"] == evil
    formula = type(table)(table.heads, (("=cmd|x",), *table.names[1:]), table.subjects, table.columns)
    assert next(csv.DictReader(io.StringIO(TEXT["csv"](formula))))["arm"] == "'=cmd|x"


def test_parquet_and_frames_hold_numbers(board: Leaderboard, tmp_path: Path) -> None:
    import pandas

    table = cells_table(board)
    assert write(table, "parquet", tmp_path / "t.parquet") is None
    read = pandas.read_parquet(tmp_path / "t.parquet")
    assert read["pgr"].dtype == "Float64" == read["auroc_within_label"].dtype and read["seeds"].dtype == "Int64"
    pandas.testing.assert_frame_equal(read, frame(table.data()))
    with pytest.raises(W2SBenchError, match="give --out FILE"):
        write(table, "parquet", None)


def test_python_has_the_cells_as_a_frame(folder: Path) -> None:
    told = w2s_bench.table(folder, arms=["weak"], columns=["accuracy"])
    assert list(told.columns) == ["domain", "arm", "track", "table", "of", "accuracy", "accuracy_low", "accuracy_high"]
    assert list(told["domain"]) == ["chess", "math"]


def test_python_has_a_folder_as_frames_at_three_depths(folder: Path, board: Leaderboard) -> None:
    told = w2s_bench.results(folder)
    assert list(told.rows["arm"]) == [row.arm for row in board.rows]
    assert told.cells.equals(w2s_bench.table(folder))
    probe = told.seeds.query("domain == 'math' and arm == 'probe'")
    held = read_cell(folder / "results/math/probe.json").body
    assert list(probe["seed"]) == [seed.seed for seed in held.seeds]
    assert list(probe["accuracy"]) == [seed.accuracy for seed in held.seeds]
    assert list(probe["kept"]) == [seed.kept for seed in held.seeds] and probe["kept"].dtype == "Int64"
    assert probe["error"].isna().all() and set(probe["track"]) == {"trust_set"}
    # As tidy frames go: the mean over seeds is the cell's, in one line.
    means = told.seeds.groupby(["domain", "arm"])["accuracy"].mean()
    cells = told.cells.set_index(["domain", "arm"])["accuracy"]
    assert means[cells.index].to_numpy(dtype=float) == pytest.approx(cells.to_numpy(dtype=float))
    assert (
        repr(told).startswith("Frames of suite ")
        and f"seeds {len(told.seeds)} × " in repr(told)
        and len(repr(told)) < 120
    )
    assert told._repr_html_().startswith("<table>") and "<td>probe</td>" in told._repr_html_()
    assert w2s_bench.results.cells is not None, "it stays the package"


def test_a_refused_cell_is_said_and_the_others_are_shown(folder: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(folder, tmp_path / "bad"))
    (bad / "results/math/confidence.json").write_text("{}")
    ran = CliRunner().invoke(app, ["table", str(bad), "--format", "json", "--cells", "--out", str(tmp_path / "t.json")])
    assert ran.exit_code == 1 and "left out: results/math/confidence.json" in ran.output
    told = {(line["domain"], line["arm"]) for line in json.loads((tmp_path / "t.json").read_text())}
    assert ("math", "confidence") not in told and ("chess", "confidence") in told
    with pytest.raises(CellError, match="w2s-bench check"):
        w2s_bench.table(bad)
    with pytest.raises(CellError, match="w2s-bench check"):
        w2s_bench.results(bad)
    shutil.rmtree(bad / "results")
    assert CliRunner().invoke(app, ["table", str(bad)]).exit_code == 2
