"""Columns and checks: one entry each, the same figure and the same text wherever a board is shown."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from cell_builder import CONTROLS, make_cells
from w2s_bench._cli.report import print_leaderboard
from w2s_bench.results import leaderboard
from w2s_bench.results.board import TRACKS as RANKED
from w2s_bench.results.board import Entry, Leaderboard
from w2s_bench.results.checks import CHECKS
from w2s_bench.results.pages import columns, style
from w2s_bench.results.pages.column import Column, had, in_domain
from w2s_bench.results.pages.columns import ENTRY, ROW
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.pages.markdown import render
from w2s_bench.results.statistics import Estimate, Unresolved


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    math = make_cells("w2s-bench/math", failed={("acme/engine", 1): "killed"})
    chess = make_cells("w2s-bench/chess")
    del chess["acme/margin"]
    return leaderboard.build([*math.values(), *chess.values()], Path("somewhere"))


def plain(value: Any) -> Any:
    return json.loads(json.dumps(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value))


def test_programs_get_every_column(board: Leaderboard) -> None:
    content = json.loads(json.dumps(board_as_json(board), allow_nan=False))
    for shown, row in zip(content["rows"], board.rows, strict=True):
        assert {name: shown[name] for name in ROW} == {name: plain(c.value(row)) for name, c in ROW.items()}
        for domain, entry in row.entries.items():
            told = shown["entries"][domain]
            assert {name: told[name] for name in ENTRY} == {name: plain(c.value(entry)) for name, c in ENTRY.items()}
    engine = next(row for row in content["rows"] if row["arm"] == "acme/engine")
    assert engine["entries"]["math"]["auroc"] > 0.9
    assert set(content["domains"][0]["checks"]) == {check.name for check in CHECKS}
    assert content["domains"][0]["references"]["ceiling"]["pgr"]["value"] == 1.0


def test_people_read_the_same_text_on_the_page_and_on_the_terminal(
    board: Leaderboard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    print_leaderboard(board, as_json=False)
    terminal, page = capsys.readouterr().out, render(board, "pgr.svg")
    for row in board.rows:
        on_page = next(line for line in page.splitlines() if line.startswith(f"| {row.arm} "))
        on_terminal = next(line for line in terminal.splitlines() if line.split()[:1] == [row.arm])
        for column in columns.headline(board):
            text, aside = column.text(row), column.aside(row)
            strong = f"**{text}**" if column.strong(row) else text
            assert f" {strong} {aside} ".replace("  ", " ") in on_page
            if column.name != "rank":
                assert f" {text} " in f"{on_terminal} "
    assert terminal.count("(2 of 3 seeds)") == 1


def test_a_column_more_is_one_entry(board: Leaderboard, monkeypatch: pytest.MonkeyPatch) -> None:
    gain = Column[Entry](
        "gain",
        "gain",
        lambda entry: entry.coverage,
        lambda entry: "much",
        lambda entry: entry.role == "control",
        note="Gain: how much.",
    )
    monkeypatch.setattr(columns, "ENTRY", {**ENTRY, gain.name: gain})
    monkeypatch.setattr(columns, "DOMAIN", (*columns.DOMAIN, gain.name))
    page = render(board, "pgr.svg")
    assert page.count("Gain: how much.") == len(board.domains)
    assert page.count("**much**") == len(CONTROLS) * len(board.domains)


def test_what_is_not_plain_is_explained(board: Leaderboard) -> None:
    page = render(board, "pgr.svg")
    entries = [entry for row in board.rows for entry in row.entries.values()]
    for column in (*columns.headline(board), *had(columns.of_domain(), entries)):
        assert column.note in page
    for check in CHECKS:
        assert f"\n| {check.words} " in page
    assert len({check.words for check in CHECKS}) == len({check.name for check in CHECKS}) == len(CHECKS)


def test_an_arm_that_lacks_a_domain_has_a_dash_in_its_columns(board: Leaderboard) -> None:
    margin = next(row for row in board.rows if row.arm == "acme/margin")
    for column in ENTRY.values():
        here = in_domain(column, "chess")
        assert (here.value(margin), here.text(margin), here.strong(margin), here.aside(margin)) == (
            None,
            "–",
            False,
            "",
        )


def test_every_track_has_one_look() -> None:
    assert tuple(style.TRACKS) == (*RANKED, "control")
    for name in ("word", "legend", "colour", "marker", "terminal"):
        assert len({getattr(look, name) for look in style.TRACKS.values()}) == len(style.TRACKS)


def test_a_difference_shows_its_sign_unless_it_rounds_to_none() -> None:
    told = [style.difference(Estimate(value, -1.0, 1.0, 3, 3, 10)) for value in (0.2, -0.2, 0.004, -0.004)]
    assert [text.partition(" ")[0] for text in told] == ["+0.20", "−0.20", "0.00", "0.00"]
    assert style.difference(Unresolved("why", "no seeds")) == "no seeds"
    assert style.difference(None) == "–"
    assert (style.p_value(0.0004), style.p_value(0.04)) == ("p < 0.001", "p = 0.040")
