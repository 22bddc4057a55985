"""A plan → stages run, cells and pages written. What the user must change first is said before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from w2s_bench.errors import CellError, NotApplicableError, SuiteError
from w2s_bench.names import README
from w2s_bench.results.cells import Cell
from w2s_bench.results.files import read_cell
from w2s_bench.suite import MOST_SEEDS, Suite
from w2s_bench.suite_files import load_suite

if TYPE_CHECKING:
    from w2s_bench.domains.documents import Documents
    from w2s_bench.executors import Event, Executor, Failed, Outcome
    from w2s_bench.executors.resources import Limits
    from w2s_bench.executors.until import Until
    from w2s_bench.protocol.generation import Generation
    from w2s_bench.results.leaderboard import Leaderboard
    from w2s_bench.runs.logs.told import Told
    from w2s_bench.runs.plan import Plan, PlannedCell
    from w2s_bench.store import Store
    from w2s_bench.store.stage import Stage


@dataclass(frozen=True)
class RunReport:
    """What a run left behind: cells (written to `folder`), the leaderboard made of them, what went wrong, what to know.

    `unwritten`: rows of `cells` in whose place `folder` keeps what it had (`runs.standing`).
    """

    suite: Suite
    folder: Path
    cells: tuple[Cell, ...]
    leaderboard: Leaderboard
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    unwritten: frozenset[str] = frozenset()

    @property
    def failures(self) -> tuple[tuple[str, int, str], ...]:
        """(row, seed, reason) of every seed that failed."""
        return tuple((c.row, s.seed, s.error or "") for c in self.cells for s in c.body.failed)

    @property
    def ok(self) -> bool:
        """Nothing is broken. An arm that asks for what a domain or its models cannot give is told, and breaks nothing."""
        return all(NotApplicableError.is_behind(reason) for _, _, reason in self.failures) and not self.problems

    def __repr__(self) -> str:
        """A line: its cells are thousands of figures."""
        return f"RunReport({str(self.folder)!r}: {len(self.cells)} cells, {len(self.failures)} failures, {len(self.problems)} problems)"

    def _repr_html_(self) -> str:
        """The first table of the board, as a notebook shows it where `w2s_bench.run(…)` is the last line of a cell."""
        from w2s_bench.results.tables.formats import as_html
        from w2s_bench.results.tables.lines import arms_table

        return as_html(arms_table(self.leaderboard))


def _nowhere(cell: Cell) -> None:
    """Nobody waits for cells as they come."""


def default_workers() -> int:
    """One worker a processor this process may use; each takes one thread."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_executor(workers: int | None = None, limits: Limits | None = None, until: Until | None = None) -> Executor:
    """Worker processes on this machine; one a processor where their number is not given."""
    from w2s_bench.executors.local.executor import LocalExecutor
    from w2s_bench.executors.resources import Limits

    return LocalExecutor(workers if workers is not None else default_workers(), limits=limits or Limits(), until=until)


def make_plan(
    suite: str | Path | Suite,
    *,
    domains: Sequence[str] = (),
    trust: Sequence[str] | None = None,
    seeds: int | None = None,
    decompose: bool | Collection[str] = False,
    documents: Documents | None = None,
    events: Callable[[Event], None] = lambda event: None,
) -> Plan:
    """What a run would do: every cell with its stages. Raises on any unknown name. `documents` that are known are not read again.

    `events` is told what planning waits for: plugins may take long to import, and domains to read.
    """
    from w2s_bench.executors import preparing
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.plan import plan

    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    if seeds is not None and seeds != chosen.seeds:
        if not (type(seeds) is int and 1 <= seeds <= MOST_SEEDS):
            raise SuiteError(f"--seeds {seeds}: a run has 1 to {MOST_SEEDS} seeds, a whole number")
        chosen = Suite.model_validate({**chosen.model_dump(), "seeds": seeds})
    registry = Registry.load(awaits=preparing(events))
    return plan(chosen, registry, domains=domains, trust=trust, documents=documents, decompose=decompose)


