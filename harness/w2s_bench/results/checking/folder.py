"""A results folder read as far as it can be believed: what is sound, and a finding for whatever is not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_bench.errors import CellError, SuiteError
from w2s_bench.names import BUILT_IN, bare
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.results.belief import contradictions
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.findings import Finding
from w2s_bench.results.files import below_in_words, cell_paths, read_placed
from w2s_bench.results.leaderboard import Leaderboard, build
from w2s_bench.suite import Suite
from w2s_bench.suite_files import read_results_suite

#: The end of what `files` says of a cell; findings have what to do beside what was found.
_AGAIN = "run the row again"
_RESTORE = f"Restore the file, or {_AGAIN}"


@dataclass(frozen=True)
class Folder:
    """What could be read of a results folder.

    `cells` are those that nothing contradicts, sorted by domain and arm; `refused` says of each other file why it is none of
    them; `allowed_signers` is the reader's own file, by which signatures are verified; `awaits` is told of plugins that are
    waited for. Without a `suite` there are no cells, as nothing can be checked against it.
    """

    path: Path
    suite: Suite | None
    cells: tuple[Cell, ...]
    refused: tuple[Finding, ...]
    allowed_signers: Path | None = None
    awaits: Awaits = unheard


def read_folder(results: Path) -> Folder:
    """Read a results folder; what is wrong in one file costs no other file its place.

    Raises CellError where there is no such folder, or nothing of a board in it.
    """
    if not results.is_dir():
        what = "is a file" if os.path.lexists(results) else "is not there"
        raise CellError(f"{results} {what}; give the folder that holds suite.yaml and results/")
    if not os.path.lexists(results / "suite.yaml") and not (results / "results").is_dir():
        told = "give the folder of a board or of a run" + below_in_words(results)
        raise CellError(f"{results} holds neither suite.yaml nor results/; {told}")
    findings: list[Finding] = []
    cells = list(_cells(results, findings))
    try:
        suite = _suite(results, cells)
    except SuiteError as error:
        todo = "Restore suite.yaml: a run writes it beside results/"
        findings.append(Finding("suite", "error", "suite.yaml", str(error), todo))
        return Folder(results, None, (), tuple(findings))
    if not cells and not findings:
        findings.append(Finding("cell", "error", "results", "there are no cell files in it", "Run the suite into it"))
    own = [cell for cell in cells if cell.body.suite.digest == suite.digest]
    findings += _of_other_suites(cells, suite, results)
    wrong: set[str] = set()
    for contradiction in contradictions(own, suite, results):
        wrong.add(contradiction.cell.row)
        findings.append(_finding("figures", contradiction.cell, results, contradiction.fault))
    sound = tuple(cell for cell in own if cell.row not in wrong)
    return Folder(results, suite, sound, tuple(findings))


def board_of(results: Path) -> tuple[Leaderboard, tuple[Finding, ...]]:
    """The leaderboard of all that is sound in a folder, and what is left out.

    Raises CellError where nothing is sound, or the cells make no board together.
    """
    folder = read_folder(results)
    if not folder.cells:
        first = folder.refused[0]
        raise CellError(f"{results} has no sound cell: {first.file}: {first.found}. {first.to_do}")
    return build(folder.cells, results, folder.suite.description if folder.suite else ""), folder.refused


def _suite(results: Path, cells: Sequence[Cell]) -> Suite:
    """The folder's suite, its domains named in full, as the cells name them."""
    suite = read_results_suite(results)
    full_names = {bare(cell.body.domain.name): cell.body.domain.name for cell in cells}
    return suite.with_full_names(lambda name: name if "/" in name else full_names.get(name, f"{BUILT_IN}/{name}"))


def _cells(results: Path, findings: list[Finding]) -> Iterator[Cell]:
    """Cells that are sound by themselves; what is wrong with the others is added to `findings`."""
    try:
        paths = cell_paths(results)
    except CellError as error:
        findings.append(Finding("cell", "error", "results", str(error), "Remove it, or copy what belongs there"))
        return
    for path in paths:
        file = path.relative_to(results).as_posix()
        try:
            yield read_placed(path, results)
        except CellError as error:
            row = file.removeprefix("results/").removesuffix(".json")
            fact = str(error).removeprefix(f"{path} ").removesuffix(f"; {_AGAIN}")
            findings.append(Finding("cell", "error", file, fact, _RESTORE, row))


def _of_other_suites(cells: Sequence[Cell], suite: Suite, results: Path) -> Iterator[Finding]:
    """Cells of another suite than suite.yaml; where all of them are of one other suite, the file is the one at fault."""
    other = Counter(cell.body.suite.digest for cell in cells if cell.body.suite.digest != suite.digest)
    if len(other) == 1 and other.total() == len(cells):
        fact = f"it has digest {suite.digest[:12]}; all cells were made with a suite of digest {next(iter(other))[:12]}"
        todo = "Restore the suite.yaml of the run, or run the suite again"
        yield Finding("suite", "error", "suite.yaml", fact, todo)
        return
    for cell in cells:
        if cell.body.suite.digest != suite.digest:
            fact = (
                f"it was made with a suite of digest {cell.body.suite.digest[:12]}, suite.yaml has {suite.digest[:12]}"
            )
            yield _finding("suite", cell, results, fact)


def _finding(rule: str, cell: Cell, results: Path, fact: str) -> Finding:
    file = cell.path(results).relative_to(results).as_posix()
    return Finding(rule, "error", file, fact, _RESTORE, cell.row)
