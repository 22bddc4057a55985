"""Other selections than `top`: arms of their own, from plan to page, and nothing else of a run or a board knows of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cell_builder import change, make_cells, suite_of
from support import run_inline, toy_registry, toy_suite
from w2s_bench.errors import CellError
from w2s_bench.protocol.files import ITEMS
from w2s_bench.protocol.kept import Kept
from w2s_bench.record import read_records
from w2s_bench.results import leaderboard
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.consent import _wanted
from w2s_bench.results.leaderboard import pages, write_leaderboard
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.statistics import Estimate
from w2s_bench.runs import submit
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.suite import Suite
from w2s_bench.types import Item

SELECTIONS = ("top", "balanced", "stratified")
TRUST = ["w2s-bench-toy/prompt_hash", "probe:folds=3"]


def other(cell: Cell, selection: str, name: str) -> Cell:
    """The same cell as if it were by another selection."""
    return change(cell, arm=cell.body.arm.model_copy(update={"name": name, "selection": selection}))


def written(results: Path, cells: dict[str, Cell], *selections: str) -> Path:
    """A results folder of a suite with these selections."""
    suite = Suite.model_validate({**suite_of(cells.values()).model_dump(), "selections": selections})
    results.mkdir(parents=True)
    (results / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
    for cell in cells.values():
        change(cell, suite=cell.body.suite.model_copy(update={"digest": suite.digest})).write(results)
    return results


@pytest.fixture
def cells() -> dict[str, Cell]:
    made = make_cells()
    made["b"] = other(made["w2s-bench/confidence"], "balanced", "balanced:confidence")
    made["s"] = other(made["acme/verifier:layer=-1"], "stratified", "stratified:acme/verifier:layer=-1")
    return made


def test_each_trust_function_has_an_arm_for_every_selection_with_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, models = toy_registry(monkeypatch), tmp_path / "models"
    usual = plan(toy_suite(models), registry, trust=TRUST)
    more = plan(toy_suite(models, selections=SELECTIONS), registry, trust=TRUST)
    assert {s.node for s in usual.stages()} < {s.node for s in more.stages()}, "what was there stays what it was"
    added = [cell for cell in more.cells if cell.arm.ref.is_other_selection]
    assert len(added) == len(more.cells) - len(usual.cells) == 3 * len(TRUST)
    assert Counter((cell.task.domain.kind, cell.arm.ref.selection) for cell in added) == {
        ("choice", "balanced"): 2, ("choice", "stratified"): 2, ("generate", "stratified"): 2,
    }  # fmt: skip
    by_name = {(cell.task.spec.name, cell.arm.ref.name): cell for cell in more.cells}
    for cell in added:
        top = by_name[cell.task.spec.name, str(cell.arm.ref.trusts)]
        assert [s.scores.node for s in cell.stages if s.scores] == [s.scores.node for s in top.stages if s.scores]
        assert cell.row != top.row
    assert len({cell.row for cell in more.cells}) == len(more.cells)
    request = json.loads(json.dumps(submit._request(more, Path("out"))))
    assert [s.node for s in submit._planned(request).targets()] == [s.node for s in more.targets()]


@pytest.mark.slow
def test_what_another_selection_kept_is_in_its_cell_and_where_it_cannot_be_the_cell_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry, shared = toy_registry(monkeypatch), tmp_path_factory.getbasetemp()
    suite = toy_suite(shared / "toy-models", coverage=0.4, selections=SELECTIONS)
    planned = plan(suite, registry, domains=["largest"], trust=TRUST[:1])
    store = Store(shared / "toy-store")
    outcomes = run_inline(planned.targets(), store, registry)
    results = Results(outcomes, store)
    made = {cell.arm.ref.name: cell_of(cell, results) for cell in planned.cells}
    balanced = made["balanced:w2s-bench-toy/prompt_hash"].body
    assert all("failed: not applicable: selection `balanced`" in str(seed.error) for seed in balanced.seeds)
    name = "stratified:w2s-bench-toy/prompt_hash"
    stratified, (cell,) = made[name].body, (cell for cell in planned.cells if cell.arm.ref.name == name)
    for seed, graph, own in zip(stratified.seeds, cell.graphs, cell.stages, strict=True):
        pool = Counter(item.stratum for item in read_records(results.folder(graph.subset("transfer")) / ITEMS, Item))
        assert own.kept is not None and len(Kept.read(results.folder(own.kept)).weights) == seed.kept == 40
        for stratum, share in seed.diagnostics["kept_by_stratum"].items():
            assert abs(share - 0.4) * pool[stratum] < 1
    top = made["w2s-bench-toy/prompt_hash"].body
    assert [s.diagnostics["auroc"] for s in stratified.seeds] == [s.diagnostics["auroc"] for s in top.seeds]
    for one in made.values():
        one.write(tmp_path / "toy")
    (tmp_path / "toy" / "suite.yaml").write_text(planned.suite.to_yaml())
    board = write_leaderboard(tmp_path / "toy")
    assert [row.selection for row in board.other_selections] == ["balanced", "stratified"]


def test_other_selections_stand_in_a_table_of_their_own(tmp_path: Path, cells: dict[str, Cell]) -> None:
    results = written(tmp_path / "more", cells, *SELECTIONS)
    board, usual = write_leaderboard(results), leaderboard.build(make_cells().values(), tmp_path)
    assert (board.rows, board.pairs, board.detectable) == (usual.rows, usual.pairs, usual.detectable)
    assert board.domains == usual.domains
    shown = {row.arm: row for row in board.other_selections}
    assert list(shown) == ["balanced:confidence", "stratified:acme/verifier:layer=-1"]
    for row, of in zip(shown.values(), ("confidence", "acme/verifier:layer=-1"), strict=True):
        assert (row.of, row.rank, row.places) == (of, None, None)
        assert isinstance(row.minus_top, Estimate) and row.minus_top.value == 0.0, "they are made of the same cell"
    page = pages(board)
    table = page["README.md"].partition("## Other selections")[2].partition("\n## ")[0]
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in table.splitlines() if "|" in line]
    assert [line[:2] for line in lines[2:]] == [["confidence", "balanced"], ["acme/verifier:layer=-1", "stratified"]]
    plain = pages(usual)
    assert "Other selections" not in plain["README.md"]
    assert all(page[name] == plain[name] for name in plain if name != "README.md")
    told = json.loads(json.dumps(board_as_json(board)))["other_selections"]
    assert [row["selection"] for row in told] == ["balanced", "stratified"]


def test_no_cell_is_believed_by_a_selection_that_the_suite_has_not(tmp_path: Path, cells: dict[str, Cell]) -> None:
    del cells["s"]
    assert len(read_results(written(tmp_path / "both", cells, "top", "balanced"))[1]) == len(cells)
    with pytest.raises(CellError, match="it has selection 'balanced', the suite's are 'top', 'stratified'"):
        read_results(written(tmp_path / "without", cells, "top", "stratified"))
    cells["b"] = other(cells["b"], "balanced", "balanced:probe")
    with pytest.raises(CellError, match="'balanced:probe' is said to be 'balanced:confidence'"):
        read_results(written(tmp_path / "renamed", cells, "top", "balanced"))


def test_parameters_of_a_stranger_are_asked_about_whatever_the_selection(cells: dict[str, Cell]) -> None:
    suite = suite_of(make_cells().values())
    assert list(_wanted(suite, [cells["s"]], {})) == ["trust function 'acme/verifier:layer=-1'"]
    assert list(_wanted(suite, [cells["b"]], {})) == []
