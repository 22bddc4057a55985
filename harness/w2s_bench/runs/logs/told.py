"""A run's events, cells and board → what loggers are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from statistics import fmean
from typing import TYPE_CHECKING

from w2s_bench.errors import StoreError, said
from w2s_bench.executors import Done, Ended, Event, Noted, label_of
from w2s_bench.protocol.files import LOSSES
from w2s_bench.record import read_json
from w2s_bench.results.cells import Cell
from w2s_bench.runs.logs.base import Logger
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from w2s_bench.results.board import Leaderboard
    from w2s_bench.store import Store
    from w2s_bench.store.stage import Stage


def _unheard(event: Event) -> None:
    """Nobody is told that a logger failed."""


@dataclass
class Told:
    """Tells loggers, by name, of a run. One that raises is left out from then on, and that is told: the run goes on without it."""

    to: dict[str, Logger] = field(default_factory=dict)
    #: What loggers that failed said.
    faults: list[str] = field(default_factory=list)
    _events: Callable[[Event], None] = _unheard
    _nodes: set[str] = field(default_factory=set)
    _names: dict[str, int] = field(default_factory=dict)

    def watching(self, events: Callable[[Event], None], store: Store) -> Callable[[Event], None]:
        """What an executor tells its events, which are told on: losses are those of trainings that end, stored ones too."""
        self._events = events

        def told(event: Event) -> None:
            events(event)
            if self.to and isinstance(event, Ended) and isinstance(event.outcome, Done):
                self._ended(event.stage, event.outcome, store)

        return told

    def row(self, cell: Cell) -> None:
        """A cell that was made."""
        right = [seed for seed in cell.body.seeds if seed.accuracy is not None]
        figures = {"failed seeds": float(len(cell.body.failed))}
        for name in ("accuracy", "purity", "coverage", "kept"):
            values = [float(value) for seed in right if (value := getattr(seed, name)) is not None]
            figures |= {name: fmean(values)} if values else {}
        accuracies = {seed.seed: seed.accuracy for seed in right if seed.accuracy is not None}
        self._row(cell.row, figures, accuracies)

    def board(self, board: Leaderboard) -> None:
        """The board of the whole run: each row again, with the figures that it takes the others to know."""
        if not self.to:
            return
        from w2s_bench.names import row_name
        from w2s_bench.results.tables.lines import cells_table

        data = cells_table(board).data()
        for at, (domain, arm) in enumerate(zip(data["domain"], data["arm"], strict=True)):
            figures = {name: number for name, values in data.items() if (number := _number(values[at])) is not None}
            self._row(row_name(str(domain), str(arm)), figures, {})

    @contextmanager
    def closing(self) -> Iterator[Told]:
        """Closes the loggers at the end, whatever ended the run."""
        try:
            yield self
        finally:
            self._each(lambda logger: logger.close())
            self.to.clear()

    def _ended(self, stage: Stage, outcome: Done, store: Store) -> None:
        if stage.node in self._nodes or LOSSES not in outcome.result.files:
            return
        self._nodes.add(stage.node)
        result = outcome.result if outcome.result.path.is_dir() else store.find(stage, outcome.result.key)
        if result is None:
            raise StoreError(f"the result of {label_of(stage)} has gone from the store {store.location}; run again")
        losses = read_json(result.path / LOSSES)
        name = one_line(label_of(stage))
        self._names[name] = self._names.get(name, 0) + 1
        training = name if self._names[name] == 1 else f"{name} ({self._names[name]})"
        self._each(lambda logger: logger.losses(training, losses))

    def _row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        self._each(lambda logger: logger.row(row, figures, accuracies))

    def _each(self, tell: Callable[[Logger], None]) -> None:
        for name, logger in list(self.to.items()):
            try:
                tell(logger)
            except Exception as error:  # noqa: BLE001 - another's code, disk or network; hours of a run do not hang on it
                del self.to[name]
                fault = f"--log {name} failed and is left out from here on: {type(error).__name__}: {said(error)}"
                self.faults.append(fault)
                self._events(Noted(fault))


def _number(value: object) -> float | None:
    """A figure that a logger can draw; None for text and for what is missing."""
    return float(value) if isinstance(value, int | float) and isfinite(value) else None
