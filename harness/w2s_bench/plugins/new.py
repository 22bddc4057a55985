"""Writes a plugin for somebody to start from: a whole distribution that is installed and tested as it is.

What it is made of lies in `templates/`: a folder a kind, each file with `$name` where the author's names go. A folder
`KIND.VARIANT` has the files in which a variant differs.
"""

from __future__ import annotations

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
    distribution, module = _names(what, name)
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
        "classname": "".join(part.capitalize() for part in module.split("_")),
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


def _names(what: str, name: str) -> tuple[str, str]:
    """The distribution's name and its package's, both free."""
    distribution = normalized(name)
    module = distribution.replace("-", "_")
    entry_kind = NEW[what]
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", module) or keyword.iskeyword(module):
        raise W2SBenchError(
            f"{name!r} cannot name a package: expected letters of a-z and digits, parted by single hyphens, a letter first, and "
            f"no word of Python's own; for example {_EXAMPLE!r}"
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
