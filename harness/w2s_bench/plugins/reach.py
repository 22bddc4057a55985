"""Which files of a package the code of one module can come from: its own, and what it imports, read off the text.

Nothing is imported. What the text does not say for certain makes it the whole package: rather too much than a helper unseen.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from w2s_bench.plugins.source import Moment, Source

#: Modules by which code can load other code that no import statement names.
_LOADERS = frozenset({"importlib", "runpy", "imp", "pkgutil", "builtins", "zipimport", "pickle", "dill", "cloudpickle"})
#: Parts of `importlib` that load no code.
_HARMLESS = frozenset({"metadata", "resources", "abc"})
#: Functions that do so, wherever they come from.
_LOADS = frozenset({"__import__", "import_module", "resolve_name", "run_module", "run_path", "exec_module", "__path__"})
_OF_SYS = frozenset({"modules", "path", "meta_path", "path_hooks", "executable"})
#: Calls that an `__init__` may make and still only name things: containers, and the views of a mapping.
_CONTAINERS = frozenset({"dict", "list", "tuple", "set", "frozenset", "sorted", "MappingProxyType"})
_VIEWS = frozenset({"items", "keys", "values"})
_NAMING: tuple[type[ast.AST], ...] = (
    *(ast.Name, ast.Attribute, ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Starred, ast.BinOp),
    *(ast.DictComp, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.comprehension, ast.expr_context, ast.operator),
)


class _LostError(Exception):
    """The text does not say what is imported."""


@dataclass(frozen=True)
class _Import:
    """One imported name: `from <dots><module> import <name>`, or `import <module>` where `name` is None.

    `whole`: the names of the packages above are bound too, as by `import a.b`.
    """

    module: str
    name: str | None = None
    dots: int = 0
    whole: bool = False


@dataclass(frozen=True)
class _Text:
    """What a file's text says. `inert`: it only imports, names what it imported, and holds hooks that give these names."""

    imports: tuple[_Import, ...] = ()
    lost: bool = False
    inert: bool = False
    binds: frozenset[str] = frozenset()


def reached(
    module: str, through: str, sources: Iterable[Source], elsewhere: Callable[[str], Source | None], now: Moment
) -> tuple[Source, ...]:
    """Of `sources`, the files that `module` can run: itself, and whatever it imports, inside functions too.

    An `__init__` above one of these runs as well. One that is inert is left out, though it imports every sibling, so that a
    sibling that is added changes nothing; any other counts with all that it imports. The same holds of `through`, the module
    that names `module`. So what a sibling does to others by being imported is not seen: who needs it must import it.

    `elsewhere` finds the source of a top-level module that `sources` do not hold and that belongs with them; None: it does not.
    """
    walk = _Walk({source.root: source for source in sources}, elsewhere, now)
    try:
        walk.read(module)
        walk.pass_through(through)
    except _LostError:
        return tuple(walk.sources[root] for root in sorted(walk.sources))
    narrowed = []
    for root in sorted(walk.sources):
        mine = [(name, path) for name, path in walk.sources[root].files if path in walk.files]
        if mine:
            narrowed.append(replace(walk.sources[root], files=tuple(mine), folders=()))
    return tuple(narrowed)


def modules_imported(content: bytes) -> frozenset[str]:
    """The modules that a Python file imports by their full names; of a text that is no Python, none."""
    return frozenset(imported.module for imported in _text(content).imports if not imported.dots)


