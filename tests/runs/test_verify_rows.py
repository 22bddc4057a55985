"""Which rows `verify` takes, where one cell's file is all there is, and what it says is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cell_builder import change, make_cells, suite_of, write_cells
from support import ROOT
from w2s_bench import machine
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError, UnknownNameError
from w2s_bench.results.attestations import FOLDER, read_attestations
from w2s_bench.results.cells import Cell
from w2s_bench.results.compared import Verified
from w2s_bench.results.files import read_cell, read_cells
from w2s_bench.results.references import ModelRef
from w2s_bench.runs.requirements import lacks
from w2s_bench.runs.verify import folder_of, sampled
from w2s_bench.suite import Suite

TINY = ROOT / "leaderboards" / "tiny"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "toy", make_cells())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str]]]:
    """What the command would compute: (folder, rows) of each call, every row of which comes again."""
    calls: list[tuple[Path, list[str]]] = []

    def computed(results: Path, rows: list[str], **more: Any) -> list[Verified]:
        calls.append((results, list(rows)))
        return [Verified(row, "identical", computed=True) for row in rows or [cell.row for cell in read_cells(results)]]

    monkeypatch.setattr("w2s_bench.runs.verify.verify", computed)
    return calls


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["verify", *map(str, words)])


def test_a_sample_is_of_the_rows_and_as_many_as_asked_for(board: Path) -> None:
    rows = {cell.row for cell in read_cells(board)}
    drawn = sampled(board, 3)
    assert len(set(drawn)) == 3 and set(drawn) <= rows
    assert set(sampled(board, 1000)) == rows


def test_the_command_attests_what_it_computed_unless_it_is_told_not_to(board: Path, asked: list[Any]) -> None:
    assert run(board, "--sample", 2, "--no-attest").exit_code == 0 and not (board / FOLDER).exists()
    ran = run(board, "--row", "math/oracle")
    assert ran.exit_code == 0 and "Wrote " in ran.output
    (made,) = read_attestations(board)
    assert [row.row for row in made.rows] == ["math/oracle"] and made.platform == machine.described()
    assert run(board, "--all", "--no-attest").exit_code == 0 and asked[-1] == (board, [])


def test_options_that_contradict_each_other_are_refused(board: Path, asked: list[Any]) -> None:
    for words in (("--sample", 1, "--all"), ("--row", "math/naive", "--all"), ("--row", "math/naive", "--sample", 1)):
        ran = run(board, *words)
        assert ran.exit_code == 2 and "different things" in ran.output
    assert run(board / "results/math/naive.json", "--sample", 1).exit_code == 2
    assert not asked


def test_a_folder_that_takes_no_file_changes_no_verdict(
    board: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(results: Path, verdicts: Any) -> None:
        raise OSError(28, "No space left on device", str(results))

    monkeypatch.setattr("w2s_bench.runs.verify.attest", full)
    ran = run(board, "--row", "math/oracle")
    assert ran.exit_code == 0 and "no attestation is written: No space left" in ran.output


def test_one_cell_of_a_folder_is_a_row_of_it(board: Path, asked: list[Any]) -> None:
    assert run(board / "results/math/oracle.json").exit_code == 0
    assert asked == [(board, ["math/oracle"])] and read_attestations(board)


def test_a_cell_alone_is_verified_by_the_built_in_suite_of_its_digest(tmp_path: Path, asked: list[Any]) -> None:
    alone = Path(shutil.copy(TINY / "results/knowledge/base.json", tmp_path / "cell.json"))
    with folder_of(alone) as (folder, row):
        assert row == "knowledge/base" and read_cells(folder) == [read_cell(alone)]
    assert not folder.exists()
    assert run(alone).exit_code == 0 and not list(tmp_path.glob("**/attestations"))


def test_a_cell_of_no_known_suite_says_what_it_needs(board: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(board / "results/math/oracle.json", tmp_path / "cell.json"))
    with pytest.raises(CellError, match="does not come with this version"), folder_of(alone):
        pass
    assert run(alone).exit_code == 2


def test_what_to_install_is_said_and_what_is_needed_comes_first(board: Path) -> None:
    told = lacks(board)
    assert told[0].needed and told[0].what == "acme 1.2: not installed" and told[0].to_do == "pip install 'acme==1.2'"
    assert set(told[0].rows) == {"math/acme.margin", "math/acme.verifier@layer=-1", "math/acme.engine"}
    assert not [lack for lack in lacks(board, ["math/naive"]) if lack.needed]
    with pytest.raises(UnknownNameError):
        lacks(board, ["math/x"])
    ran = run(board, "--explain")
    assert ran.exit_code == 1 and "needed: acme 1.2: not installed (3 rows)" in ran.output
    assert run(board, "--explain", "--row", "math/naive").exit_code == 0


def test_a_plugin_that_brings_models_or_domains_of_a_row_is_needed(tmp_path: Path) -> None:
    def written(suite: Suite) -> Path:
        (spec,), (cell,) = suite.domains, make_cells(arms=["naive"]).values()
        folder = write_cells(tmp_path / suite.digest[:8], {"naive": cell})
        (folder / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
        models = {role: ModelRef(name=getattr(spec, role).model, fingerprint="0") for role in ("teacher", "student")}
        change(cell, suite=cell.body.suite.model_copy(update={"digest": suite.digest}), **models).write(folder)
        return folder

    made = suite_of(make_cells(arms=["naive"]).values())

    def with_domain(**fields: object) -> Suite:
        (domain,) = made.model_dump()["domains"]
        return Suite.model_validate({**made.model_dump(), "domains": [{**domain, **fields}]})

    own, strange = "w2s-bench-nonesuch/1b", "acme-;touch/x"
    trained = {"steps": 10, "learning_rate": 1e-3}
    for fields in ({"teacher": {"model": own, **trained}}, {"chain": [{"model": own, **trained}]}):
        (lack,) = [lack for lack in lacks(written(with_domain(**fields))) if lack.needed]
        assert lack.what == f"w2s-bench-nonesuch, of which model {own} is: not installed"
        assert lack.to_do == "in a checkout of w2s-bench: pip install ./plugins/w2s-bench-nonesuch"
    (lack,) = [lack for lack in lacks(written(with_domain(student={"model": strange, **trained}))) if lack.needed]
    assert f"of which model {strange} is" in lack.what and "pip" not in lack.to_do
    on_disk = written(with_domain(student={"model": "local/nowhere/x", **trained}))
    (lack,) = [lack for lack in lacks(on_disk) if lack.needed]
    assert lack.what.startswith("model local/nowhere/x, ") and "--model NAME=FOLDER" in lack.to_do
    assert run(on_disk, "--explain").exit_code == 1 and run(on_disk, "--explain", "--trust-folder").exit_code == 0
    (here := tmp_path / "x").mkdir()
    assert run(on_disk, "--explain", "--model", f"local/nowhere/x={here}").exit_code == 0
    no_model = {"source": "noisy", "rate": 0.4}
    told = lacks(written(with_domain(teacher=no_model, student={"model": "hf/a/b@" + 40 * "0", **trained})))
    assert not [lack for lack in told if lack.needed]


def test_versions_and_machines_that_are_others_here_are_told_and_nothing_is_pasted_from_a_stranger(board: Path) -> None:
    path = board / "results/math/naive.json"
    cell = Cell.model_validate(json.loads(path.read_text()))
    packages = {"numpy": "0.0.1", "pydantic": "$(touch x)", "nonesuch": "not installed"}
    Cell.of(cell.body, {"packages": packages, "machines": ["a machine"]}).write(board)
    told = {lack.what.split()[0].rstrip(":"): lack for lack in lacks(board, ["math/naive"])}
    assert told["numpy"].to_do == "pip install 'numpy==0.0.1'" and not told["numpy"].needed
    assert "pip" not in told["'pydantic'"].to_do
    assert "made on a machine" in told["made"].what and "nonesuch" not in told
