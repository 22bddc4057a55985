"""The rules that `w2s-bench check` knows, one entry each. Whoever lists, explains or reports rules asks this table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from w2s_bench.errors import CellError
from w2s_bench.results.attestations import FOLDER, read_attestations
from w2s_bench.results.checking import boards, plugins
from w2s_bench.results.checking.findings import LEVELS, Finding, Level
from w2s_bench.results.checking.folder import Folder, read_folder
from w2s_bench.results.leaderboard import build
from w2s_bench.results.republished import compare_pages


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


def check(results: Path, *, pages: bool = True) -> Checked:
    """Every rule on a results folder, or all but those about `pages`: for cells that no page is made of yet.

    Raises CellError where nothing can be checked: no folder, or nothing of a board in it.
    """
    folder = read_folder(results)
    found = list(folder.refused)
    for rule in RULES.values():
        if rule.find is not None and (pages or rule is not RULES["pages"]):
            found += rule.find(folder)
    ordered = sorted(found, key=lambda f: (LEVELS.index(f.level), list(RULES).index(f.rule), f.file))
    return Checked(folder, tuple(ordered))


def levels_and_words() -> dict[str, tuple[Level, str]]:
    """Name of a rule → its usual level and its words."""
    return {rule.name: (rule.level, rule.words) for rule in RULES.values()}


def _mixture(folder: Folder) -> Iterator[Finding]:
    """What makes cells of one domain no board."""
    try:
        if folder.cells:
            build(folder.cells, folder.path)
    except CellError as error:
        yield Finding("mixture", "error", "results", str(error), "Run the rows again with one version of everything")


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


def _attestations(folder: Folder) -> Iterator[Finding]:
    """Files that are no attestation, and such as speak of other bodies than the cells have now."""
    try:
        made = read_attestations(folder.path)
    except CellError as error:
        yield Finding("attestations", "error", FOLDER, str(error), "Remove the file")
        return
    digests = {cell.row: cell.digest for cell in folder.cells}
    stale = sorted({told.row for one in made for told in one.rows if digests.get(told.row, told.digest) != told.digest})
    if stale:
        found = f"{len(stale)} rows were attested before they were written anew, such as {stale[0]}"
        yield Finding("attestations", "note", FOLDER, found, "No fault: they count for nothing. Verify the rows again")


_TABLE: Final[Sequence[Rule]] = (
    Rule("suite", "error", "suite.yaml is the suite that every cell was made with, by its digest"),
    Rule("cell", "error", "each file is a cell of a known schema, in its place, and its body gives its digest"),
    Rule("figures", "error", "each figure agrees with the bits of the items, the suite's sizes and the domain's other cells"),
    Rule("mixture", "error", "cells of a domain asked the same items of the same models with the same weak labels", _mixture),
    Rule("controls", "error", "each domain of the suite has every reference and control", boards.controls),
    Rule("seeds", "warning", "no seed failed", boards.seeds),
    Rule("domains", "note", "an arm has a cell in each domain that it is for", boards.domains),
    Rule("plugin", "warning", "where functions and objectives came from can be found again: distribution, version, source", plugins.find),
    Rule("gold", "warning", "no trust function of a lower track seems to know the pool's gold", boards.gold),
    Rule("above_oracle", "note", "no trust function beats the oracle beyond its interval", boards.above_oracle),
    Rule("above_ceiling", "note", "no trust function beats the ceiling beyond its interval", boards.above_ceiling),
    Rule("made_elsewhere", "note", "all cells come from one machine and the same versions", boards.made_elsewhere),
    Rule("attestations", "note", "attestations are sound, and about the bodies that cells have now", _attestations),
    Rule("pages", "error", "README.md and the plots are what the cells give, byte for byte", _pages),
)  # fmt: skip
RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.name: rule for rule in _TABLE})
