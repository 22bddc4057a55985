"""No command tells anything of an arm's answers on `test` before its row is complete: before every seed of it has ended.

A small run is stopped while one student of one row is missing, of which the store has the other seed's answers and grades. Then
everything that can show a figure is asked; what it reads is watched, so that a figure in any form would be found.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import w2s_bench
from support import run_inline, toy_registry, toy_suite
from w2s_bench import record
from w2s_bench._cli import run as run_verb
from w2s_bench._cli.app import app
from w2s_bench._cli.progress import RunState
from w2s_bench.errors import CellError, RunPausedError, UnknownNameError
from w2s_bench.executors import Done, Ended, Event, Outcome, Planned
from w2s_bench.names import CURVES
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import evaluation
from w2s_bench.record import read_json
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.files import read_cell
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.report.serving import Live
from w2s_bench.runs import execute
from w2s_bench.runs.logs.told import Told
from w2s_bench.runs.plan import Plan, PlannedCell
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite

DOMAIN = "w2s-bench-toy.largest"
HELD = f"{DOMAIN}/confidence"
runner = CliRunner()


class Stopping:
    """Runs stages in this process, all but one and what needs it, and then stops as at an hour; `hold` None: runs everything.

    `looked` is called between two events of the run, with the nodes that have ended.
    """

    def __init__(self, registry: Registry, hold: str | None, looked: Callable[[set[str]], None] = lambda ended: None):
        self.registry, self.hold, self.looked = registry, hold, looked
        self.ended: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        waits: set[str] = set()
        for stage in walk(targets):
            if stage.node == self.hold or waits & {needed.node for needed in stage.inputs.values()}:
                waits.add(stage.node)
        ready = [stage for stage in walk(targets) if stage.node not in waits]
        self.outcomes |= run_inline(ready, store, self.registry)
        events(Planned(len(ready) + len(waits), 1))
        for stage in ready:
            self.looked(self.ended)
            self.ended.add(stage.node)
            events(Ended(stage, self.outcomes[stage.node]))
        if waits:
            raise RunPausedError(f"{len(waits)} stages wait")
        return self.outcomes


@dataclass
class Following:
    """A logger that keeps the names of rows it is told of."""

    rows: list[str] = field(default_factory=list)

    def losses(self, training: str, values: Sequence[float]) -> None:
        pass

    def row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        self.rows.append(row)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Stopped:
    """The run, the cell that is held back, and what the store has of that: folders of answers and grades, and bits."""

    root: Path
    folder: Path
    suite: Path
    planned: Plan
    held: PlannedCell
    hold: str
    registry: Registry
    secret: tuple[Path, ...]
    bits: str

    def executor(self, hold: str | None = "") -> Stopping:
        return Stopping(self.registry, self.hold if hold == "" else hold)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    with pytest.MonkeyPatch.context() as patch:
        root, registry = tmp_path_factory.mktemp("stopped"), toy_registry(patch)
        content = toy_suite(root / "models", trust_functions=["confidence"]).model_dump(mode="json")
        path = root / "toy.yaml"
        path.write_text(Suite.model_validate({**content, "domains": content["domains"][:1]}).to_yaml())
        planned = execute.make_plan(path)
        held = next(cell for cell in planned.cells if cell.row == HELD)
        nodes = {cell.row: {stage.node for stage in walk(cell.targets())} for cell in planned.cells}
        training = held.stages[1].student.weights
        assert training is not None
        folder, log, state = root / "toy", Following(), RunState("toy")
        told: list[str] = []

        def looked(ended: set[str]) -> None:
            """Between two events: whoever looks at the folder, the log or the progress meets rows that are complete, alone."""
            complete = {row for row, own in nodes.items() if own <= ended}
            there = {
                str(cell.relative_to(folder / "results"))[: -len(".json")] for cell in folder.glob("results/*/*.json")
            }
            assert there <= complete and set(log.rows) <= complete
            told.append(state.line())

        executor = Stopping(registry, training.node, looked)
        with pytest.raises(RunPausedError):
            execute.execute(
                planned, out=root, store=root / "store", executor=executor, events=state, log=Told({"following": log})
            )
        assert HELD not in log.rows and len(log.rows) == len(planned.cells) - 1, "all other rows came"
        # No share, and so no accuracy, is part of a line of progress.
        assert told and not [line for line in told if re.search(r"\d\.\d|%", line)]
        student = held.stages[0].student
        results = [executor.outcomes[stage.node] for stage in (student.predictions, student.grades)]
        secret = tuple(done.result.path for done in results if isinstance(done, Done))
        right = list(dict(sorted(read_json(secret[1] / "grades.json").items())).values())
        bits = record.pack_bits(np.array(right, dtype=np.bool_))
        yield Stopped(root, folder, path, planned, held, training.node, registry, secret, bits)


@pytest.fixture
def read(stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What of the held row's answers and grades was read: whoever reads either does it by one of these."""
    seen: list[Path] = []

    def watched(name: str, module: Any) -> None:
        real = getattr(module, name)

        def reading(path: Path, *rest: Any) -> Any:
            seen.extend([path] if path.parent in stopped.secret else [])
            return real(path, *rest)

        monkeypatch.setattr(module, name, reading)

    watched("iter_rows", record)
    watched("read_json", evaluation)
    monkeypatch.setattr(run_verb, "chosen", lambda *_, **__: stopped.executor())
    monkeypatch.setattr(execute, "local_executor", lambda *_, **__: stopped.executor())
    return seen


