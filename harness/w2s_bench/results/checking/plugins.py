"""The rule about plugins: who made a row must be findable, by distribution, version and the digest of its source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.names import BUILT_IN
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.findings import Finding, Level
from w2s_bench.results.checking.folder import Folder
from w2s_bench.results.references import PluginRef

if TYPE_CHECKING:
    from w2s_bench.plugins.hooks import EntryKind
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.plugins.watching import Awaits

#: Names and versions as package indexes have them: anything else could be an option or a command where it is pasted.
_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,98}")


def requirement(distribution: str, version: str) -> str | None:
    """`NAME==VERSION` as pip takes it; None where that is no name or no version."""
    if _DISTRIBUTION.fullmatch(distribution) and _VERSION.fullmatch(version):
        return f"{distribution}=={version}"
    return None


def to_install(distribution: str, version: str) -> str:
    """What to type for a distribution in this version, which `requirement` takes; the harness's own plugins lie in its checkout."""
    from w2s_bench.plugins.installation import from_a_checkout

    return from_a_checkout(distribution) or f"pip install {requirement(distribution, version)!r}"


def version_here(distribution: str) -> str | None:
    """The version of a distribution that is installed here; None where none is."""
    from w2s_bench.plugins.installation import running_version

    if distribution == BUILT_IN:
        return running_version()
    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def find(folder: Folder) -> Iterator[Finding]:
    """Plugins that no index could name (an error), that have other source here (a warning) or are not here (a note)."""
    seen: dict[PluginRef, tuple[Level, str, str] | None] = {}
    source = cache(_Sources(folder.awaits).of)
    for cell in folder.cells:
        for plugin, entry_kind, name in _named(cell):
            if plugin not in seen:
                seen[plugin] = _told(plugin, entry_kind, name, source)
            if (told := seen[plugin]) is not None:
                level, fact, to_do = told
                yield Finding("plugin", level, f"results/{cell.row}.json", fact, to_do, cell.row)


def _named(cell: Cell) -> Iterator[tuple[PluginRef, EntryKind, str]]:
    """The plugins of a cell, and what it has of each: its trust function, its objective."""
    body = cell.body
    if body.plugin is not None:
        yield body.plugin, "trust_function", body.arm.trust_function or ""
    if body.objective_plugin is not None:
        yield body.objective_plugin, "objective", (body.arm.objective or "").partition(":")[0]


def _told(
    plugin: PluginRef, entry_kind: EntryKind, name: str, source: Callable[[EntryKind, str], str | None]
) -> tuple[Level, str, str] | None:
    wanted = requirement(plugin.distribution, plugin.version)
    if wanted is None:
        said = f"{plugin.distribution!r} version {plugin.version!r} is nothing that a package index can hold"
        return "error", said, "Give the plugin a proper name and version, and run the row again"
    here = version_here(plugin.distribution)
    if here != plugin.version:
        said = f"it is of {wanted}; {f'{here} is installed here' if here else 'not installed here'}"
        return "note", said, f"To verify it: {to_install(plugin.distribution, plugin.version)}"
    digest = source(entry_kind, name)
    if digest is not None and digest != plugin.source:
        said = f"its source was {plugin.source[:12]}, that of {wanted} here is {digest[:12]}"
        return "warning", said, "Two sources have one version: install the one that made the row, or run the row again"
    return None


class _Sources:
    """The source of trust functions and objectives that are installed here; plugins are looked at once, others' where one is asked for."""

    def __init__(self, awaits: Awaits) -> None:
        self._awaits = awaits
        self._registries: dict[bool, Registry] = {}

    def of(self, entry_kind: EntryKind, name: str) -> str | None:
        """The digest of an entry's source; None where nothing that is installed has it."""
        from w2s_bench.plugins.registry import Registry

        built_in = name.startswith(f"{BUILT_IN}/")
        if built_in not in self._registries:
            self._registries[built_in] = Registry.load(restrict=() if built_in else None, awaits=self._awaits)
        registry = self._registries[built_in]
        try:
            return registry.source_digest(registry.resolve(entry_kind, name))
        except W2SBenchError:
            return None
