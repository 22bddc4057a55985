"""Re-run rows in a fresh store and compare: `identical`, `within tolerance` or `DIFFERS`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from types import MappingProxyType
from typing import TYPE_CHECKING

from w2s_bench.errors import CellError, ModelError, UnknownNameError, W2SBenchError
from w2s_bench.machine import described, elsewhere
from w2s_bench.names import BUILT_IN
from w2s_bench.resolvers import is_on_disk
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.compared import Verified, compare
from w2s_bench.results.consent import placements, refuse_unasked, under_old_names, with_placements
from w2s_bench.results.files import read_cell
from w2s_bench.results.republished import compare_pages
from w2s_bench.text import one_line, shortened

if TYPE_CHECKING:
    from w2s_bench.domains.documents import Documents
    from w2s_bench.executors import Event, Executor
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.plan import PlannedCell
    from w2s_bench.suite import Suite

_NONE: Mapping[str, str] = MappingProxyType({})


def verify(
    results: Path,
    rows: Sequence[str] = (),
    *,
    models: Mapping[str, str] = _NONE,
    trust_folder: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    events: Callable[[Event], None] = lambda event: None,
) -> list[Verified]:
    """Compute `rows` (default: all) of a results folder anew, with nothing but the suite and the installed plugins.

    A row that cannot be computed here (its plugin is missing, its domain has another version) differs, and says why; the
    others are computed all the same. Last come the folder's pages, compared with what its cells give. Stages run in
    `workers` local processes, or where `executor` runs them.

    `models` maps a model that the suite has as a folder, by its name or its fingerprint, to where it lies here.
    `trust_folder` allows what `consent.refuse_unasked` refuses: other folders, and plugins with the folder's parameters.
    """
    from w2s_bench.domains.documents import Documents
    from w2s_bench.executors import preparing
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.execute import compute, local_executor
    from w2s_bench.runs.plan import ROW_HINT, Plan
    from w2s_bench.store import open_store

    suite, cells = read_results(results)
    committed = {cell.row: cell for cell in cells}
    for row in rows:
        if row not in committed:
            raise UnknownNameError("row", row, committed, ROW_HINT)
    chosen = [committed[row] for row in dict.fromkeys(rows or committed)]
    placed = placements(suite, cells, models)
    if not trust_folder:
        refuse_unasked(suite, chosen, results, placed)
    pages = compare_pages(results, cells)  # cells that no board can be made of are refused before anything runs
    here = with_placements(suite, placed)
    registry = Registry.load(awaits=preparing(events))
    documents = Documents()  # `Documents` reads a domain once, however many rows there are
    planned = {cell.row: _planned(cell, here, registry, documents, placed) for cell in chosen}
    runnable = tuple(cell for cell in planned.values() if not isinstance(cell, W2SBenchError))
    with tempfile.TemporaryDirectory(prefix="w2s-verify-") as fresh:
        where = executor or local_executor(workers)
        made = compute(Plan(here, runnable, ()), store=open_store(fresh), executor=where, events=events)
    computed = {cell.row: under_old_names(cell, committed[cell.row]) for cell in made}
    verdicts = [
        _verdict(cell, computed[cell.row], suite.tolerance)
        if cell.row in computed
        else Verified(cell.row, "DIFFERS", f"cannot be run: {planned[cell.row]}")
        for cell in chosen
    ]
    return [*verdicts, *pages]


def _planned(
    cell: Cell, suite: Suite, registry: Registry, documents: Documents, placed: Mapping[str, str]
) -> PlannedCell | W2SBenchError:
    """The row as it would be run here, or why it cannot be; a model that the user placed must be the one it was."""
    from w2s_bench.runs.plan import plan

    arm = cell.body.arm
    trust = [arm.trusts] if arm.trusts else []
    try:
        rows = [cell.row]
        planned = plan(
            suite,
            registry,
            domains=[cell.body.domain.name],
            trust=trust,
            rows=rows,
            documents=documents,
            decompose=arm.explains,
        ).cells[0]
    except W2SBenchError as error:
        models = (cell.body.teacher, cell.body.student)
        fitting = {ref.name: ref.fingerprint[:12] for ref in models if ref.name not in placed}
        here = suite.domain(cell.body.domain.name).models_of_parameters.values()
        fitting |= {name: name for name in here if name not in placed.values() and name not in fitting}
        gone = {name: key for name, key in fitting.items() if is_on_disk("model", name)}
        if isinstance(error, ModelError) and gone:
            named = " and ".join(f"--model {key}=FOLDER (for {name})" for name, key in gone.items())
            return ModelError(f"{error}; where it lies elsewhere, say so: {named}")
        return error
    for was, now in ((cell.body.teacher, planned.teacher), (cell.body.student, planned.student)):
        if was.name in placed and was.fingerprint != now.fingerprint:
            raise ModelError(
                f"--model: {placed[was.name]} holds another model than {was.name} was (fingerprint {now.fingerprint[:12]}, "
                f"not {was.fingerprint[:12]}); give the folder that its cells were made with"
            )
    return planned


def _verdict(committed: Cell, computed: Cell, tolerance: float) -> Verified:
    """The tolerance is for other machines alone; what makes this one another is said, since the cell's file says it."""
    other = elsewhere(committed.provenance, computed.provenance)
    verified = compare(committed, computed, tolerance, exact=other is None)
    verified = replace(verified, computed=True, elsewhere=other or "")
    if other is None or verified.verdict != "within tolerance":
        return verified
    return replace(verified, why=f"made with {other}, so that accuracies may be {tolerance:g} apart; {verified.why}")


