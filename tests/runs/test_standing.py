"""A run that fails takes no result from a results folder: which cells stay, which give way, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cell_builder import change, make_cells, suite_of, write_cells
from runs.test_again import of_plan, registry  # noqa: F401 - `registry` is a fixture
from w2s_bench.errors import CellError, SuiteError
from w2s_bench.executors import Failed
from w2s_bench.plugins.registry import Registry
from w2s_bench.results import leaderboard
from w2s_bench.results.cells import Cell
from w2s_bench.results.files import read_cells
from w2s_bench.runs import execute as running
from w2s_bench.runs import refusals
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.runs.standing import Standing
from w2s_bench.suite import Suite

MINE = "w2s-bench/confidence"
NO_DATA = Failed("largest · items", "cannot read train.jsonl", "node")
ALL_FAILED = {(MINE, seed): "confidence failed: killed" for seed in range(3)}


def cells_of(**made: Any) -> dict[str, Cell]:
    """Made-up cells of one suite, whichever of them failed."""
    cells = make_cells(**made)
    suite = suite_of(make_cells().values())
    return {n: change(c, suite=c.body.suite.model_copy(update={"digest": suite.digest})) for n, c in cells.items()}


def kept(folder: Path, now: dict[str, Cell]) -> set[str]:
    """The rows that a run which made the cells `now` leaves as they lie in `folder`."""
    idle, better = Standing.of(suite_of(make_cells().values()), folder, {}).rows([*now.values()])
    assert not idle
    return {row.rpartition("/")[2] for row in better}


def test_a_row_that_fails_gives_way_to_its_result_of_the_same_inputs_and_to_no_other(tmp_path: Path) -> None:
    folder = write_cells(tmp_path, make_cells())
    now = cells_of(failed=ALL_FAILED)
    assert kept(folder, now) == {"confidence"}
    assert kept(folder, cells_of(failed={(MINE, 1): "confidence failed: killed"})) == {"confidence"}
    assert (
        kept(folder, cells_of(failed=dict.fromkeys(ALL_FAILED, "confidence failed: not applicable: no order"))) == set()
    )

    plugin = now[MINE].body.plugin
    assert plugin is not None
    other_code = change(now[MINE], plugin=plugin.model_copy(update={"source": "1" * 64}))
    assert kept(folder, now | {MINE: other_code}) == set(), "code that has changed and fails is shown to fail"
    other_model = change(now[MINE], student=now[MINE].body.student.model_copy(update={"fingerprint": "2" * 64}))
    assert kept(folder, now | {MINE: other_model}) == set()

    def relabelled(cell: Cell) -> Cell:
        seeds = [s.model_copy(update={"digests": dict.fromkeys(s.digests, "3" * 64)}) for s in cell.body.seeds]
        return change(cell, seeds=tuple(seeds))

    elsewhere = {name: relabelled(cell) if name != MINE else cell for name, cell in now.items()}
    assert kept(folder, elsewhere) == set(), "what another teacher labelled cannot stand beside the new rows"


def test_no_failure_is_kept_before_another(tmp_path: Path) -> None:
    folder = write_cells(tmp_path, make_cells(failed={(MINE, 2): "confidence failed: killed"}))
    assert kept(folder, cells_of(failed={(MINE, 2): "confidence failed: out of memory"})) == set()
    assert kept(folder, cells_of(failed={(MINE, 0): "confidence failed: killed"})) == set()
    assert kept(folder, cells_of(failed=ALL_FAILED)) == {"confidence"}


class Bench:
    """A plan of one domain that cannot be used, and a results folder with a row of each of its arms."""

    def __init__(self, folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
        from support import toy_suite

        self.out, self.folder, self.registry = folder, folder / "toy", registry
        self.suite = toy_suite(folder / "models", seeds=1)
        self.planned = self.plan(self.suite)
        for cell in self.planned.cells:
            of_plan(cell, self.planned).write(self.folder)
        (self.folder / "suite.yaml").write_text(self.planned.suite.to_yaml())
        (self.folder / "README.md").write_text("the board")
        unusable = {cell.domain.name: NO_DATA for cell in self.planned.cells}
        monkeypatch.setattr(running, "check_first", lambda *_, **__: running.FirstLook(unusable, ()))
        monkeypatch.setattr(leaderboard, "write_leaderboard", lambda folder: None)

    def plan(self, suite: Suite) -> Plan:
        return plan(suite, self.registry, domains=["largest"], trust=["confidence"])

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def run(self, planned: Plan) -> running.RunReport:
        class Idle:
            def run(self, *_: Any) -> dict[str, Any]:
                return {}

        where: Any = {"store": self.out / "store", "executor": Idle(), "events": lambda event: None}
        return running.execute(planned, out=self.out, **where)


@pytest.fixture
def bench(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Bench:  # noqa: F811
    return Bench(tmp_path, registry, monkeypatch)


def test_a_domain_that_cannot_be_used_keeps_its_rows_whatever_their_documents_were(bench: Bench) -> None:
    before = bench.files()
    other = bench.planned.cells[0].domain.model_copy(update={"documents": "4" * 64, "fingerprint": "5" * 64})
    for cell in read_cells(bench.folder):
        change(cell, domain=other).write(bench.folder)
    changed = bench.files()
    assert changed.keys() == before.keys()
    report = bench.run(bench.planned)
    assert bench.files() == changed
    count = len(report.cells)
    assert not report.ok and len(report.failures) == count == len(report.unwritten)
    (note,) = report.notes
    assert note.startswith(f"{count} rows (") and note.endswith(
        "left as found: their domain could not be used this time"
    )
    assert len(repr(report)) < 200

    (bench.folder / "README.md").unlink()  # a board that was not finished: rows are written as they come
    assert not bench.run(bench.planned).ok
    assert bench.files() == {path: text for path, text in changed.items() if not path.endswith("README.md")}


def test_without_a_result_of_the_domain_its_failures_are_written(bench: Bench) -> None:
    for path in bench.folder.rglob("*.json"):
        path.unlink()
    report = bench.run(bench.planned)
    assert not report.unwritten
    assert all(cell.body.failed for cell in read_cells(bench.folder)) and len(read_cells(bench.folder)) == len(
        report.cells
    )


def test_more_seeds_of_a_domain_that_cannot_be_used_leave_the_folder_whole(bench: Bench) -> None:
    before = bench.files()
    longer = bench.plan(bench.suite.model_copy(update={"seeds": 2}))
    with pytest.raises(SuiteError, match=r"cannot read train.jsonl\n.*toy holds results of .*largest for fewer seeds"):
        bench.run(longer)
    assert bench.files() == before


def test_rows_beside_a_run_whose_documents_cannot_be_read_are_not_called_stale(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told to remove them would lose them."""
    asked: list[object] = []
    monkeypatch.setattr(refusals, "refuse_contradictions", lambda cells, *_: asked.extend(cells))
    one = replace(bench.planned, cells=bench.planned.cells[:1])
    read = one.cells[0].domain.model_copy(update={"documents": "6" * 64})
    for cell in bench.planned.cells:
        of_plan(cell, bench.planned, domain=read).write(bench.folder)
    refusals.refuse_stale_cells(bench.folder, one)
    assert len(asked) == len(bench.planned.cells) - 1
    for cell in bench.planned.cells:
        of_plan(cell, bench.planned, domain=read.model_copy(update={"fingerprint": "7" * 64})).write(bench.folder)
    with pytest.raises(CellError, match="made with another version of the suite, the domain"):
        refusals.refuse_stale_cells(bench.folder, one)
