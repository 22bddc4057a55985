"""What a machine lacks to verify rows, and what to install: told from the cells, without computing or loading anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_bench.errors import UnknownNameError
from w2s_bench.machine import described
from w2s_bench.names import BUILT_IN
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.plugins import requirement, version_here


@dataclass(frozen=True)
class Lack:
    """One thing that is otherwise here than where `rows` were made. `needed`: they cannot be computed without it."""

    what: str
    to_do: str
    needed: bool
    rows: tuple[str, ...]


def lacks(results: Path, rows: Sequence[str] = ()) -> list[Lack]:
    """What is missing here or has another version, of `rows` (default: all), what cannot be done without first."""
    _, cells = read_results(results)
    committed = {cell.row: cell for cell in cells}
    for row in rows:
        if row not in committed:
            raise UnknownNameError(
                "row", row, committed, "A row is DOMAIN/ARM, as in the file results/DOMAIN/ARM.json."
            )
    rows_by_lack: dict[tuple[bool, str, str], list[str]] = {}
    for row in rows or committed:
        for told in dict.fromkeys(_of(committed[row])):
            rows_by_lack.setdefault(told, []).append(row)
    ordered = sorted(rows_by_lack.items(), key=lambda lack: (not lack[0][0], lack[0][1]))
    return [Lack(what, to_do, needed, tuple(those)) for (needed, what, to_do), those in ordered]


def _of(cell: Cell) -> Iterator[tuple[bool, str, str]]:
    """(Whether it is needed, what is otherwise, what to do) of one cell."""
    packages: Mapping[str, str] = cell.provenance.get("packages") or {}
    for plugin in (cell.body.plugin, cell.body.objective_plugin):
        if plugin is None or plugin.distribution == BUILT_IN:
            continue
        yield from _version(plugin.distribution, plugin.version, needed=True)
    domain = cell.body.domain.name.partition("/")[0]
    for name in (domain, cell.body.teacher.name.partition("/")[0], cell.body.student.name.partition("/")[0]):
        # A cell holds its domain's version, and its distribution's where the run recorded that.
        if requirement(name, "0") and name in packages and name != BUILT_IN:
            yield from _version(name, packages[name], needed=True)
    if domain != BUILT_IN and domain not in packages and version_here(domain) is None and "-" in domain:
        yield True, f"{domain}, of which domain {cell.body.domain.name} is: not installed", f"pip install {domain!r}"
    for name, version in packages.items():
        if name != domain:
            yield from _version(name, version, needed=False)
    machines = cell.provenance.get("machines")
    if isinstance(machines, list) and machines and list(map(str, machines)) != [described()]:
        made = " and ".join(map(str, machines))
        yield False, f"made on {made}; this is {described()}", "nothing: accuracies may be the suite's tolerance apart"


def _version(name: str, version: str, *, needed: bool) -> Iterator[tuple[bool, str, str]]:
    here = version_here(name)
    if here == version or version == "not installed":
        return
    wanted = requirement(name, version)
    if wanted is None:
        yield needed, f"{name!r} {version!r}, which no package index can hold", "ask where the row comes from"
        return
    what = f"{name} {version}: {f'here {here}' if here else 'not installed'}"
    yield needed and here is None, what, f"pip install {wanted!r}"
