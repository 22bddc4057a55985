"""`w2s-bench plan`: what a suite needs, from assumptions or from results; mistakes are explained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cell_builder import make_cells, steady, write_cells
from w2s_bench._cli.app import app

runner = CliRunner()


def said(*arguments: object) -> str:
    result = runner.invoke(app, ["plan", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.slow
def test_a_suite_is_planned_from_assumptions_that_are_stated() -> None:
    told = said("tiny", "--detect", ".05")
    assert "found with 80 % power, by one test at 5 %" in told
    assert "From assumptions: a gap of 0.3;" in told
    assert "For 0.05: " in told and "seeds with these test items" in told
    never = said("tiny", "--detect", ".002")
    assert "no number of seeds is enough with these test items, and no number of test items" in never
    assert re.search(r"or \d{3} times the test items", said("tiny", "--detect", ".0633"))


@pytest.mark.slow
def test_results_are_planned_from_their_own_noise(tmp_path: Path) -> None:
    results = write_cells(tmp_path, make_cells("a/math"), make_cells("a/chess"))
    told = said(results, "--detect", ".1", "--power", ".9")
    assert "over a/chess, a/math" in told
    assert "90 % power" in told
    assert "From the noise that the results show" in told
    content = json.loads(said(results, "--json"))
    assert content["measured"] is True
    assert {one["domain"] for one in content["noise"]} == {"a/chess", "a/math"}
    assert [len(row) for row in content["grid"]] == [3] * len(content["grid"])


@pytest.mark.slow
def test_what_the_boards_means_leave_out_is_left_out_and_said(tmp_path: Path) -> None:
    results = write_cells(tmp_path, make_cells("a/math"), steady(1000, 6))
    told = said(results)
    assert "differences of mean PGR over a/math that are found" in told
    assert "Left out: a/steady, since its gap is below 0.02, so that a few items would decide every arm's mean." in told
    content = json.loads(said(results, "--json"))
    assert [one["domain"] for one in content["noise"]] == ["a/math"] and list(content["left_out"]) == ["a/steady"]


def test_a_built_in_suite_wins_over_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "From assumptions" in said("tiny")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nosuch"], "unknown suite 'nosuch'"),
        (["."], "no cell files in"),
        (["tiny", "--detect", "0"], "it must be 0.001 or more"),
        (["tiny", "--power", "2"], "it must be 0.999 or less"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["plan", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert told in " ".join(result.output.split())
