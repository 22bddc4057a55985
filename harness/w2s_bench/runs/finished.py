"""A run that has ended, as its folder and its store have it: what it made, and what is made besides to look at it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.controls import EASY, made_of
from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors import Failed, preparing
from w2s_bench.machine import multiplying_all_but
from w2s_bench.names import BUILT_IN, short
from w2s_bench.protocol.kept import Kept
from w2s_bench.record import digest_of
from w2s_bench.results.cells import Cell
from w2s_bench.results.surroundings import imitated_by
from w2s_bench.runs.looked import Looked, new_stages
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.preview import explain
from w2s_bench.store.stage import Stage, walk

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.runs.plan import PlannedCell
    from w2s_bench.store import Store
    from w2s_bench.suite import Suite


class FinishedRun:
    """A run as its folder and store have it.

    After `look` it has `planned` (domain → its planned cells, each with the cell of the folder), `looked` (domain and seed → what is
    made besides), `failed` (of which a stage of that failed) and `results`; before, nothing of the kind.
    """

    results: Results

    def __init__(self, results: Path, suite: Suite, cells: Sequence[Cell], store: Store) -> None:
        self.folder, self.suite, self.cells, self.store = results, suite, cells, store
        self.names = list(dict.fromkeys(short(cell.body.domain.name) for cell in cells))
        self.problems: tuple[str, ...] = ()
        self.looked: dict[tuple[str, int], Looked] = {}
        self.failed: set[tuple[str, int]] = set()
        self.planned: dict[str, list[tuple[PlannedCell, Cell]]] = {}

    def command(self, explaining: Sequence[str]) -> str:
        """The run that makes what this folder was made of, with the options that ask for controls which explain others."""
        trusts = sorted({cell.body.arm.trusts for cell in self.cells if cell.body.arm.trusts})
        named = [f"--trust {shlex.quote(short(name) if name.startswith(f'{BUILT_IN}/') else name)}" for name in trusts]
        given = [shlex.quote(str(self.folder / "suite.yaml")), *named]
        given += explaining
        where = f"--out {shlex.quote(str(self.folder.parent))} --store {shlex.quote(str(self.store.location))}"
        return f"w2s-bench run {' '.join(given)} {where}"

    def look(self, executor: Executor, events: Callable[[Event], None], sections: Sequence[str], sample: int) -> None:
        """Run what is new, of what the store holds."""
        self._plan(events)
        made = [stage for pairs in self.planned.values() for cell, told in pairs for stage in _made(cell, told)]
        explained = explain(list(walk(made)), self.store, reasons=False)
        there = {look.stage.node for look in explained if look.path is not None}
        missing = [stage for stage in made if stage.node not in there]
        if missing:
            explaining = ["--decompose"] if decomposed(self.cells) else _controls(self.cells)
            raise StoreError(
                f"{self.folder}: labels, scores and kept rows lie in the store of the run, and {self.store.location} lacks "
                f"{len(missing)} of {len(made)} of these stages (such as {missing[0].label or missing[0].name}). Give --store "
                f"PLACE, or make them again (what is stored is not computed again): {self.command(explaining)}"
            )
        for name, pairs in self.planned.items():
            for graph in pairs[0][0].graphs:
                self.looked[name, graph.seed] = new_stages(graph, sections, sample)
        new = [stage for looked in self.looked.values() for stage in looked.stages()]
        self.results = Results(executor.run([*made, *new], self.store, events), self.store)
        for key, looked in self.looked.items():
            for stage in looked.stages():
                if (failed := self.results.failure(stage)) is not None:
                    self._fail(key, failed)
        self._refuse_another()

    def _plan(self, events: Callable[[Event], None]) -> None:
        from w2s_bench.plugins.registry import Registry
        from w2s_bench.runs.plan import plan

        trust = sorted({cell.body.arm.trusts for cell in self.cells if cell.body.arm.trusts})
        explained = any(cell.body.arm.explains for cell in self.cells)
        names = list(dict.fromkeys(cell.body.domain.name for cell in self.cells))
        registry = Registry.load(awaits=preparing(events))
        with multiplying_all_but(imitated_by(self.cells)):
            planned = plan(self.suite, registry, domains=names, trust=trust, decompose=explained)
        by_row = {cell.row: cell for cell in planned.cells}
        for told in self.cells:
            if told.row not in by_row:
                raise W2SBenchError(f"{self.folder}: row {told.row} is none that a run of its suite here would have")
            self.planned.setdefault(short(told.body.domain.name), []).append((by_row[told.row], told))

    def _fail(self, key: tuple[str, int], failed: Failed) -> None:
        self.failed.add(key)
        said = f"{key[0]}, seed {key[1]}: {failed.stage} failed: {failed.reason}"
        self.problems = tuple(dict.fromkeys([*self.problems, said]))

    def _refuse_another(self) -> None:
        """Refuse a store whose kept rows are not those that the cells tell of."""
        for pairs in self.planned.values():
            for cell, told in pairs:
                for seed in told.body.seeds:
                    own = cell.stages[seed.seed]
                    if seed.error is not None or own.kept is None or told.body.arm.facts.with_trust_set:
                        continue
                    weights = Kept.read(self.results.folder(own.kept)).weights
                    rows = list(weights)
                    kept = digest_of(dict(weights)) if len(set(weights.values())) > 1 else digest_of(rows)
                    if kept != seed.digests.get("kept"):
                        raise StoreError(
                            f"{told.row}, seed {seed.seed}: the rows that this store keeps are not those of the cell, which another "
                            "machine or other versions made; give the store of its run, or run it again with this one"
                        )


def _explaining(cells: Sequence[Cell]) -> set[str]:
    """The controls that a run was asked for to explain others: words of those made of an arm, names of others."""
    made = {name: made_of(name) for name in (short(cell.body.arm.name) for cell in cells if cell.body.arm.explains)}
    return {name if known is None else known[0].word for name, known in made.items()}


def decomposed(cells: Sequence[Cell]) -> bool:
    """Whether that was all of them; a run that was asked for some hardly has the one that this analysis begins with."""
    return EASY in _explaining(cells)


def _controls(cells: Sequence[Cell]) -> list[str]:
    """The options that ask for those again."""
    return [f"--control {name}" for name in sorted(_explaining(cells))]


def _made(cell: PlannedCell, told: Cell) -> list[Stage]:
    """What the run made of a cell that is read here, of the seeds that did not fail."""
    if told.body.arm.facts.of_pool is None:
        return []
    out: list[Stage] = []
    for seed in alive(told, range(len(cell.graphs))):
        graph, own = cell.graphs[seed], cell.stages[seed]
        out += [graph.subset(graph.pool), graph.weak_labels(graph.pool), graph.label_grades(graph.pool)]
        out += [stage for stage in (own.scores, own.kept) if stage is not None]
    return out


def alive(told: Cell, seeds: Sequence[int]) -> list[int]:
    alive = {seed.seed for seed in told.body.seeds if seed.error is None}
    return [seed for seed in seeds if seed in alive]
