"""Outcomes of a run's stages, and the files behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from w2s_bench.errors import StoreError
from w2s_bench.executors import Done, Failed, Outcome
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ITEMS, PREDICTIONS
from w2s_bench.record import read_records
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage
from w2s_bench.types import Item, Prediction

Outcomes = Mapping[str, Outcome]


class Results:
    """Outcomes of a run with the files behind them, each read once, fetched where they were made on another machine."""

    def __init__(self, outcomes: Outcomes, store: Store) -> None:
        self.outcomes, self.store = outcomes, store
        self._items: dict[Path, list[Item]] = {}
        self._labels: dict[Path, list[Prediction]] = {}
        self._grades: dict[Path, dict[str, bool]] = {}

    def failure(self, stage: Stage) -> Failed | None:
        outcome = self.outcomes[stage.node]
        return outcome if isinstance(outcome, Failed) else None

    def folder(self, stage: Stage) -> Path:
        outcome = self.outcomes[stage.node]
        assert isinstance(outcome, Done), f"{stage.label} has no result"
        result = outcome.result
        if not result.path.is_dir() and self.store.find(stage, result.key) is None:
            raise StoreError(f"the result of {stage.label} has gone from the store {self.store.location}; run again")
        return result.path

    def content(self, stage: Stage) -> str:
        outcome = self.outcomes[stage.node]
        assert isinstance(outcome, Done), f"{stage.label} has no result"
        return outcome.result.content

    def items(self, subset: Stage) -> list[Item]:
        path = self.folder(subset)
        if path not in self._items:
            self._items[path] = read_records(path / ITEMS, Item)
        return self._items[path]

    def labels(self, stage: Stage) -> list[Prediction]:
        path = self.folder(stage)
        if path not in self._labels:
            self._labels[path] = read_records(path / PREDICTIONS, Prediction)
        return self._labels[path]

    def grades(self, stage: Stage) -> dict[str, bool]:
        path = self.folder(stage)
        if path not in self._grades:
            self._grades[path] = read_grades(path)
        return self._grades[path]