@dataclass
class _Walk:
    sources: dict[str, Source]
    elsewhere: Callable[[str], Source | None]
    now: Moment
    files: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._modules: dict[str, list[Path]] = {}
        self._read, self._foreign = set[str](), set[str]()
        for source in self.sources.values():
            self._add(source)

    def _add(self, source: Source) -> None:
        for module, path in source.modules():
            self._modules.setdefault(module, []).append(path)

    def read(self, module: str) -> None:
        """Take the module's files, and all that they import."""
        waiting = [module]
        while waiting:
            now = waiting.pop()
            if now in self._read:
                continue
            self._read.add(now)
            if now not in self._modules:
                raise _LostError
            self.files |= set(self._modules[now])
            waiting += [above for above in _above(now) if self._does_something(above)]
            for text in self._texts(now):
                if text.lost:
                    raise _LostError
                for imported in text.imports:
                    waiting += self._named(now, imported)

    def pass_through(self, module: str) -> None:
        """Take the module only if it does something by being imported."""
        for above in (module, *_above(module)):
            if self._does_something(above):
                self.read(above)

    def _does_something(self, module: str) -> bool:
        return not all(text.inert for text in self._texts(module))

    def _texts(self, module: str) -> list[_Text]:
        return [_text(self.now.content(path)) for path in self._modules.get(module, ())]

    def _is_package(self, module: str) -> bool:
        return any(path.name == "__init__.py" for path in self._modules[module])

    def _named(self, where: str, imported: _Import) -> Iterator[str]:
        """The modules of ours that an import in the module `where` reads."""
        base = self._base(where, imported)
        if not self._is_ours(base):
            if imported.name is not None and self._is_ours(f"{base}.{imported.name}"):  # from a namespace above
                yield f"{base}.{imported.name}"
            return
        if imported.name is None:
            yield base
            yield from (above for above in _above(base) if imported.whole and above in self._modules)
            return
        texts, inner = self._texts(base), f"{base}.{imported.name}"
        if imported.name == "*":
            if any("__all__" in text.binds for text in texts) and self._is_package(base):
                raise _LostError  # it may name modules
            yield base
        elif inner in self._modules:
            yield inner
            if any(imported.name in text.binds for text in texts) or self._does_something(base):
                yield base
        else:
            yield base

    def _base(self, where: str, imported: _Import) -> str:
        if not imported.dots:
            return imported.module
        parts = where.split(".")
        up = imported.dots - self._is_package(where)
        if up >= len(parts):
            raise _LostError
        return ".".join([*parts[: len(parts) - up], *([imported.module] if imported.module else [])])

    def _is_ours(self, module: str) -> bool:
        if any(f"{module}.".startswith(f"{root}.") for root in self.sources):
            return True
        top = module.partition(".")[0]
        if top in self._foreign or any(f"{root}.".startswith(f"{top}.") for root in self.sources):
            return False
        source = self.elsewhere(top)
        if source is None or not source.files:
            self._foreign.add(top)
            return False
        self.sources[source.root] = source
        self._add(source)
        return f"{module}.".startswith(f"{source.root}.")


def _above(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


@lru_cache(maxsize=2048)
def _text(content: bytes) -> _Text:
    # Many modules of a package import the same helpers. So the answer is kept by a file's content.
    try:
        tree = ast.parse(content)
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Text(lost=True)
    imports = tuple(imported for node in nodes for imported in _imports(node))
    lost = any(map(_loads_code, nodes)) or any(_is_loader(imported) for imported in imports)
    binds = {
        name.asname or name.name.partition(".")[0]
        for node in nodes
        if isinstance(node, _IMPORTS)
        for name in node.names
    }
    binds |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    binds |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return _Text(imports, lost, not lost and all(map(_is_inert, tree.body)), frozenset(binds))


_IMPORTS = (ast.Import, ast.ImportFrom)


def _imports(node: ast.AST) -> Iterator[_Import]:
    if isinstance(node, ast.Import):
        for name in node.names:
            yield _Import(name.name, whole=name.asname is None)
    elif isinstance(node, ast.ImportFrom):
        for name in node.names:
            yield _Import(node.module or "", name.name, node.level)


def _is_loader(imported: _Import) -> bool:
    if imported.dots:
        return False
    top, _, inner = imported.module.partition(".")
    if top == "sys":
        return imported.name is not None and (imported.name == "*" or imported.name in _OF_SYS)
    if top == "importlib":
        return (inner or imported.name or "").partition(".")[0] not in _HARMLESS
    return top in _LOADERS


def _loads_code(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _LOADS or node.id in ("exec", "eval")  # not the attribute: every torch model has an `eval`
    if isinstance(node, ast.Attribute):
        of_sys = isinstance(node.value, ast.Name) and node.value.id == "sys" and node.attr in _OF_SYS
        return of_sys or node.attr in _LOADS
    return isinstance(node, ast.Import) and any(name.name == "sys" and name.asname for name in node.names)


def _is_inert(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assign):
        return all(isinstance(to, ast.Name) for to in statement.targets) and _only_names(statement.value)
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name) and (statement.value is None or _only_names(statement.value))
    if isinstance(statement, ast.If):  # if TYPE_CHECKING
        return _only_names(statement.test) and all(map(_is_inert, [*statement.body, *statement.orelse]))
    if isinstance(statement, ast.Return):
        return statement.value is None or _only_names(statement.value)
    if isinstance(statement, ast.FunctionDef):
        hooks = all(_last_name(decorator) == "hookimpl" for decorator in statement.decorator_list)
        plain = not statement.args.defaults and not any(statement.args.kw_defaults)
        called = statement.decorator_list or statement.name.startswith("__")  # by the harness, by Python
        return hooks and plain and (not called or all(map(_is_inert, statement.body)))
    return False


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _only_names(expression: ast.expr) -> bool:
    """Whether an expression only puts together what has a name already."""
    return all(_names(node) for node in ast.walk(expression))


def _names(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        to = node.func
        if isinstance(to, ast.Attribute):
            return to.attr in _VIEWS and not node.args and not node.keywords
        return isinstance(to, ast.Name) and to.id in _CONTAINERS
    return isinstance(node, _NAMING)
