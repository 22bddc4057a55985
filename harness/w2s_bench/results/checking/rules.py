"""The rules that `w2s-bench check` knows, one entry each. Whoever lists, explains or reports rules asks this table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from w2s_bench.errors import CellError
from w2s_bench.names import BUDGET, CURVES
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.results.attestations import FOLDER, read_attestations
from w2s_bench.results.budget_files import read_budgets
from w2s_bench.results.checking import boards, plugins
from w2s_bench.results.checking.findings import LEVELS, Finding, Level
from w2s_bench.results.checking.folder import Folder, read_folder
from w2s_bench.results.curve_pages import points_of
from w2s_bench.results.leaderboard import build
from w2s_bench.results.republished import compare_curves, compare_pages
from w2s_bench.results.signatures import FOLDER as SIGNATURES
from w2s_bench.results.signatures import Signed, read_signatures, why_not

#: Points of curves that are looked at: a folder may be a stranger's.
_MOST_POINTS: Final = 100


@dataclass(frozen=True)
class Rule:
    """`words` say what must hold; `find` what does not, in a folder. A rule without `find` speaks as the folder is read.

    `level` is the usual one of its findings; each finding has its own.
    """

    name: str
    level: Level
    words: str
    find: Callable[[Folder], Iterator[Finding]] | None = None


@dataclass(frozen=True)
class Checked:
    """A folder with all that the rules found, the gravest first."""

    folder: Folder
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")


def check(
    results: Path, *, pages: bool = True, allowed_signers: Path | None = None, awaits: Awaits = unheard
) -> Checked:
    """Every rule on a results folder, or all but those about `pages`: for cells that no page is made of yet. `allowed_signers`:
    a file by which signatures are verified; without, they are counted.
    `awaits` is told of plugins that are waited for.

    Raises CellError where nothing can be checked: no folder, or nothing of a board in it.
    """
    folder = replace(read_folder(results), allowed_signers=allowed_signers, awaits=awaits)
    findings = _findings(folder, but=() if pages else ("pages", "curves"))
    ordered = sorted(findings, key=lambda f: (LEVELS.index(f.level), list(RULES).index(f.rule), f.file))
    return Checked(folder, tuple(ordered))


def _findings(folder: Folder, *, but: Sequence[str]) -> list[Finding]:
    """What every rule finds, some left out."""
    findings = list(folder.refused)
    for rule in RULES.values():
        if rule.find is not None and rule.name not in but:
            findings += rule.find(folder)
    return findings


def levels_and_words() -> dict[str, tuple[Level, str]]:
    """Name of a rule → its usual level and its words."""
    return {rule.name: (rule.level, rule.words) for rule in RULES.values()}


def _mixture(folder: Folder) -> Iterator[Finding]:
    """What makes cells of one domain no board."""
    try:
        if folder.cells:
            build(folder.cells, folder.path)
    except CellError as error:
        yield Finding(
            "mixture",
            "error",
            "results",
            str(error),
            "Run the rows again on one machine, with one version of everything",
        )


def _pages(folder: Folder) -> Iterator[Finding]:
    """Pages that are not what the cells give; they are asked only where every cell is sound, and all make a board."""
    if folder.refused or not folder.cells:
        return
    try:
        pages = compare_pages(folder.path, list(folder.cells))
    except CellError:
        return  # other rules tell of it
    for page in pages:
        if page.verdict == "DIFFERS":
            todo = f"Write it anew: w2s-bench leaderboard {folder.path}"
            yield Finding("pages", "error", page.row, page.why.partition("; `w2s-bench")[0], todo)


def _curves(folder: Folder) -> Iterator[Finding]:
    """What is wrong at each point of the folder's curves, and with the page about them all; notes are told where a point is checked."""
    place = folder.path / CURVES
    if not os.path.lexists(place):
        return
    if place.is_symlink() or not place.is_dir():
        yield Finding("curves", "error", CURVES, "it is a link or a file", "Put a folder in its place, or remove it")
        return
    sound = True
    points = points_of(folder.path)
    for point in points[:_MOST_POINTS]:
        file = f"{CURVES}/{point.name}"
        try:
            told = _findings(replace(read_folder(point), allowed_signers=folder.allowed_signers), but=("curves",))
        except CellError as error:
            told = [Finding("curves", "error", "", str(error), "Run that point again, or move the folder away")]
        graver = [finding for finding in told if finding.level != "note"]
        sound = sound and not any(finding.level == "error" for finding in graver)
        for finding in graver:
            row = f"{point.name}: {finding.row}" if finding.row else ""
            yield replace(finding, file=f"{file}/{finding.file}".rstrip("/"), row=row)
    if len(points) > _MOST_POINTS:
        fact = f"{len(points)} folders are in it; {_MOST_POINTS} are looked at"
        yield Finding("curves", "error", CURVES, fact, "Move away what is no point of a curve")
        return
    if not sound or folder.refused or not folder.cells:
        return
    try:
        pages = compare_curves(folder.path)
    except CellError as error:
        fact = str(error).replace(f"{folder.path}/", "")
        yield Finding("curves", "error", CURVES, fact, "Move away what is no point of this suite's curves")
        return
    for page in pages:
        if page.verdict == "DIFFERS":
            todo = f"Write it anew: w2s-bench leaderboard {folder.path}"
            yield Finding("curves", "error", page.row, page.why.partition("; `w2s-bench")[0], todo)


