"""Writes a plugin for somebody to start from: a whole distribution that is installed and tested as it is.

What it is made of lies in `templates/`: a folder a kind, each file with `$name` where the author's names go. A folder
`KIND.VARIANT` has the files in which a variant differs.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import keyword
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.names import BUILT_IN, normalized
from w2s_bench.plugins.hooks import HOOKS, RESERVED_PREFIXES, EntryKind, words
from w2s_bench.plugins.installation import running_version

#: What can be begun, as one writes it → what it registers.
NEW: Final[Mapping[str, EntryKind]] = MappingProxyType(
    {"trust-function": "trust_function", "domain": "domain", "objective": "objective"}
)
_SUFFIX: Final = ".template"
_MODULE: Final = "__module__"  # the name of a folder that stands for the package's own
_EXAMPLE: Final = "my-margin"
_LONGEST: Final = 64  # letters of a name, which is that of folders, too


@dataclass(frozen=True)
class Written:
    """A new distribution: its folder, the files in it, and the full name of what it registers."""

    folder: Path
    files: tuple[str, ...]
    distribution: str
    module: str
    name: str


def write_new(what: str, name: str, out: Path, *, variant: str = "") -> Written:
    """Write the distribution `name` of kind `what` into a new folder of `out`, whole or not at all.

    `what` is a key of `NEW`; `variant` one of its variants (`trust_set`, a trust function that learns), or empty. Raises
    `W2SBenchError` where the name cannot be a distribution's, is taken, or the folder is there.
    """
    distribution, module = _names(what, name, variant)
    folder = out / distribution
    if folder.exists() or folder.is_symlink():
        raise W2SBenchError(f"{folder} is there already; nothing was written. Take another name, or another --out DIR")
    if not out.is_dir():
        raise W2SBenchError(
            f"there is no folder {out} to write {distribution} into; make it, or give another --out DIR"
        )
    values = {
        "distribution": distribution,
        "module": module,
        "entry": module,
        "task": f"{module}_task",
        "classname": _classname(module),
        "harness": running_version(),
    }
    files = {path.replace(_MODULE, module): Template(text).substitute(values) for path, text in _texts(what, variant)}
    try:
        # Whoever looks at `folder` sees all of it or nothing: it is renamed from a folder beside it.
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{distribution}-") as beside:
            made = Path(beside) / distribution
            for path, text in files.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.rename(folder)
    except OSError as error:
        why = error.strerror or str(error)
        raise W2SBenchError(
            f"cannot write {folder}: {why}; nothing was left there. Give another --out DIR, which you may write to"
        ) from error
    return Written(folder, tuple(sorted(files)), distribution, module, f"{distribution}/{module}")


def _classname(module: str) -> str:
    return "".join(part.capitalize() for part in module.split("_"))


def _names(what: str, name: str, variant: str) -> tuple[str, str]:
    """The distribution's name and its package's, both free."""
    distribution = normalized(name)
    module = distribution.replace("-", "_")
    entry_kind = NEW[what]
    is_name = re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", module) and len(module) <= _LONGEST
    if not is_name or any(map(keyword.iskeyword, (module, _classname(module)))):
        raise W2SBenchError(
            f"{name[: _LONGEST + 1]!r} cannot name a package: expected up to {_LONGEST} letters of a-z and digits, parted by single "
            f"hyphens, a letter first, and no word of Python's own (nor its class one); for example {_EXAMPLE!r}"
        )
    if hidden := {module, _classname(module)} & _words_of_the_code(what, variant):
        raise W2SBenchError(
            f"{name!r} cannot name it: the code that is written uses {min(hidden)!r} for something else, which the {words(entry_kind)} "
            "would hide; take another name"
        )
    if distribution in RESERVED_PREFIXES or distribution == BUILT_IN:
        raise W2SBenchError(f"the name {distribution!r} is reserved, so that no plugin of it is loaded; take another")
    if module in HOOKS[entry_kind].reserved:
        raise W2SBenchError(
            f"{module!r} is the name of {HOOKS[entry_kind].reserved_for}; give the {words(entry_kind)} another"
        )
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        pass
    else:
        raise W2SBenchError(
            f"the name {distribution!r} is taken: {distribution} {version} is installed here; take another, or uninstall it"
        )
    # Only a top-level name is looked for, so nothing is imported.
    if module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None:
        raise W2SBenchError(
            f"a module {module!r} is installed here, which a package of that name would hide; take another name"
        )
    return distribution, module


def _words_of_the_code(what: str, variant: str) -> set[str]:
    """What the modules that are written import, define or have of Python, by a bare name; the author's own names are not among them."""
    own = {"entry": "o", "module": "o", "classname": "O"}
    found: set[str] = set()
    for path, text in _texts(what, variant):
        if path.endswith(".py"):
            module = ast.parse(Template(text).safe_substitute(own))
            found |= {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            for node in ast.walk(module):
                if isinstance(node, ast.alias):
                    found.add(node.asname or node.name)
                elif isinstance(node, ast.Name) and hasattr(builtins, node.id):
                    found.add(node.id)
    return found - {*own.values()}


def _texts(what: str, variant: str) -> list[tuple[str, str]]:
    """(path in the distribution, template) of every file; those of the variant stand for the others of their path."""
    root = resources.files("w2s_bench.plugins") / "templates"
    files = _below(root / what)
    if variant:
        files |= _below(root / f"{what}.{variant}")
    return [(path, file.read_text(encoding="utf-8")) for path, file in sorted(files.items())]


def _below(folder: Traversable, parents: str = "") -> dict[str, Traversable]:
    files: dict[str, Traversable] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            files |= _below(entry, f"{parents}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            files[parents + entry.name.removesuffix(_SUFFIX)] = entry
    return files