def execute(
    planned: Plan,
    *,
    out: Path,
    store: Path | str,
    executor: Executor,
    events: Callable[[Event], None],
    models: bool = True,
    log: Told | None = None,
) -> RunReport:
    """Run a plan and write its results; whatever the user must change first is said before anything is trained.

    `models` are loaded for that, unless they have been used by now. `log` is told of trainings and rows as they come.
    """
    from w2s_bench.executors import Noted
    from w2s_bench.executors.local.executor import LocalExecutor
    from w2s_bench.record import write_atomically
    from w2s_bench.results.leaderboard import write_leaderboard
    from w2s_bench.runs.refusals import extension_note, refuse_absent_device, refuse_mistakes, refuse_unwritable_store
    from w2s_bench.runs.standing import Standing, in_words
    from w2s_bench.store import open_store

    folder = out / planned.suite.name
    refuse_mistakes(planned, folder)
    if isinstance(executor, LocalExecutor):
        refuse_absent_device(planned)
    opened = open_store(store)
    refuse_unwritable_store(planned, opened)
    events = log.watching(events, opened) if log else events
    extended = extension_note(planned, folder)
    again = _named_again(planned, folder, opened)
    for text in again:
        events(Noted(text))
    # Outcomes that a submission's jobs recorded are of cells alone: of golds it was told when it was handed in.
    first = check_first(planned, store=opened, executor=executor, events=events, models=models, contrary=models)
    # Whoever looks at the folder meanwhile sees rows come. A finished board stays whole until all of the new one is there.
    at_once = not extended and not (folder / README).exists()
    standing = Standing.of(planned.suite, folder, first.unusable)
    written = set[str]()

    def write(cell: Cell) -> None:
        written.add(cell.row)
        if not _is_written(cell, folder):
            cell.write(folder)

    def arrived(cell: Cell) -> None:
        if at_once and not standing.waits(cell):
            write(cell)
        if log:
            log.row(cell)

    def write_suite() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "suite.yaml", planned.suite.to_yaml())

    if at_once:
        write_suite()
    cells = compute(
        planned,
        store=opened,
        executor=executor,
        events=events,
        unusable=first.unusable,
        arrived=arrived,
    )
    if not at_once:
        write_suite()
    idle, better = standing.rows(cells)
    for cell in cells:
        if cell.row not in written | idle | better:
            write(cell)
    board = write_leaderboard(folder)
    if log:
        log.board(board)
    left = [*([] if idle else again), *in_words(idle, better, folder)]
    notes = [extended, *left, *planned.passed_over, *first.remarks, opened.excess(), *(log.faults if log else [])]
    told = tuple(note for note in notes if note)
    return RunReport(planned.suite, folder, cells, board, planned.problems, told, idle | better)


def _named_again(planned: Plan, folder: Path, store: Store) -> tuple[str, ...]:
    """Rows of the folder that this run computes again, and why. A folder without such rows costs no look into the store."""
    from w2s_bench.results.cells import cell_path
    from w2s_bench.runs.again import computed_again, in_words
    from w2s_bench.runs.preview import explain

    if not any(cell_path(folder, cell.row).is_file() for cell in planned.cells):
        return ()
    return in_words(
        computed_again(planned, folder, explain(planned.stages(), store, reasons=False, whole=False)), folder
    )


def compute(
    planned: Plan,
    *,
    store: Store,
    executor: Executor,
    events: Callable[[Event], None],
    unusable: Mapping[str, Failed] = MappingProxyType({}),
    arrived: Callable[[Cell], None] = _nowhere,
) -> tuple[Cell, ...]:
    """The cells of a plan, from what is stored and what has to run; of a domain that is `unusable` nothing runs.

    `arrived` is called with each as soon as it is made.
    """
    from w2s_bench.runs.arrivals import Arrivals
    from w2s_bench.store.stage import walk

    given: dict[str, Outcome] = {}
    targets: list[Stage] = []
    for cell in planned.cells:
        if (failed := unusable.get(cell.domain.name)) is not None:
            given |= {stage.node: failed for stage in walk(cell.targets())}
        else:
            targets += cell.targets()
    arrivals = Arrivals(planned.cells, given, store, arrived)
    return arrivals.all(executor.run(targets, store, arrivals.watching(events)))