def _attestations(folder: Folder) -> Iterator[Finding]:
    """Files that are no attestation, and such as speak of other bodies than the cells have now."""
    try:
        made = read_attestations(folder.path)
    except CellError as error:
        yield Finding("attestations", "error", FOLDER, str(error), "Remove the file")
        return
    digests = {cell.row: cell.digest for cell in folder.cells}
    stale = sorted(
        {
            told.row
            for attestation in made
            for told in attestation.rows
            if digests.get(told.row, told.digest) != told.digest
        }
    )
    if stale:
        fact = f"{len(stale)} rows were attested before they were written anew, such as {stale[0]}"
        yield Finding("attestations", "note", FOLDER, fact, "No fault: they count for nothing. Verify the rows again")


def _signatures(folder: Folder) -> Iterator[Finding]:
    """Statements that are none or have no signature, signatures that do not hold, and cells that were changed after signing."""
    try:
        signatures = read_signatures(folder.path)
    except CellError as error:
        yield Finding("signatures", "error", SIGNATURES, str(error), "Remove the statement, or sign it")
        return
    for signed in signatures:
        yield from signature_findings(signed, folder)
    if signatures and folder.allowed_signers is None:
        fact = f"{len(signatures)} signed statements are not verified"
        yield Finding("signatures", "note", SIGNATURES, fact, "Give --allowed-signers FILE to verify them")


def _budget(folder: Folder) -> Iterator[Finding]:
    """A file of steps that is none, or that the suite or the board's cells contradict."""
    try:
        found = read_budgets(folder.path)
    except CellError as error:
        yield Finding(
            "budget", "error", BUDGET, str(error).removesuffix("; remove it"), "Remove the file, or make it anew"
        )
        return
    if found is None or folder.suite is None:
        return
    todo = (
        f"Make it anew: w2s-bench suite check {folder.path / 'suite.yaml'} --budget --keep {folder.path}; or remove it"
    )
    for fault in found.faults(folder.suite, folder.cells):
        yield Finding("budget", "error", BUDGET, fault, todo)


def signature_findings(signed: Signed, folder: Folder) -> Iterator[Finding]:
    """What is wrong with one signed statement beside the cells of a folder."""
    file = f"{SIGNATURES}/{signed.path.name}"
    if folder.allowed_signers is not None and (why := why_not(signed, folder.allowed_signers)):
        yield Finding("signatures", "error", file, why, "Ask the signer, or remove the statement and its signature")
    if folder.suite is not None and signed.statement.suite != folder.suite.digest:
        fact = f"it is about a suite of digest {signed.statement.suite[:12]}, suite.yaml has {folder.suite.digest[:12]}"
        yield Finding("signatures", "error", file, fact, "Remove the statement and its signature")
        return
    changed = signed.changed(folder.cells)
    if changed:
        fact = f"{', '.join(changed[:4])}{' …' if len(changed) > 4 else ''}: changed after {signed.statement.signer} signed"
        yield Finding("signatures", "error", file, fact, "Restore the cell, or remove the statement and its signature")


_TABLE: Final[Sequence[Rule]] = (
    Rule("suite", "error", "suite.yaml is the suite that every cell was made with, by its digest"),
    Rule("cell", "error", "each file is a cell of a known schema, in its place, and its body gives its digest"),
    Rule("figures", "error", "each figure agrees with the bits of the items, the suite's sizes and the domain's other cells"),
    Rule("mixture", "error", "cells of a domain asked the same items of the same models with the same weak labels", _mixture),
    Rule("controls", "error", "each domain that was run has every reference and control", boards.controls),
    Rule("not_run", "note", "every domain of the suite was run", boards.not_run),
    Rule("seeds", "warning", "no seed failed", boards.seeds),
    Rule("domains", "note", "an arm has a cell in each domain that it is for", boards.domains),
    Rule("plugin", "warning", "where functions and objectives came from can be found again: distribution, version, source", plugins.find),
    Rule("gold", "warning", "no trust function of a lower track seems to know the pool's gold", boards.gold),
    Rule("above_oracle", "note", "no trust function beats the oracle beyond its interval", boards.above_oracle),
    Rule("above_ceiling", "note", "no trust function beats the ceiling beyond its interval", boards.above_ceiling),
    Rule("made_elsewhere", "note", "all cells come from one machine and the same versions", boards.made_elsewhere),
    Rule("attestations", "note", "attestations are sound, and about the bodies that cells have now", _attestations),
    Rule("signatures", "error", "signatures hold, and are about the bodies that cells have now", _signatures),
    Rule("budget", "error", "budget.json is about this suite, and its figures agree with its bits, the suite and the cells", _budget),
    Rule("pages", "error", "README.md and the plots are what the cells give, byte for byte", _pages),
    Rule("curves", "error", "each point of its curves is sound, and their page and plots are what these cells give", _curves),
)  # fmt: skip
RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.name: rule for rule in _TABLE})
