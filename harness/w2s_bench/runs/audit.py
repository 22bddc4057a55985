"""Does gold reach a trust function? Its scores again, with the domain's gold dealt out anew and no store in sight."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from w2s_bench.errors import SuiteError, W2SBenchError
from w2s_bench.names import DATA_VARIABLE
from w2s_bench.protocol.files import ANSWERS, ITEMS
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_records
from w2s_bench.runs.altered import Gold, altered_copy
from w2s_bench.types import Answer, Item

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.plan import PlannedCell
    from w2s_bench.store.stage import Stage
    from w2s_bench.suite import Suite

Verdict = Literal["sound", "follows gold", "follows the store", "failed"]
#: Scores that differ by less are the same but for the last digits of a sum.
_ROUNDING: Final = 1e-6
_MOST_SECONDS: Final = 3600.0
#: What the verdicts mean, for people.
MEANING: Final[Mapping[Verdict, str]] = {
    "sound": "the same scores without a store in sight and with other gold in the domain's files",
    "follows gold": "other gold in the domain's files gives other scores: the function reads the answers that the domain ships",
    "follows the store": (
        "other scores where no store is in sight: the function reads files of the run, or is not the same every time (see "
        "`w2s_bench.testing`)"
    ),
    "failed": "nothing to compare",
}


@dataclass(frozen=True)
class Row:
    """A row whose score changed: its item, the scores as run and as audited."""

    item: str
    run: float
    audited: float


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
    # A suite may have other selections beside `top`: their arms have the same scores, or what a guarantee leaves of them.
    cells = {
        cell.domain.name: cell
        for cell in planned.cells
        if cell.stages[0].scores is not None and cell.arm.ref.selection == "top"
    }
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
    gold = Gold.of(
        read_records(folder(graph.items) / ITEMS, Item), read_records(folder(graph.answers) / ANSWERS, Answer)
    )
    # The function learns nothing from the folder's name, and finds no store beside it.
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        inputs = {}
        for number, (role, stage) in enumerate(sorted(scores.inputs.items())):
            inputs[role] = root / "inputs" / str(number)
            shutil.copytree(folder(stage), inputs[role], ignore=shutil.ignore_patterns("manifest.json"))
        environment, records = _other_gold(cell, registry, gold, root)
        told = {
            "params": dict(scores.params),
            "inputs": {role: str(path) for role, path in inputs.items()},
            "key": key(scores),
            "distribution": registry.resolve("trust_function", name).distribution,
        }
        settled = (domain, name)
        try:
            again = _scored(told, root / "other gold", environment)
            rows = _differing(first, again)
            if not rows:
                return Audited(*settled, "sound", len(first), records)
            # The second run gets gold as it is shipped and no store. It tells which of the two the scores follow.
            apart = _scored(told, root / "no store", {})
        except (W2SBenchError, subprocess.TimeoutExpired) as error:
            return Audited(*settled, "failed", len(first), records, reason=str(error))
    hidden = _differing(first, apart)
    return Audited(*settled, "follows the store" if hidden else "follows gold", len(first), records, tuple(rows))


def _other_gold(cell: PlannedCell, registry: Registry, gold: Gold, root: Path) -> tuple[dict[str, str], int]:
    """The environment of a process that finds the domain's files with other gold, and how many records they are."""
    from w2s_bench.plugins.descriptions import module_of
    from w2s_bench.plugins.source import sources_of

    registered = registry.resolve("domain", cell.domain.name)
    modules = [module for module in (registered.module, module_of(registered.factory)) if module]
    packages = root / "packages"
    records = 0
    for source in sources_of(modules, registered.distribution):
        for package_folder in source.folders:
            records += altered_copy(package_folder, packages / Path(*source.root.split(".")), gold)
    environment = {"PYTHONPATH": _path(packages)}
    if data := os.environ.get(DATA_VARIABLE):
        records += altered_copy(Path(data), root / "data", gold)
        environment[DATA_VARIABLE] = str(root / "data")
    if not records:
        raise W2SBenchError(
            f"domain {cell.domain.name!r}: its documents lie in no JSON, JSON lines or CSV file of its package or of --data, so "
            "that their gold cannot be dealt out anew; audit the function on a domain whose documents do"
        )
    return environment, records


def _path(*first: Path) -> str:
    """The search path of this process, with other folders before it."""
    return os.pathsep.join([*map(str, first), *filter(None, sys.path)])


def _scored(told: Mapping[str, object], out: Path, environment: Mapping[str, str]) -> Scores:
    """Scores by a new process, from whose surroundings no way leads to a store."""
    from w2s_bench.isolation.process_state import WORKER_ENVIRONMENT
    from w2s_bench.store import LOCATION_VARIABLE

    home = out.with_name(f"{out.name} home")
    for folder in (out, home):
        folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if name != LOCATION_VARIABLE}
    kept["PYTHONPATH"] = _path()
    hidden = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(home), "PWD": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "w2s_bench.runs.rescored"],
        input=json.dumps({**told, "out": str(out)}),
        env={**kept, **WORKER_ENVIRONMENT, **hidden, **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=_MOST_SECONDS,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise W2SBenchError(lines[-1])
    return Scores.read(out)


def _differing(first: Scores, again: Scores) -> list[Row]:
    """Rows whose scores differ by more than rounding, those that differ most first."""
    other = dict(again.items())
    size = _ROUNDING * max(1e-12, float(np.ptp(first.values)) if len(first) else 0.0)
    rows = [Row(item, score, other[item]) for item, score in first.items() if not abs(score - other[item]) <= size]
    return sorted(rows, key=lambda row: (-abs(row.run - row.audited), row.item))