def forms(bits: str) -> list[str]:
    """The bits of answers as files and pages have them."""
    return [bits, base64.b64encode(bytes.fromhex(bits)).decode()]


#: Every verb that reads a results folder, a store or a suite: its arguments, and how it may end. `{folder}`, `{suite}`, `{store}`
#: and `{out}` (a new place) are filled in; what is written below `{out}` is looked at as what is printed.
VERBS: list[tuple[str, set[int]]] = [
    ("run {suite} --out {root} --store {store}", {3}),
    ("run {suite} --out {root} --store {store} --json", {3}),
    ("run {suite} --out {out} --store {store} --quiet", {3}),
    ("run {suite} --out {root} --store {store} --dry-run --json", {0}),
    ("run {suite} --out {root} --store {store} --explain --json", {0}),
    ("run {suite} --out {root} --store {store} --coverage .25", {3}),
    ("leaderboard {folder}", {0}),
    ("leaderboard {folder} --json", {0}),
    ("table {folder} --cells --format json", {0}),
    ("table {folder} --format csv", {0}),
    ("report {folder} --out {out}.html", {0}),
    ("report {folder} --out {out}.html --items --store {store} --trust-folder", {0}),
    ("check {folder} --json", {0, 1}),
    ("check {folder} --sarif {out}.sarif", {0, 1}),
    ("diff {folder} {folder} --json", {0}),
    ("merge {folder} {folder} --out {out}", {0}),
    ("submit {folder} --to {out}", {0}),
    ("plan {folder} --json", {0, 2}),
    ("items {folder} --row " + HELD + " --store {store} --trust-folder", {2}),
    ("verify {folder} --row " + HELD + " --trust-folder", {2}),
    ("verify {folder} --explain", {0, 1}),
    ("analyse {folder} --store {store} --section curriculum --section attribution --section order --trust-folder --json", {0}),
    ("try confidence --on largest --suite {suite} --store {store} --json", {0}),
    ("suite check {suite} --gap --store {store} --json", {0}),
    ("store ls --long --json --store {store}", {0}),
    ("store verify --store {store}", {0}),
    ("list trust", {0}),
]  # fmt: skip


def asked(stopped: Stopped, verb: str, codes: set[int], folder: Path, out: Path) -> str:
    """All that a verb printed and wrote; it must end as it may."""
    places = {"folder": folder, "suite": stopped.suite, "store": stopped.root / "store", "root": stopped.root}
    done = runner.invoke(app, verb.format(**places, out=out).split(" "))
    written = [path for path in out.parent.rglob("*") if path.is_file()]
    written += [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"]
    told = "".join(path.read_text(errors="replace") for path in written)
    assert done.exit_code in codes, done.output
    return done.output + told


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "codes"), VERBS, ids=[verb for verb, _ in VERBS])
def test_no_verb_reads_or_tells_what_is_stored_of_a_row_that_is_not_complete(
    stopped: Stopped, read: list[Path], verb: str, codes: set[int], tmp_path: Path
) -> None:
    told = asked(stopped, verb, codes, stopped.folder, tmp_path / "out")
    assert read == [], "nobody looks at its answers or its grades"
    assert not [form for form in forms(stopped.bits) if form in told]
    assert not (stopped.folder / "results" / f"{HELD}.json").exists()


@pytest.mark.slow
def test_nor_does_python_or_the_page_that_follows_a_run(stopped: Stopped, read: list[Path]) -> None:
    assert "confidence" not in set(w2s_bench.table(stopped.folder)["arm"])
    frames = w2s_bench.results(stopped.folder)
    for frame in (frames.rows, frames.cells, frames.seeds):
        assert "naive" in set(frame["arm"]) and "confidence" not in set(frame["arm"])
    with pytest.raises(UnknownNameError):
        w2s_bench.items(stopped.folder, [HELD], store=stopped.root / "store", trust_folder=True)
    with pytest.raises(RunPausedError):
        w2s_bench.run(stopped.suite, out=stopped.root, store=stopped.root / "store", executor=stopped.executor())
    live = Live(stopped.folder)
    told = live.page() + json.dumps(live.state())
    assert "naive" in told and HELD not in told and not [form for form in forms(stopped.bits) if form in told]
    assert read == []