@dataclass(frozen=True)
class FirstLook:
    """What is known before anything is trained: domains that cannot be run, each with the reason; what else to know."""

    unusable: Mapping[str, Failed]
    remarks: tuple[str, ...]


def check_first(
    planned: Plan,
    *,
    store: Store,
    executor: Executor,
    events: Callable[[Event], None],
    models: bool = True,
    contrary: bool = True,
) -> FirstLook:
    """Cut every domain's splits, make its gold, look for `contrary` golds and load its `models` (unless they run elsewhere), and
    train nothing.

    Sizes that a domain cannot fill, or a leak, end the run here. Items or gold that cannot be made, or a model that cannot
    be used, are no mistake in the suite: they are told now, and the cells of that domain alone fail.
    """
    from w2s_bench.executors import Ended, Failed, Noted, Planned
    from w2s_bench.protocol.items import remarks

    splits = planned.splits()
    cut = {stage.node for split in splits for stage in (split, split.inputs["held_out"])}

    def untroubled(event: Event) -> None:
        if isinstance(event, Planned):
            events(replace(event, purpose="first checks"))
        elif not (isinstance(event, Ended) and _cause_of(event.outcome) in cut):  # `cut` is told below
            events(event)

    first: dict[str, PlannedCell] = {}
    for cell in planned.cells:  # generations of a chain, which have other models, come after the one hop
        first.setdefault(cell.domain.name, cell)
    of = {
        name: [
            *_golds(cell.graphs[0]),
            *([_contradictions(cell)] if contrary else []),
            *(cell.models if models else ()),
        ]
        for name, cell in first.items()
    }
    outcomes = executor.run([*splits, *(stage for stages in of.values() for stage in stages)], store, untroubled)
    reasons: dict[str, str] = {}  # the first of each domain, since its other seeds fail alike
    for stage in splits:
        outcome = outcomes[stage.node]
        if isinstance(outcome, Failed) and outcome.cause_node in cut:
            reasons.setdefault(stage.domain, outcome.reason)
    if reasons:
        raise SuiteError("\n".join(reasons.values()))
    unusable: dict[str, Failed] = {}
    told: list[str] = []
    for cell in first.values():
        for stage in (cell.graphs[0].items, *of[cell.domain.name]):
            outcome = outcomes[stage.node]
            if isinstance(outcome, Failed):
                unusable.setdefault(cell.domain.name, outcome)
            elif (result := store.find(stage, outcome.result.key)) is not None:
                told += remarks(cell.domain.name, result.path)
    for text in dict.fromkeys(told):
        events(Noted(text))
    return FirstLook(unusable, tuple(dict.fromkeys(told)))


def _golds(graph: Generation) -> list[Stage]:
    """The answers that grade, and those that are learned from where they are others."""
    return [graph.answers, *([graph.training_answers] if graph.task.domain.own_training_gold else [])]


def _contradictions(cell: PlannedCell) -> Stage:
    """What finds questions with contrary golds: told at the start of a run, and no part of any cell."""
    from w2s_bench.protocol.contradictions import contradictions

    domain, graph = cell.task.domain, cell.graphs[0]
    return contradictions(
        domain, items=graph.items, answers=graph.answers, label=f"{domain.short_name} · contrary golds"
    )


def _cause_of(outcome: Outcome) -> str | None:
    """The node at which a failure began."""
    from w2s_bench.executors import Failed

    return outcome.cause_node if isinstance(outcome, Failed) else None


def _is_written(cell: Cell, folder: Path) -> bool:
    """Whether the same body lies there already; then its provenance, of the run that made it, stays."""
    try:
        return read_cell(cell.path(folder)).digest == cell.digest
    except CellError:
        return False  # there is no file yet, or somebody altered it: the run writes it anew