def attest(results: Path, verdicts: Sequence[Verified]) -> Path | None:
    """Write what `verify` found beside the results, for pages to show; None where it computed no row."""
    from w2s_bench.results.attestations import Attestation, Attested, now, tier_of
    from w2s_bench.runs.provenance import environment

    suite, cells = read_results(results)
    digests = {cell.row: cell.digest for cell in cells}
    rows = [
        Attested(
            row=told.row,
            digest=digests[told.row],
            tier=tier_of(told.verdict, elsewhere=bool(told.elsewhere)),
            why=shortened(one_line(told.why), 1000),
        )
        for told in verdicts
        if told.computed and told.row in digests
    ]
    if not rows:
        return None
    packages = environment()["packages"]
    made = Attestation(made=now(), suite=suite.digest, platform=described(), packages=packages, rows=tuple(rows))
    return made.write(results)


def sampled(results: Path, count: int) -> list[str]:
    """So many rows of a results folder, drawn by the system's own randomness: nobody can know which, to forge the others."""
    _, cells = read_results(results)
    rows = [cell.row for cell in cells]
    return sorted(SystemRandom().sample(rows, min(count, len(rows))))


@contextmanager
def folder_of(path: Path) -> Iterator[tuple[Path, str]]:
    """The results folder of one cell file, and the row that it is.

    Without a suite.yaml where a results folder has it, the suite is the built-in one of the digest that the cell tells of; the
    folder is then a copy that goes away again.
    """
    cell = read_cell(path)
    results = path.absolute().parents[2]
    if (results / "suite.yaml").exists() and path.absolute() == cell.path(results):
        yield results, cell.row
        return
    suite = _built_in(cell)
    with tempfile.TemporaryDirectory(prefix="w2s-cell-") as scratch:
        folder = Path(scratch) / suite.name
        folder.mkdir()
        (folder / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
        cell.write(folder)
        yield folder, cell.row


def _built_in(cell: Cell) -> Suite:
    """The built-in suite of the digest that a cell tells of, its domains named in full."""
    from w2s_bench.suite_files import built_in_suites, load_suite

    ref = cell.body.suite
    for name in built_in_suites():
        suite = load_suite(name).with_full_names(lambda name: name if "/" in name else f"{BUILT_IN}/{name}")
        # A run with other seeds has another digest, and as many seeds as its cells.
        suite = suite.model_copy(update={"seeds": len(cell.body.seeds)})
        if suite.digest == ref.digest:
            return suite
    raise CellError(
        f"the cell of {cell.row} is of suite {ref.name!r} (digest {ref.digest[:12]}), which does not come with this version; put it "
        "where it belongs, in results/ beside the suite.yaml of its run, and give that folder"
    )
