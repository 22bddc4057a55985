"""`check`: what is wrong with a folder is found, in the file that it is in, and costs no other row its place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cell_builder import change, make_cells, write_cells
from support import ROOT
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError, W2SBenchError
from w2s_bench.names import PAGES
from w2s_bench.record import digest_of
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.findings import Finding, as_sarif
from w2s_bench.results.checking.folder import read_folder
from w2s_bench.results.checking.plugins import requirement
from w2s_bench.results.checking.rules import RULES, check, levels_and_words
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.surroundings import made_elsewhere
from w2s_bench.runs.refusals import refuse_foreign

COMMITTED = ROOT / "leaderboards" / "tiny-scarce"
Content = dict[str, Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(tmp_path_factory.mktemp("sound") / "toy", make_cells(), make_cells("w2s-bench/chess"))


@pytest.fixture
def results(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "toy"))


def altered(results: Path, row: str, alter: Callable[[Content], Any], *, seal: bool = True) -> str:
    path = results / "results" / f"{row}.json"
    content = json.loads(path.read_text())
    alter(content)
    if seal:
        content["digest"] = digest_of(content["body"])
    path.write_text(json.dumps(content))
    return f"results/{row}.json"


def found(results: Path, *rules: str) -> list[Finding]:
    """Findings of these rules; without any, errors."""
    findings = check(results, pages=False).findings
    return [f for f in findings if (f.rule in rules if rules else f.level == "error")]


def test_a_sound_folder_has_no_errors(results: Path) -> None:
    checked = check(results, pages=False)
    assert checked.passed and not checked.errors
    assert len(checked.folder.cells) == len(list(results.glob("results/*/*.json")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "alter", "seal", "said"),
    [
        ("cell", lambda c: c["body"].pop("items"), True, "body.items: Field required"),
        ("cell", lambda c: c["body"]["seeds"][0].update(accuracy=0.999), True, "the bits of correct"),
        (
            "cell",
            lambda c: c["body"]["seeds"][0].update(accuracy=float("nan")),
            False,
            "NaN is no JSON, at body.seeds.0.accuracy",
        ),
        ("cell", lambda c: c["body"].update(items_digest="0" * 64), False, "was altered after it was written"),
        (
            "cell",
            lambda c: c.update(schema="w2s-bench/cell/9"),
            True,
            "schema is 'w2s-bench/cell/9', which this version",
        ),
        ("figures", lambda c: c["body"]["seeds"][0].update(purity=0.05), True, "purity 0.05 of 200 rows"),
        ("figures", lambda c: c["body"]["seeds"].pop(), True, "it has 2 seeds, the suite 3"),
        ("suite", lambda c: c["body"]["suite"].update(digest="f" * 64), True, "a suite of digest ffffffffffff"),
    ],
)
def test_one_bad_cell_is_named_and_the_others_stay(
    results: Path, rule: str, alter: Callable[[Content], Any], seal: bool, said: str
) -> None:
    before = len(read_folder(results).cells)
    file = altered(results, "math/confidence", alter, seal=seal)
    (finding,) = found(results)
    assert (finding.rule, finding.file, finding.row) == (rule, file, "math/confidence")
    assert said in finding.found and finding.to_do
    assert len(read_folder(results).cells) == before - 1


def test_several_faults_are_all_found_in_one_go(results: Path) -> None:
    altered(results, "math/confidence", lambda c: c["body"]["seeds"][0].update(purity=0.05))
    altered(results, "math/acme.margin", lambda c: c["body"]["seeds"][1].update(purity=0.05))
    altered(results, "chess/naive", lambda c: c["body"]["arm"].update(coverage=0.5))
    assert [f.row for f in found(results)] == ["chess/naive", "math/acme.margin", "math/confidence"]


def test_every_missing_control_is_named_and_a_refused_one_is_not_called_missing(results: Path) -> None:
    (results / "results/math/oracle.json").unlink()
    (results / "results/math/naive.json").unlink()
    altered(results, "math/random", lambda c: c["body"]["seeds"][0].update(purity=0.001))
    (finding,) = found(results, "controls")
    assert finding.level == "error"
    assert finding.found == "domain math has no naive, oracle"


def test_a_domain_that_was_not_run_is_a_note(results: Path) -> None:
    shutil.rmtree(results / "results/chess")
    told = check(results, pages=False)
    assert told.passed and not found(results, "controls")
    (finding,) = found(results, "not_run")
    assert (finding.level, finding.found) == ("note", "not run: chess")
    altered(results, "math/confidence", lambda c: c["body"]["seeds"][0].update(purity=0.05))
    (results / "results/chess").mkdir()
    shutil.copy(results / "results/math/naive.json", results / "results/chess/naive.json")
    assert not found(results, "not_run")  # a file that is refused is of a run all the same
    assert "domain chess has no" in found(results, "controls")[0].found


def test_a_control_for_choice_domains_is_asked_of_those_that_show_classes_of_labels(results: Path) -> None:
    (results / "results/math/majority.json").unlink()
    assert not found(results, "controls")
    shares = {"kept_by_label": {"a": 0.5}}
    altered(results, "math/confidence", lambda c: c["body"]["seeds"][0]["diagnostics"].update(shares))
    (finding,) = found(results, "controls")
    assert finding.found == "domain math has no majority"


def test_failed_seeds_and_missing_domains_are_no_errors(tmp_path: Path) -> None:
    failed = {
        ("w2s-bench/confidence", 1): "out of memory",
        ("acme/margin", 2): "scores failed: not applicable: there is no other teacher",
    }
    one = make_cells(failed=failed)
    other = make_cells("w2s-bench/chess")
    del other["acme/margin"]
    results = write_cells(tmp_path / "toy", one, other)
    assert [(f.level, f.found) for f in found(results, "seeds", "domains")] == [
        ("warning", "seed 1 failed: out of memory"),
        ("note", "seed 2 failed: scores failed: not applicable: there is no other teacher"),
        ("note", "acme/margin has no cell in chess"),
    ]
    assert check(results, pages=False).passed


def test_what_beats_oracle_or_ceiling_is_noted_and_not_refused(tmp_path: Path) -> None:
    results = write_cells(tmp_path / "toy", make_cells(items=600, accuracies={"acme/margin": 0.98, "oracle": 0.7}))
    notes = found(results, "above_oracle", "above_ceiling")
    assert {f.level for f in notes} == {"note"}
    assert {(f.rule, f.row) for f in notes} >= {
        ("above_oracle", "math/acme.margin"),
        ("above_ceiling", "math/acme.margin"),
    }
    assert check(results, pages=False).passed


def test_a_plugin_that_no_index_can_hold_is_an_error_and_one_that_is_not_here_a_note(results: Path) -> None:
    told = {f.row: f for f in found(results, "plugin")}
    assert told["math/acme.margin"].level == "note"
    assert told["math/acme.margin"].to_do == "To verify it: pip install 'acme==1.2'"
    altered(results, "math/acme.margin", lambda c: c["body"]["plugin"].update(version="1; rm -rf /"))
    told = {f.row: f for f in found(results, "plugin")}
    assert told["math/acme.margin"].level == "error"
    assert requirement("--index-url", "1") is None and requirement("a", "$(x)") is None
    assert requirement("a-b.c_d", "1.0+cpu") == "a-b.c_d==1.0+cpu"


def test_cells_of_other_versions_and_machines_are_told_apart() -> None:
    cells = list(make_cells(arms=("weak", "naive", "oracle")).values())
    base = {"machines": ["m"], "device": "cpu", "packages": {"torch": "2"}}
    plain = [Cell.of(cell.body, base) for cell in cells]
    assert not made_elsewhere(plain)
    other = Cell.of(cells[0].body, {**base, "machines": ["n"], "packages": {"torch": "3", "sklearn": "1"}})
    silent = Cell.of(cells[1].body, {})
    told = made_elsewhere([other, silent, *plain[1:], plain[2]])
    assert told == {other.row: ("torch 3, most cells 2", "machine n, most cells m")}


def test_pages_are_compared_where_all_cells_are_sound(tmp_path: Path) -> None:
    board = Path(shutil.copytree(COMMITTED, tmp_path / "tiny-scarce"))
    (board / "README.md").write_text("edited")
    (finding,) = (f for f in check(board).findings if f.rule == "pages")
    assert (finding.level, finding.file) == ("error", "README.md")
    assert finding.to_do == f"Write it anew: w2s-bench leaderboard {board}"


def test_cells_that_no_board_can_be_made_of_are_found(results: Path) -> None:
    path = results / "results/math/acme.margin.json"
    cell = Cell.model_validate(json.loads(path.read_text()))
    change(cell, items_digest=digest_of("others")).write(results)
    (finding,) = found(results)
    assert finding.rule == "mixture" and "differ in items digest" in finding.found


def test_odd_files_are_told_and_never_opened(results: Path) -> None:
    folder = results / "results" / "math"
    os.mkfifo(folder / "pipe.json")
    (folder / "link.json").symlink_to("/dev/zero")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "huge.json").write_bytes(b"1" * (33 << 20))
    told = {f.file.rpartition("/")[2]: f.found for f in found(results)}
    assert set(told) == {"pipe.json", "link.json", "deep.json", "huge.json"}
    assert "named pipe" in told["pipe.json"] and "a link" in told["link.json"] and "larger than" in told["huge.json"]


def test_without_a_suite_nothing_is_believed(results: Path) -> None:
    (results / "suite.yaml").unlink()
    checked = check(results, pages=False)
    assert not checked.folder.cells and checked.errors[0].rule == "suite"


@pytest.mark.parametrize("make", [lambda p: None, Path.mkdir, lambda p: p.write_text("")])
def test_what_is_no_folder_of_a_board_is_the_users_mistake(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "x")
    with pytest.raises(CellError):
        check(tmp_path / "x")
    ran = CliRunner().invoke(app, ["check", str(tmp_path / "x")])
    assert ran.exit_code == 2


def test_the_command_prints_json_and_writes_sarif(results: Path, tmp_path: Path) -> None:
    file = altered(results, "math/confidence", lambda c: c["body"]["seeds"][0].update(error="\x1b[2J\u202e"))
    ran = CliRunner().invoke(app, ["check", str(results), "--json", "--sarif", str(tmp_path / "out.sarif")])
    assert ran.exit_code == 1
    told = json.loads(ran.stdout)
    assert told["counts"]["error"] >= 1 and told["findings"][0]["file"] == file
    sarif = json.loads((tmp_path / "out.sarif").read_text())
    (run,) = sarif["runs"]
    assert sarif["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    first = run["results"][0]
    assert first["ruleId"] == "cell" and first["level"] == "error"
    assert RULES[first["ruleId"]].name == list(RULES)[first["ruleIndex"]]
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith(file)
    plain = CliRunner().invoke(app, ["check", str(results)])
    assert plain.exit_code == 1 and "\x1b[2J" not in plain.output and "\u202e" not in plain.output


def test_sarif_names_files_below_a_relative_folder() -> None:
    finding = Finding("cell", "error", "results/math/a.json", "x", "y")
    (told,) = as_sarif(Path("boards/tiny"), [finding], levels_and_words(), "1")["runs"][0]["results"]
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "boards/tiny/results/math/a.json"


@pytest.mark.parametrize("name", ["no/out.sarif", "."])
def test_where_sarif_cannot_be_written_is_said_before_anything_is_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, ["check", "nowhere", "--sarif", name])
    assert ran.exit_code == 2 and f"--sarif '{name}' is a f" in ran.stderr and "such as check.sarif" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["verified.svg", "chains.svg"])
def test_a_page_that_no_cell_makes_is_found_and_goes_away(name: str, results: Path) -> None:
    write_leaderboard(results)
    assert check(results).passed
    (results / name).write_text("<svg/>")
    assert [(f.rule, f.file) for f in check(results).errors] == [("pages", name)]
    write_leaderboard(results)
    assert not (results / name).exists() and check(results).passed


@pytest.mark.parametrize("name", [*PAGES, "domains/math.md"])
def test_a_run_leaves_pages_alone_that_no_run_has_written(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(W2SBenchError, match="no run has written it"):
        refuse_foreign(tmp_path)
    (tmp_path / "suite.yaml").write_text("")
    refuse_foreign(tmp_path)
