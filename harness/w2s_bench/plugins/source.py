"""Where a module's source lies and what it holds, found out without importing anything of it."""

from __future__ import annotations

import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

from w2s_bench.names import BUILT_IN


@dataclass(frozen=True)
class Moment:
    """Files as they are at one moment: whoever asks about many things then hands it on, and each package is listed, and each file
    read, once. Nobody keeps it, for a plugin may change on disk."""

    _packages: dict[tuple[str, tuple[Path, ...]], Source] = field(default_factory=dict)
    _contents: dict[Path, bytes] = field(default_factory=dict)
    _digests: dict[Path, bytes] = field(default_factory=dict)

    def package(self, name: str, folders: Iterable[Path]) -> Source:
        """All Python files below the folders of a package."""
        folders = tuple(folders)
        if (name, folders) not in self._packages:
            files = ((path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py"))
            self._packages[name, folders] = Source(name, tuple(sorted(files)), folders)
        return self._packages[name, folders]

    def content(self, path: Path) -> bytes:
        if path not in self._contents:
            self._contents[path] = path.read_bytes()
        return self._contents[path]

    def digest(self, source: Source) -> str:
        """SHA-256 over a source's names and contents."""
        digest = hashlib.sha256()
        for name, path in source.files:
            if path not in self._digests:
                self._digests[path] = hashlib.sha256(self.content(path)).digest()
            digest.update(f"{name}\0".encode() + self._digests[path])
        return digest.hexdigest()


@dataclass(frozen=True)
class Source:
    """The Python files that one module belongs to. `root` is the package, or the single module, that they are all of."""

    root: str
    files: tuple[tuple[str, Path], ...]  # name within the package, and where; sorted
    folders: tuple[Path, ...] = ()  # of the package, where it is one
    is_module: bool = False  # that stands alone

    def modules(self) -> tuple[tuple[str, Path], ...]:
        """Each file's module, by its full name; a package's is that of its `__init__`."""
        if self.is_module:
            return tuple((self.root, path) for _, path in self.files)
        inner = ((name.removesuffix(".py").removesuffix("__init__").strip("/"), path) for name, path in self.files)
        return tuple((f"{self.root}.{name.replace('/', '.')}".rstrip("."), path) for name, path in inner)


def module_named(entry_point: metadata.EntryPoint) -> str:
    """The module that an entry point names, whatever else stands there."""
    return entry_point.value.partition(":")[0].strip()


def sources_of(modules: Iterable[str], distribution: str, now: Moment | None = None) -> tuple[Source, ...]:
    """The sources of `modules`, each once, as they are `now` (or when asked); one without Python files has none in `files`."""
    now = now or Moment()
    by_root: dict[str, Source] = {}
    for module in sorted({module for module in modules if module}):
        source = _source_of(module, distribution, now)
        by_root.setdefault(source.root, source)
    return tuple(by_root[root] for root in sorted(by_root))


def source_beside(top: str, distribution: str, sources: Iterable[Source], now: Moment) -> Source | None:
    """The source of a top-level module that belongs to the distribution as `sources` do, which lie elsewhere; None: it does not.

    Whose it is, the distribution's record says; without one, in an editable installation, what lies in the same folder is
    taken for its own. The harness's own distribution has no others: its packages are told apart by their versions.
    """
    if distribution == BUILT_IN:
        return None
    try:
        listed = metadata.files(distribution) or ()
    except (metadata.PackageNotFoundError, ValueError):
        listed = ()
    mine = {file.parts[0] for file in listed if file.suffix == ".py"}
    if {top, f"{top}.py"} & mine:
        return _source_of(top, distribution, now)
    folder = None if mine else _place_of(top)
    if folder is None or str(folder) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return None
    near = folder in {_place_of(source.root.partition(".")[0]) for source in sources}
    return _source_of(top, distribution, now) if near else None


def _place_of(top: str) -> Path | None:
    """The folder that a top-level module lies in; None where it is in none."""
    spec = _spec_of(top)
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return next((Path(folder).parent for folder in spec.submodule_search_locations), None)
    return Path(str(spec.origin)).parent if spec.has_location else None


def _source_of(module: str, distribution: str, now: Moment) -> Source:
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
            return now.package(name, [Path(str(inner.origin)).parent])
        name, spec, rest = f"{name}.{rest[0]}", inner, rest[1:]
    if spec is None:
        return Source(name, ())
    if spec.submodule_search_locations is not None:
        return now.package(name, map(Path, spec.submodule_search_locations))
    file = Path(str(spec.origin))
    files = ((f"{name}.py", file),) if file.suffix == ".py" and file.is_file() else ()
    return Source(name, files, is_module=True)


def _spec_of(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module made by hand, which has no spec
        return None


def _is_namespace(spec: ModuleSpec | None) -> bool:
    """A folder without `__init__`, which several distributions may share."""
    return spec is not None and spec.submodule_search_locations is not None and not spec.has_location


def _recorded(root: str, distribution: str) -> tuple[tuple[str, Path], ...]:
    """The Python files below `root` that a distribution's own record lists."""
    try:
        listed = metadata.files(distribution) or ()
    except (metadata.PackageNotFoundError, ValueError):  # an entry point made by hand belongs to none
        return ()
    mine = [file for file in listed if file.parts[:1] == (root,) and file.suffix == ".py"]
    located = [(file.relative_to(root).as_posix(), Path(str(file.locate()))) for file in mine]
    return tuple(sorted((name, path) for name, path in located if path.is_file()))
