"""`submit`: only what is sound gets into a leaderboard, alone and beside what is there; and what its repository runs."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cell_builder import make_cells, write_cells
from support import ROOT
from w2s_bench import __version__
from w2s_bench._cli.app import app
from w2s_bench._cli.submit import workflow_text
from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.record import digest_of
from w2s_bench.results.attestations import Attestation, Attested, read_attestations
from w2s_bench.results.checking.rules import check
from w2s_bench.results.combining.submitting import submit
from w2s_bench.results.compared import Verified
from w2s_bench.results.files import read_cells

ROW = "math/acme.margin"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(tmp_path_factory.mktemp("made") / "toy", make_cells())


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def board(made: Path, tmp_path: Path) -> Path:
    """A leaderboard that lacks one row."""
    folder = Path(shutil.copytree(made, tmp_path / "boards" / "toy"))
    (folder / f"results/{ROW}.json").unlink()
    return folder


def alter(folder: Path, row: str, **changes: Any) -> None:
    path = folder / f"results/{row}.json"
    content = json.loads(path.read_text())
    content["body"]["seeds"][0].update(changes)
    content["digest"] = digest_of(content["body"])
    path.write_text(json.dumps(content))


def rows_in(folder: Path) -> set[str]:
    return {cell.row for cell in read_cells(folder)}


def test_what_a_leaderboard_lacks_is_copied_with_its_attestations(source: Path, board: Path) -> None:
    digest = next(cell.digest for cell in read_cells(source) if cell.row == ROW)
    told = (Attested(row=ROW, digest=digest, tier="identical"),)
    Attestation(made="2026-01-01T00:00:00Z", suite="0" * 64, platform="p", rows=told).write(source)
    done = submit(source, board)
    assert done.whole and done.copied == (ROW,) and len(done.there) == len(rows_in(source)) - 1
    assert check(board).passed and rows_in(board) == rows_in(source)
    assert read_attestations(board) == read_attestations(source)


def test_a_leaderboard_that_is_not_there_is_made(source: Path, tmp_path: Path) -> None:
    done = submit(source, tmp_path / "new" / "toy")
    assert done.whole and check(tmp_path / "new" / "toy").passed


def test_what_is_not_sound_stays_behind_and_is_said(source: Path, board: Path) -> None:
    alter(source, ROW, purity=0.05)
    done = submit(source, board)
    assert not done.copied and not done.whole and [f.row for f in done.findings] == [ROW]
    assert ROW not in rows_in(board)
    ran = CliRunner().invoke(app, ["submit", str(source), "--to", str(board)])
    assert ran.exit_code == 1 and f"not copied: results/{ROW}.json: seed 0: purity 0.05" in ran.output


def test_a_cell_that_does_not_go_with_those_that_are_there_is_not_copied(source: Path, board: Path) -> None:
    content = json.loads((source / f"results/{ROW}.json").read_text())
    for seed in content["body"]["seeds"]:
        seed["digests"] = {"weak_labels": digest_of("other")}
    content["digest"] = digest_of(content["body"])
    (source / f"results/{ROW}.json").write_text(json.dumps(content))
    done = submit(source, board, [ROW])
    assert not done.copied and [f.rule for f in done.findings] == ["mixture"] and ROW not in rows_in(board)


def test_a_run_without_controls_makes_no_leaderboard_and_may_join_one(
    source: Path, board: Path, tmp_path: Path
) -> None:
    for path in source.glob("results/*/*.json"):
        if f"math/{path.stem}" != ROW:
            path.unlink()
    assert [f.rule for f in submit(source, tmp_path / "new").findings] == ["controls"]
    assert not (tmp_path / "new").exists()
    assert submit(source, board).copied == (ROW,)


def test_a_row_of_some_domains_makes_no_leaderboard(tmp_path: Path) -> None:
    run = write_cells(tmp_path / "run", make_cells(), make_cells("w2s-bench/chess"))
    shutil.rmtree(run / "results/chess")
    assert check(run, pages=False).passed
    done = submit(run, tmp_path / "new")
    assert not done.whole and [(f.rule, f.found) for f in done.findings] == [("not_run", "not run: chess")]
    assert not (tmp_path / "new").exists()


def test_a_row_with_other_figures_stays_unless_it_is_to_be_replaced(source: Path, board: Path) -> None:
    alter(source, "math/confidence", diagnostics={})
    done = submit(source, board)
    assert done.copied == (ROW,) and done.held == ("math/confidence",) and not done.whole
    assert submit(source, board, replace=True).copied == ("math/confidence",)
    assert submit(source, board).whole


def test_mistakes_are_the_users(source: Path, board: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown row 'math/x'"):
        submit(source, board, ["math/x"])
    other = write_cells(tmp_path / "other", make_cells(seeds=4))
    with pytest.raises(SuiteError, match="cells of two suites"):
        submit(other, board)
    alter(board, "math/naive", purity=0.75)
    with pytest.raises(SuiteError, match="is not sound itself"):
        submit(source, board)
    assert CliRunner().invoke(app, ["submit", str(source)]).exit_code == 2


def test_the_commands_of_the_workflow_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = CliRunner().invoke(app, ["submit", "--workflow"]).stdout
    assert printed == workflow_text() and f"w2s-bench=={__version__}" in printed
    steps = yaml.safe_load(printed)["jobs"]["check"]["steps"]
    scripts = [step["run"] for step in steps if "for board" in step.get("run", "")]
    commands = [line.strip() for script in scripts for line in script.splitlines() if "w2s-bench" in line]
    assert [command.split()[1] for command in commands] == ["check", "verify", "leaderboard"]
    board = Path(shutil.copytree(ROOT / "leaderboards" / "tiny-scarce", tmp_path / "leaderboards" / "tiny-scarce"))
    asked = []

    def computed(results: Path, rows: list[str], **more: Any) -> list[Verified]:
        asked.extend(rows)
        return [Verified(row, "identical", computed=True) for row in rows]

    monkeypatch.setattr("w2s_bench.runs.verify.verify", computed)
    before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    for command in commands:
        words = shlex.split(command.partition(" || ")[0].replace('"$board"', str(board)))
        ran = CliRunner().invoke(app, words[1:])
        assert ran.exit_code == 0, ran.output
    assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before
    assert len(asked) == 1 and asked[0] in rows_in(board)
    for script in scripts:
        assert subprocess.run(["bash", "-n", "-c", script]).returncode == 0
