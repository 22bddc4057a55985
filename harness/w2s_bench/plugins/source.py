"""Where a module's source lies and what it holds, found out without importing anything of it."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """The Python files that one module belongs to. `root` is the package, or the single module, that they are all of."""

    root: str
    files: tuple[tuple[str, Path], ...]  # name within the package, and where; sorted
    folders: tuple[Path, ...] = ()  # of the package, where it is one

    def digest(self) -> str:
        """SHA-256 over names and contents."""
        digest = hashlib.sha256()
        for name, path in self.files:
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def module_named(entry_point: metadata.EntryPoint) -> str:
    """The module that an entry point names, whatever else stands there."""
    return entry_point.value.partition(":")[0].strip()


def sources_of(modules: Iterable[str], distribution: str) -> tuple[Source, ...]:
    """The sources of `modules`, each once; one without Python files has none in `files`."""
    found: dict[str, Source] = {}
    for module in sorted({module for module in modules if module}):
        source = _source_of(module, distribution)
        found.setdefault(source.root, source)
    return tuple(found[root] for root in sorted(found))


def _source_of(module: str, distribution: str) -> Source:
    """The whole top-level package, or the module that stands alone; of a namespace package, this distribution's part.

    Which files of a namespace are a distribution's, its record says. Where there is none (an editable installation), they
    are the first package below the namespace that has an `__init__`, or all of the folder in which the module stands alone:
    rather too much than a helper beside it unseen.
    """
    name, *rest = module.split(".")
    spec = _spec_of(name)
    if _is_namespace(spec) and (recorded := _recorded(name, distribution)):
        return Source(name, recorded)
    while rest and _is_namespace(spec):
        inner = _spec_of(f"{name}.{rest[0]}")  # imports what is above it: namespaces, which have no code
        if inner is not None and inner.has_location and inner.submodule_search_locations is None:
            return _package(name, [Path(str(inner.origin)).parent])
        name, spec, rest = f"{name}.{rest[0]}", inner, rest[1:]
    if spec is None:
        return Source(name, ())
    if spec.submodule_search_locations is not None:
        return _package(name, map(Path, spec.submodule_search_locations))
    file = Path(str(spec.origin))
    return Source(name, ((f"{name}.py", file),) if file.suffix == ".py" and file.is_file() else ())


def _spec_of(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module made by hand, which has no spec
        return None


def _is_namespace(spec: ModuleSpec | None) -> bool:
    """A folder without `__init__`, which several distributions may share."""
    return spec is not None and spec.submodule_search_locations is not None and not spec.has_location


def _package(name: str, folders: Iterable[Path]) -> Source:
    folders = tuple(folders)
    files = ((path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py"))
    return Source(name, tuple(sorted(files)), folders)


def _recorded(root: str, distribution: str) -> tuple[tuple[str, Path], ...]:
    """The Python files below `root` that a distribution's own record lists."""
    try:
        listed = metadata.files(distribution) or ()
    except (metadata.PackageNotFoundError, ValueError):  # an entry point made by hand belongs to none
        return ()
    mine = [file for file in listed if file.parts[:1] == (root,) and file.suffix == ".py"]
    located = [(file.relative_to(root).as_posix(), Path(str(file.locate()))) for file in mine]
    return tuple(sorted((name, path) for name, path in located if path.is_file()))
