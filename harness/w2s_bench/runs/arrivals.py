"""Cells as they come: each is made when the last stage that it needs has ended, while others still run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from w2s_bench.errors import W2SBenchError
from w2s_bench.executors import Ended, Event, Outcome
from w2s_bench.results.cells import Cell
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import PlannedCell
from w2s_bench.store import Store
from w2s_bench.store.stage import walk


class Arrivals:
    """Watches a run's events and hands each cell over once, as soon as it can be made.

    `given` has the outcomes that are known beforehand, by `Stage.node`. A cell that cannot be made on the way is made at the
    end, where what is wrong with it is told.
    """

    def __init__(
        self,
        cells: Sequence[PlannedCell],
        given: Mapping[str, Outcome],
        store: Store,
        arrived: Callable[[Cell], None],
    ) -> None:
        self._cells, self._arrived = cells, arrived
        self._outcomes = dict(given)
        self._results = Results(self._outcomes, store)
        self._made: dict[int, Cell] = {}
        self._missing: dict[int, int] = {}
        self._needed_by: dict[str, list[int]] = defaultdict(list)
        for number, cell in enumerate(cells):
            nodes = {stage.node for stage in walk(cell.targets())} - self._outcomes.keys()
            self._missing[number] = len(nodes)
            for node in nodes:
                self._needed_by[node].append(number)

    def watching(self, events: Callable[[Event], None]) -> Callable[[Event], None]:
        """What an executor tells its events, which are then told on."""

        def told(event: Event) -> None:
            events(event)
            if isinstance(event, Ended) and event.stage.node not in self._outcomes:
                self._outcomes[event.stage.node] = event.outcome
                for number in self._needed_by.pop(event.stage.node, ()):
                    self._missing[number] -= 1
                    if not self._missing[number]:
                        self._try(number)

        return told

    def all(self, outcomes: Mapping[str, Outcome]) -> tuple[Cell, ...]:
        """Every cell in its order, now that all outcomes are known."""
        self._outcomes.update(outcomes)
        for number in range(len(self._cells)):
            if number not in self._made:
                self._make(number)
        return tuple(self._made[number] for number in range(len(self._cells)))

    def _try(self, number: int) -> None:
        try:
            self._make(number)
        except W2SBenchError:
            return  # a result has gone from the store: `all` asks again and tells

    def _make(self, number: int) -> None:
        self._made[number] = cell_of(self._cells[number], self._results)
        self._arrived(self._made[number])
