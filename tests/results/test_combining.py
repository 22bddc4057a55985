"""`diff` and `merge`: folders beside each other, cell by cell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cell_builder import change, make_cells, write_cells
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError, SuiteError
from w2s_bench.record import digest_of, pack_bits, unpack_bits
from w2s_bench.results.cells import Cell
from w2s_bench.results.combining.differing import differences
from w2s_bench.results.combining.merging import merge
from w2s_bench.results.files import read_cell
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.results.statistics import Estimate, Unresolved

ROW = "math/confidence"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(tmp_path_factory.mktemp("made") / "toy", make_cells(), make_cells("w2s-bench/chess"))


@pytest.fixture
def a(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "a"))


@pytest.fixture
def b(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "b"))


def cell_in(folder: Path, row: str = ROW) -> Cell:
    return read_cell(folder / f"results/{row}.json")


def answered_otherwise(folder: Path, items: int, row: str = ROW) -> None:
    """So many items that were wrong are right in every seed."""
    cell = cell_in(folder, row)
    seeds = []
    for seed in cell.body.seeds:
        bits = unpack_bits(seed.correct or "", cell.body.items)
        bits[np.flatnonzero(~bits)[:items]] = True
        half = len(bits) // 2
        strata = {"easy": float(bits[:half].mean()), "hard": float(bits[half:].mean())}
        told = {"accuracy": float(bits.mean()), "correct": pack_bits(bits), "by_stratum": strata}
        seeds.append(seed.model_copy(update=told))
    change(cell, seeds=tuple(seeds)).write(folder)


def test_a_folder_does_not_differ_from_itself(a: Path) -> None:
    found = differences(a, a)
    assert found.same and {d.verdict for d in found.differences} == {"identical"}
    assert all(isinstance(d.accuracy, Estimate) and d.accuracy.value == 0 for d in found.differences)


def test_a_difference_is_paired_and_has_its_sign_and_size(a: Path, b: Path) -> None:
    answered_otherwise(b, 30)
    (told,) = (d for d in differences(a, b).differences if d.verdict != "identical")
    assert (told.row, told.verdict) == (ROW, "DIFFERS")
    assert isinstance(told.accuracy, Estimate) and isinstance(told.pgr, Estimate)
    assert told.accuracy.value == pytest.approx(30 / 300) and told.accuracy.low > 0
    gap = np.mean([cell_in(a, "math/ceiling").body.seeds[s].accuracy for s in range(3)]) - np.mean(  # type: ignore[arg-type]
        [cell_in(a, "math/weak").body.seeds[s].accuracy for s in range(3)]  # type: ignore[arg-type]
    )
    assert told.pgr.value == pytest.approx(0.1 / gap)
    back = next(d for d in differences(b, a).differences if d.row == ROW)
    assert isinstance(back.accuracy, Estimate) and back.accuracy.value == pytest.approx(-0.1)


def test_without_a_tolerance_any_body_differs_and_with_one_it_counts(a: Path, b: Path) -> None:
    answered_otherwise(b, 3)
    assert not differences(a, b).same
    assert differences(a, b, 0.01).same
    assert not differences(a, b, 0.009).same


def test_other_items_are_not_paired(a: Path, b: Path) -> None:
    change(cell_in(b), items_digest=digest_of("others")).write(b)
    told = next(d for d in differences(a, b).differences if d.row == ROW)
    assert isinstance(told.accuracy, Unresolved) and told.accuracy.brief == "not paired"


def test_one_seed_of_several_is_compared_with_nothing(a: Path, b: Path) -> None:
    """As on a board: what is left of an arm whose other seeds failed says nothing of how much seeds differ."""
    answered_otherwise(b, 30)
    first, *others = cell_in(b).body.seeds
    change(cell_in(b), seeds=(first, *(SeedResult(seed=s.seed, error="out of memory") for s in others))).write(b)
    told = next(d for d in differences(a, b).differences if d.row == ROW)
    for figure in (told.accuracy, told.pgr):
        assert isinstance(figure, Unresolved) and figure.brief == "one seed"


def test_rows_of_one_folder_alone_and_refused_files_are_differences(a: Path, b: Path) -> None:
    (b / f"results/{ROW}.json").unlink()
    (b / "results/chess/naive.json").write_text("{}")
    found = differences(a, b)
    assert {d.row: d.verdict for d in found.differences if d.verdict != "identical"} == {
        ROW: "only in A",
        "chess/naive": "only in A",
    }
    assert [(path, f.file) for path, f in found.refused] == [(b, "results/chess/naive.json")]
    assert not found.same


def test_diff_prints_what_differs_and_ends_with_1(a: Path, b: Path) -> None:
    assert CliRunner().invoke(app, ["diff", str(a), str(b)]).exit_code == 0
    answered_otherwise(b, 30)
    ran = CliRunner().invoke(app, ["diff", str(a), str(b)])
    assert ran.exit_code == 1 and "+0.10" in ran.output and "departs at answers" in " ".join(ran.output.split())
    rows = json.loads(CliRunner().invoke(app, ["diff", str(a), str(b), "--json"]).stdout)["rows"]
    assert [r["row"] for r in rows if r["verdict"] == "DIFFERS"] == [ROW]
    assert CliRunner().invoke(app, ["diff", str(a), str(b / "nothing")]).exit_code == 2


def only(folder: Path, domain: str) -> Path:
    for path in folder.glob("results/*"):
        if path.name != domain:
            shutil.rmtree(path)
    return folder


def test_halves_merge_to_the_whole(made: Path, a: Path, b: Path, tmp_path: Path) -> None:
    done = merge([only(a, "math"), only(b, "chess")], tmp_path / "c")
    assert done.written == len(list(made.glob("results/*/*.json"))) and not done.conflicts
    assert differences(tmp_path / "c", made).same
    assert (tmp_path / "c" / "README.md").exists()
    with pytest.raises(CellError, match="is there and not empty"):
        merge([a, b], tmp_path / "c")


def test_a_conflict_is_said_and_nothing_written_unless_one_is_preferred(a: Path, b: Path, tmp_path: Path) -> None:
    answered_otherwise(b, 30)
    done = merge([a, b], tmp_path / "c")
    assert done.written == 0 and [c.row for c in done.conflicts] == [ROW] and not (tmp_path / "c").exists()
    assert merge([a, b], tmp_path / "d", prefer=b).written
    assert cell_in(tmp_path / "d") == cell_in(b)
    with pytest.raises(CellError, match="give one of the folders that are merged"):
        merge([a, b], tmp_path / "e", prefer=tmp_path)
    ran = CliRunner().invoke(app, ["merge", str(a), str(b), "--out", str(tmp_path / "e")])
    assert ran.exit_code == 1 and f"conflict: {ROW} is in" in ran.output and "--prefer" in ran.output


def test_cells_that_make_no_board_together_are_not_merged(a: Path, b: Path, tmp_path: Path) -> None:
    cell = cell_in(b)
    seeds = [s.model_copy(update={"digests": {"weak_labels": digest_of("other")}}) for s in cell.body.seeds]
    change(cell, seeds=tuple(seeds)).write(b)
    (a / f"results/{ROW}.json").unlink()
    shutil.rmtree(b / "results/chess")
    for path in (b / "results/math").iterdir():
        if path.stem != "confidence":
            path.unlink()
    done = merge([a, b], tmp_path / "c")
    assert done.written == 0 and not (tmp_path / "c").exists()
    assert "weak labels of seed 0" in done.findings[0].found and "staged" not in done.findings[0].found


def test_other_suites_and_bad_files_are_not_merged(a: Path, tmp_path: Path) -> None:
    longer = write_cells(tmp_path / "longer", make_cells(seeds=4), make_cells("w2s-bench/chess", seeds=4))
    with pytest.raises(SuiteError, match="3 seeds against 4"):
        merge([a, longer], tmp_path / "c")
    (a / f"results/{ROW}.json").write_text("{}")
    done = merge([a, a], tmp_path / "c")
    assert done.written == 0 and done.findings[0].file == (a / f"results/{ROW}.json").as_posix()
