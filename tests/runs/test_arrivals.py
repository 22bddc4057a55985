"""Rows come while a run goes on: each cell when its last stage has ended, once, and the run's own line beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stage_functions import stage
from w2s_bench._cli import announced as announcing
from w2s_bench.errors import StoreError
from w2s_bench.executors import Done, Ended, Event, Failed, Planned
from w2s_bench.names import PROGRESS
from w2s_bench.runs import arrivals
from w2s_bench.runs.arrivals import Arrivals
from w2s_bench.store import Result, Store
from w2s_bench.store.stage import Stage

SHARED = stage("write", text="shared")
ONE, TWO = (stage("write", {"from": SHARED}, text=text) for text in ("one", "two"))
DONE = Done(Result(Path("result"), "key", "content", {}, 1.0, 1.0, "2026-01-01T00:00:00Z"))


@dataclass(frozen=True)
class FakeCell:
    name: str
    stages: tuple[Stage, ...]

    def targets(self) -> Sequence[Stage]:
        return self.stages


CELLS: Any = (
    FakeCell("first", (ONE,)),
    FakeCell("both", (ONE, TWO)),
    FakeCell("unusable", (stage("write", text="x"),)),
)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of cells that were made, in their order; a cell is its name."""
    names: list[str] = []

    def cell_of(cell: FakeCell, results: Any) -> str:
        assert all(one.node in results.outcomes for one in cell.stages)
        names.append(cell.name)
        return cell.name

    monkeypatch.setattr(arrivals, "cell_of", cell_of)
    return names


def test_a_cell_comes_with_its_last_stage_and_once(tmp_path: Path, made: list[str]) -> None:
    came: list[Any] = []
    told: list[Event] = []
    failed = Failed("x", "no data", CELLS[2].stages[0].node)
    watched = Arrivals(CELLS, {CELLS[2].stages[0].node: failed}, Store(tmp_path / "store"), came.append)
    tell = watched.watching(told.append)
    for event in (Planned(3, 1), Ended(ONE, DONE)):
        tell(event)
    assert came == []  # what it is made of is not all known yet
    tell(Ended(SHARED, DONE))
    assert came == ["first"]
    tell(Ended(TWO, DONE))
    assert came == ["first", "both"]
    tell(Ended(TWO, DONE))
    outcomes = {one.node: DONE for one in (SHARED, ONE, TWO)}
    assert watched.all(outcomes) == ("first", "both", "unusable")
    assert came == made == ["first", "both", "unusable"]
    assert len(told) == 5


def test_a_cell_that_cannot_be_made_on_the_way_is_told_of_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(cell: Any, results: Any) -> None:
        raise StoreError("the result has gone")

    monkeypatch.setattr(arrivals, "cell_of", gone)
    watched = Arrivals(CELLS[:1], {}, Store(tmp_path / "store"), lambda cell: None)
    tell = watched.watching(lambda event: None)
    tell(Ended(SHARED, DONE))
    tell(Ended(ONE, DONE))
    with pytest.raises(StoreError, match="has gone"):
        watched.all({})


def test_a_run_says_in_its_folder_how_far_it_is_and_goes_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "_EVERY", 0.01)
    folder, told = tmp_path / "tiny", list[Event]()
    with announcing.announced("tiny", folder, told.append) as tell:
        tell(Planned(3, 1))
        assert not folder.exists()  # the run makes it, when nothing speaks against it any more
        folder.mkdir()
        tell(Ended(SHARED, DONE))
        while not (line := folder / PROGRESS).exists() or "1 of 3 stages" not in line.read_text():
            time.sleep(0.01)
        assert json.loads(line.read_text()).startswith("tiny: 1 of 3 stages")
    assert list(folder.iterdir()) == []
    assert len(told) == 2
