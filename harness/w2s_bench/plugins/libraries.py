"""Which installed distributions code computes with: those that its own requires, and those of the modules that its files import."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from w2s_bench.names import normalized
from w2s_bench.plugins.reach import modules_imported
from w2s_bench.plugins.source import Moment

#: Modules whose distribution is called otherwise, of those that are often imported: others are looked up among all files installed.
_CALLED: Final = {"sklearn": "scikit-learn"}


def required_by(distribution: str) -> set[str]:
    """What a distribution requires in every case, normalized, without versions and markers, as far as it is installed.

    Requirements of an extra are left out, and so is what these require in turn.
    """
    try:
        required = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:  # an entry point made by hand belongs to none
        return set()
    always = [requirement for requirement in required if not re.search(r";.*\bextra\s*==", requirement)]
    names = {normalized(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]) for requirement in always}
    return set(filter(_is_installed, names))


def imported_by(files: Iterable[Path], now: Moment, *, own: Iterable[str] = ()) -> set[str]:
    """The distributions, normalized, of what Python files import from elsewhere, inside functions too, as far as they are installed.

    Nothing is imported. A module that no distribution has (one beside the files, Python's own) has none. `own`: top-level modules that
    the files are of, or that are not asked about; who is in no distribution by its name is looked for among all files installed.
    """
    tops = {module.partition(".")[0] for path in files for module in modules_imported(now.content(path))}
    return {name for top in tops - sys.stdlib_module_names - set(own) for name in _distributions_of(top)}


@cache
def _distributions_of(top: str) -> tuple[str, ...]:
    name = normalized(_CALLED.get(top, top))
    if _is_installed(name):
        return (name,)
    return tuple(sorted({normalized(each) for each in _of_modules().get(top, ())}))


@cache
def _of_modules() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


@cache
def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
