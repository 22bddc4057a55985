"""Does gold reach a trust function? Its scores again, with the domain's gold dealt out anew and no store in sight."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from w2s_bench.errors import SuiteError, W2SBenchError
from w2s_bench.protocol.files import ANSWERS, ITEMS
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_records
from w2s_bench.runs.apart import scored_apart
from w2s_bench.runs.compared import Row, differing
from w2s_bench.runs.dealt import Gold
from w2s_bench.runs.other_gold import other_gold
from w2s_bench.types import Answer, Item

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.plan import PlannedCell
    from w2s_bench.store.stage import Stage
    from w2s_bench.suite import Suite

Verdict = Literal["sound", "follows gold", "follows the store", "failed"]
#: What the verdicts mean, for people.
MEANING: Final[Mapping[Verdict, str]] = {
    "sound": "the same scores without a store in sight and with other gold in the domain's files, for every item that is scored",
    "follows gold": "other gold in the domain's files gives other scores: the function reads the answers that the domain ships",
    "follows the store": (
        "other scores where no store is in sight: the function reads files of the run, or is not the same every time (see "
        "`w2s_bench.testing`)"
    ),
    "failed": "nothing to compare, or gold that could not be altered",
}


@dataclass(frozen=True)
class Audited:
    """What came of one function on one domain. `rows` differ, of `count`; `records` of the domain's files had other gold."""

    domain: str
    trust_function: str
    verdict: Verdict
    count: int
    records: int
    rows: tuple[Row, ...] = ()
    reason: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict == "sound"


def audit(
    trust: str,
    suite: str | Path | Suite,
    *,
    domains: Sequence[str],
    store: str | Path,
    executor: Executor,
    events: Callable[[Event], None],
) -> list[Audited]:
    """One seed of each domain that the function is meant for. The first scores are those that a run stores."""
    from w2s_bench.executors.events import preparing
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.execute import make_plan
    from w2s_bench.store import open_store

    planned = make_plan(suite, domains=domains, trust=[trust], seeds=1, events=events)
    cells = ranked_cells(planned.cells)
    if not cells:
        raise SuiteError("\n".join(planned.problems) or f"{trust!r} scores nothing in suite {planned.suite.name!r}")
    if next(iter(cells.values())).arm.ref.supervision == "privileged":
        raise SuiteError(f"{trust!r} is privileged: it may see gold, so there is nothing to audit")
    opened = open_store(store)
    # In a run the pool's gold may lie in the store before a function scores. Here it always does, so that who looks finds it.
    outcomes = {**executor.run([stage for cell in cells.values() for stage in _beside(cell)], opened, events)}
    outcomes |= executor.run([stage for cell in cells.values() for stage in _needed(cell)], opened, events)

    def folder(stage: Stage) -> Path:
        from w2s_bench.executors import Failed

        outcome = outcomes[stage.node]
        if isinstance(outcome, Failed):
            raise W2SBenchError(f"{outcome.stage}: {outcome.reason}")
        stored = opened.find(stage, outcome.result.key)
        if stored is None:
            raise W2SBenchError(f"{stage.label}: its result is gone from the store; run again")
        return stored.path

    def key(stage: Stage) -> str:
        outcome = outcomes[stage.node]
        return str(outcome.result.key)  # type: ignore[union-attr]  # `folder` has told of those that failed

    registry = Registry.load(awaits=preparing(events))
    audited = []
    for cell in cells.values():
        try:
            audited.append(_audited(cell, registry, folder, key))
        except W2SBenchError as error:
            audited.append(
                Audited(cell.domain.name, str(cell.arm.ref.trust_function), "failed", 0, 0, reason=str(error))
            )
    return audited


def ranked_cells(cells: Sequence[PlannedCell]) -> dict[str, PlannedCell]:
    """By domain the cell of a function's that is ranked: of a chain the one hop, for each generation scores under its own teacher.

    A suite may have other selections beside `top`: their arms have the same scores, or what a guarantee leaves of them.
    """
    return {
        cell.domain.name: cell
        for cell in cells
        if cell.generation is None and cell.stages[0].scores is not None and cell.arm.ref.selection == "top"
    }


def _beside(cell: PlannedCell) -> list[Stage]:
    """What of the domain lies in the store of a run beside what the function is given."""
    graph = cell.graphs[0]
    beside = [graph.items, graph.answers, graph.gold(graph.pool), graph.label_grades(graph.pool)]
    if graph.task.domain.own_training_gold:
        beside += [graph.training_gold(graph.pool), graph.training_grades(graph.pool)]
    return beside


def _needed(cell: PlannedCell) -> list[Stage]:
    scores = cell.stages[0].scores
    assert scores is not None
    return [scores, *scores.inputs.values()]


def _audited(
    cell: PlannedCell, registry: Registry, folder: Callable[[Stage], Path], key: Callable[[Stage], str]
) -> Audited:
    scores, graph = cell.stages[0].scores, cell.graphs[0]
    assert scores is not None
    name, domain = str(cell.arm.ref.trust_function), cell.domain.name
    first = Scores.read(folder(scores))
    answers = read_records(folder(graph.answers) / ANSWERS, Answer)
    gold = Gold.of(read_records(folder(graph.items) / ITEMS, Item), answers)
    # The function learns nothing from the folder's name, and finds no store beside it.
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        inputs = {}
        for number, (role, stage) in enumerate(sorted(scores.inputs.items())):
            inputs[role] = root / "inputs" / str(number)
            shutil.copytree(folder(stage), inputs[role], ignore=shutil.ignore_patterns("manifest.json"))
        other = other_gold(cell, registry, gold, answers, first, root)
        records = other.altered.records
        told = {
            "params": dict(scores.params),
            "inputs": {role: str(path) for role, path in inputs.items()},
            "key": key(scores),
            "distribution": registry.resolve("trust_function", name).distribution,
        }
        settled = (domain, name)
        try:
            try:
                again = scored_apart({**told, **other.refused()}, root / "other gold", other.environment)
            except W2SBenchError as error:
                raise W2SBenchError(f"{error}{other.left_out()}") from error
            rows = differing(first, again)
            if not rows and (rows := _in_last_digits(told, root, first, again)):
                return Audited(*settled, "follows gold", len(first), records, tuple(rows))
            if not rows:
                other.check_every_gold(gold, answers, first)
                other.check_other_files(gold, first)
                return Audited(*settled, "sound", len(first), records)
            # The second run gets gold as it is shipped and no store. It tells which of the two the scores follow.
            apart = scored_apart(told, root / "no store", {})
        except (W2SBenchError, subprocess.TimeoutExpired) as error:
            return Audited(*settled, "failed", len(first), records, reason=str(error))
    hidden = differing(first, apart)
    return Audited(*settled, "follows the store" if hidden else "follows gold", len(first), records, tuple(rows))


def _in_last_digits(told: Mapping[str, object], root: Path, first: Scores, again: Scores) -> list[Row]:
    """Rows whose scores differ by less than the first ones may be off by, which another machine may have made.

    Here they come out the same, to what sums in 64 bits are off by, unless gold is in them. That they do is tried.
    """
    if not differing(first, again, exact=True):
        return []
    shipped, once_more = (scored_apart(told, root / f"shipped gold {number}", {}) for number in range(2))
    return [] if differing(shipped, once_more, exact=True) else differing(shipped, again, exact=True)