@pytest.mark.slow
def test_what_is_watched_is_what_a_row_is_made_of(stopped: Stopped, read: list[Path], tmp_path: Path) -> None:
    """The other tests would find it: the run that has every seed reads just these files, and its row has just these bits."""
    where = {"out": tmp_path, "store": stopped.root / "store", "executor": stopped.executor(None)}
    report = w2s_bench.run(stopped.suite, **where)
    cell = next(cell for cell in report.cells if cell.row == HELD)
    assert {path.parent for path in read} == {stopped.secret[1]}
    assert [seed.seed for seed in cell.body.seeds] == [0, 1] and cell.body.seeds[0].correct == stopped.bits


def part_of(cell: Cell) -> Cell:
    """The cell with its first seed alone, as nothing writes it; its digest is made anew."""
    body = CellBody.model_validate({**cell.body.model_dump(), "seeds": [cell.body.seeds[0].model_dump()]})
    return Cell.of(body, cell.provenance)


#: Verbs that read cells, and how each ends beside one that has a part of its seeds.
OF_CELLS: list[tuple[str, set[int]]] = [
    ("leaderboard {folder} --json", {1, 2}),
    ("table {folder} --cells --format json", {1, 2}),
    ("report {folder} --out {out}.html", {1}),
    ("check {folder} --json", {1}),
    ("diff {folder} {folder} --json", {1}),
    ("merge {folder} {folder} --out {out}", {1, 2}),
    ("submit {folder} --to {out}", {1}),
    ("plan {folder} --json", {1, 2}),
    ("items {folder} --row " + HELD + " --store {store} --trust-folder", {1, 2}),
    ("verify {folder} --row " + HELD + " --trust-folder", {1, 2}),
    ("analyse {folder} --store {store} --section attribution --trust-folder --json", {1, 2}),
]


@pytest.fixture(scope="module")
def partial(stopped: Stopped, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder with a cell of the held row that has one seed of two, twice: with few right answers, and with many."""
    model = read_cell(stopped.folder / "results" / DOMAIN / "random.json")
    arm, items, folders = stopped.held.arm, model.body.items, []
    for name, many in (("few", False), ("lot", True)):
        folder = tmp_path_factory.mktemp(name) / "toy"
        shutil.copytree(stopped.folder, folder)
        right = np.arange(items) % 7 == 0
        right = ~right if many else right
        seed = model.body.seeds[0].model_copy(
            update={"correct": record.pack_bits(right), "accuracy": float(right.mean()), "by_stratum": {}}
        )
        fields = {"arm": arm.ref, "plugin": arm.plugin, "seeds": (seed, *model.body.seeds[1:])}
        cell = part_of(Cell.of(model.body.model_copy(update=fields), model.provenance))
        assert cell.row == HELD and len(cell.body.seeds) == 1
        cell.write(folder)
        folders.append(folder)
    return folders[0], folders[1]


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "codes"), OF_CELLS, ids=[verb for verb, _ in OF_CELLS])
def test_of_a_cell_with_a_part_of_its_seeds_no_verb_tells_how_many_answers_are_right(
    stopped: Stopped, read: list[Path], partial: tuple[Path, Path], verb: str, codes: set[int], tmp_path: Path
) -> None:
    told = []
    for folder in partial:
        (out := tmp_path / folder.parent.name).mkdir()
        said = asked(stopped, verb, codes, folder, out / "out")
        told.append(said.replace(str(folder), "DIR").replace(str(out), "OUT"))
    assert told[0] == told[1], "whatever the part says, the same is told"
    assert read == []


@pytest.mark.slow
def test_nor_does_python_the_page_that_follows_a_run_or_a_curve(
    stopped: Stopped, partial: tuple[Path, Path], tmp_path: Path
) -> None:
    lacks = "it has 1 seeds, the suite 2"
    for call in (w2s_bench.table, w2s_bench.results, write_leaderboard):
        with pytest.raises(CellError, match=lacks):
            call(partial[0])
    pages = [Live(folder).page() for folder in partial]
    assert lacks in pages[0]
    told = [
        re.sub(r'"version": ?"\w+"', "", page.replace(str(folder), "DIR"))
        for page, folder in zip(pages, partial, strict=True)
    ]
    assert told[0] == told[1]
    curved = Path(shutil.copytree(stopped.folder, tmp_path / "toy"))
    write_leaderboard(curved)
    shutil.copytree(partial[0], curved / CURVES / "toy.coverage-0.25")
    done = runner.invoke(app, ["leaderboard", str(curved)])
    assert done.exit_code == 2 and lacks in done.output
    assert not (curved / CURVES / "README.md").exists()
