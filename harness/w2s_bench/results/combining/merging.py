"""Cells of one suite from several folders into one: nothing is written before all that would lie there is checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_bench.errors import CellError, SuiteError
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.record import write_atomically
from w2s_bench.results.attestations import read_attestations
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.findings import Finding
from w2s_bench.results.checking.folder import Folder, read_folder
from w2s_bench.results.checking.rules import check
from w2s_bench.results.compared import compare
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.suite import Suite
from w2s_bench.suite_files import LARGEST
from w2s_bench.untrusted import read_text

#: A part of a suite may be merged with another part of it: controls may come later.
_MAY_LACK = frozenset({"controls", "not_run"})


@dataclass(frozen=True)
class Conflict:
    """A row that two folders have, with other bodies; `why` says what differs."""

    row: str
    kept: Path
    other: Path
    why: str


@dataclass(frozen=True)
class Merged:
    """What `merge` has found. `written` is the number of cells; 0 where conflicts or findings stood against it."""

    written: int
    conflicts: tuple[Conflict, ...] = ()
    findings: tuple[Finding, ...] = ()


def merge(folders: Sequence[Path], out: Path, prefer: Path | None = None, awaits: Awaits = unheard) -> Merged:
    """Write the cells of all `folders`, which are of one suite, to a new folder `out`, with its pages.

    A row that two of them have must have one body; else `prefer` says whose is taken, or nothing is written. Nor is it where
    one folder has errors, or the cells make no board together (other weak labels, other versions of a domain). `awaits` is told
    of plugins that are waited for.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise CellError(f"{out} is there and not empty; give a new folder for what is merged")
    if prefer is not None and prefer.resolve() not in [folder.resolve() for folder in folders]:
        raise CellError(f"--prefer {prefer}: give one of the folders that are merged: {', '.join(map(str, folders))}")
    read = [read_folder(folder) for folder in folders]
    refused = [finding for folder in read for finding in _named(folder, folder.refused)]
    if refused:
        return Merged(0, findings=tuple(refused))
    suite = one_suite(read)
    cells, conflicts = union(read, prefer)
    if conflicts and prefer is None:
        return Merged(0, tuple(conflicts))
    faults = faults_together(read[0].path, suite, cells.values(), _MAY_LACK, awaits)
    if faults:
        return Merged(0, tuple(conflicts), tuple(faults))
    out.mkdir(parents=True, exist_ok=True)
    place(read[0].path, cells.values(), out)
    for folder in folders:
        for attestation in read_attestations(folder):
            attestation.write(out)
    write_leaderboard(out)
    return Merged(len(cells), tuple(conflicts))


def one_suite(folders: Sequence[Folder]) -> Suite:
    """The suite that all folders are of."""
    first = folders[0]
    assert first.suite is not None  # a folder without one has a finding
    for folder in folders[1:]:
        suite = folder.suite
        assert suite is not None
        if suite.digest == first.suite.digest:
            continue
        seeds = suite.model_copy(update={"seeds": first.suite.seeds}).digest == first.suite.digest
        why = (
            f"{first.suite.seeds} seeds against {suite.seeds}: run the shorter one with --seeds"
            if seeds
            else "run one suite"
        )
        raise SuiteError(
            f"{first.path} is of suite {first.suite.name!r} (digest {first.suite.digest[:12]}), {folder.path} of "
            f"{suite.name!r} ({suite.digest[:12]}); cells of two suites make no board: {why}"
        )
    return first.suite


def union(folders: Sequence[Folder], prefer: Path | None) -> tuple[Mapping[str, Cell], list[Conflict]]:
    """Row → cell, of the first folder that has it, or the preferred one; and the rows that have several bodies."""
    taken: dict[str, tuple[Cell, Path]] = {}
    conflicts = []
    ordered = sorted(folders, key=lambda folder: prefer is None or folder.path.resolve() != prefer.resolve())
    for folder in ordered:
        for cell in folder.cells:
            held, whose = taken.setdefault(cell.row, (cell, folder.path))
            if held.digest != cell.digest:
                conflicts.append(Conflict(cell.row, whose, folder.path, compare(held, cell, 0.0).why))
    return {row: taken[row][0] for row in sorted(taken)}, conflicts


def faults_together(
    whose: Path,
    suite: Suite,
    cells: Iterable[Cell],
    may_lack: frozenset[str] = frozenset(),
    awaits: Awaits = unheard,
) -> list[Finding]:
    """Errors of a folder that held these cells, and a domain that was not run, since rows are then not whole; the folder is made
    and goes away again. `may_lack`: rules that are not asked; `awaits` is told of plugins that are waited for."""
    with tempfile.TemporaryDirectory(prefix="w2s-staged-") as staged:
        place(whose, cells, Path(staged) / suite.name)
        found = check(Path(staged) / suite.name, pages=False, awaits=awaits).findings
        faults = [finding for finding in found if finding.level == "error" or finding.rule == "not_run"]
        return [_without(Path(staged), finding) for finding in faults if finding.rule not in may_lack]


def place(whose: Path, cells: Iterable[Cell], out: Path) -> None:
    """Write cells, and the suite of folder `whose` beside them where `out` has none."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "suite.yaml").exists():
        write_atomically(out / "suite.yaml", read_text(whose / "suite.yaml", LARGEST, follow=False))
    for cell in cells:
        cell.write(out)


def _without(folder: Path, finding: Finding) -> Finding:
    """The finding without the names of a folder that has gone."""
    return Finding(
        finding.rule, finding.level, finding.file, finding.found.replace(f"{folder}/", ""), finding.to_do, finding.row
    )


def _named(folder: Folder, findings: Iterable[Finding]) -> Iterable[Finding]:
    """Findings whose files are named with their folder."""
    for finding in findings:
        file = (folder.path / finding.file).as_posix()
        yield Finding(finding.rule, finding.level, file, finding.found, finding.to_do, finding.row)
