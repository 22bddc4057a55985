"""What a machine lacks to verify rows, and what to install: told from the cells, without computing or loading anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from w2s_bench.errors import UnknownNameError
from w2s_bench.machine import described
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.hooks import distribution_of
from w2s_bench.plugins.installation import from_a_checkout
from w2s_bench.resolvers import is_on_disk
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.plugins import requirement, to_install, version_here
from w2s_bench.results.consent import placements

if TYPE_CHECKING:
    from w2s_bench.suite import Suite
    from w2s_bench.suite_domain import DomainSpec

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Lack:
    """One thing that is otherwise here than where `rows` were made. `needed`: they cannot be computed without it."""

    what: str
    to_do: str
    needed: bool
    rows: tuple[str, ...]


def lacks(
    results: Path, rows: Sequence[str] = (), *, models: Mapping[str, str] = _NONE, trust_folder: bool = False
) -> list[Lack]:
    """What is missing here or has another version, of `rows` (default: all), what cannot be done without first.

    `models` and `trust_folder` are what `verify` would be given: a model that is a folder is missing without either.
    """
    suite, cells = read_results(results)
    placed = None if trust_folder else placements(suite, cells, models)
    committed = {cell.row: cell for cell in cells}
    for row in rows:
        if row not in committed:
            raise UnknownNameError(
                "row", row, committed, "A row is DOMAIN/ARM, as in the file results/DOMAIN/ARM.json."
            )
    rows_by_lack: dict[tuple[bool, str, str], list[str]] = {}
    for row in rows or committed:
        for told in dict.fromkeys(_of(committed[row], suite, placed)):
            rows_by_lack.setdefault(told, []).append(row)
    ordered = sorted(rows_by_lack.items(), key=lambda lack: (not lack[0][0], lack[0][1]))
    return [Lack(what, to_do, needed, tuple(those)) for (needed, what, to_do), those in ordered]


def _of(cell: Cell, suite: Suite, placed: Mapping[str, str] | None) -> Iterator[tuple[bool, str, str]]:
    """(Whether it is needed, what is otherwise, what to do) of one cell; `placed`: models that lie here, None where all are trusted to."""
    packages: Mapping[str, str] = cell.provenance.get("packages") or {}
    told = set[str]()
    for plugin in (cell.body.plugin, cell.body.objective_plugin):
        if plugin is None or plugin.distribution == BUILT_IN:
            continue
        told.add(plugin.distribution)
        yield from _version(plugin.distribution, plugin.version, needed=True)
    spec = suite.domain(cell.body.domain.name)
    for name in dict.fromkeys(_models(spec)):
        if is_on_disk("model", name) and placed is not None and name not in placed:
            where = "say where it lies here: --model NAME=FOLDER, by its name or the first 8 digits of its fingerprint"
            yield True, f"model {name}, which is a folder or file where the rows were made", where
    for distribution, names in _brought(suite, spec).items():
        if distribution in told:
            continue
        # A cell holds the distribution's version where the run recorded that.
        if distribution in packages:
            told.add(distribution)
            yield from _version(distribution, packages[distribution], needed=True)
        elif version_here(distribution) is None:
            what = f"{distribution}, of which {', '.join(names)} {'is' if len(names) == 1 else 'are'}: not installed"
            yield True, what, from_a_checkout(distribution) or "ask where the row comes from"
    for name, version in packages.items():
        if name not in told:
            yield from _version(name, version, needed=False)
    machines = cell.provenance.get("machines")
    if isinstance(machines, list) and machines and list(map(str, machines)) != [described()]:
        made = " and ".join(map(str, machines))
        yield False, f"made on {made}; this is {described()}", "nothing: accuracies may be the suite's tolerance apart"


def _models(spec: DomainSpec) -> list[str]:
    """The names of the models of a domain: those that teach or learn, and those that its parameters name."""
    trained = (spec.teacher, *spec.chain, spec.student)
    return [*(one.model for one in trained if one.is_model), *spec.models_of_parameters.values()]


def _brought(suite: Suite, spec: DomainSpec) -> dict[str, list[str]]:
    """Distribution → the domains and models of a row that it has to bring, in words; without those that no plugin brings."""
    brought: dict[str, list[str]] = {}
    for each in (spec, suite.trust_source(spec)):  # twice itself, usually
        for kind, name in (("domain", each.name), *(("model", model) for model in _models(each))):
            names = brought.setdefault(distribution_of(name), [])
            if (said := f"{kind} {name}") not in names:
                names.append(said)
    brought.pop(BUILT_IN, None)
    return brought


def _version(name: str, version: str, *, needed: bool) -> Iterator[tuple[bool, str, str]]:
    here = version_here(name)
    if here == version or version == "not installed":
        return
    if requirement(name, version) is None:
        yield needed, f"{name!r} {version!r}, which no package index can hold", "ask where the row comes from"
        return
    what = f"{name} {version}: {f'here {here}' if here else 'not installed'}"
    yield needed and here is None, what, to_install(name, version)
