"""Which of the installed distributions called `w2s-bench` is the one that runs. Others of that name are only in the way."""

from __future__ import annotations

import email.parser
import functools
import json
import pkgutil
import re
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from w2s_bench.names import BUILT_IN, normalized

#: Names that may stand in a command which somebody pastes.
_OWN: Final = re.compile(rf"{BUILT_IN}-[a-z0-9]+(-[a-z0-9]+)*")


def from_a_checkout(distribution: str) -> str | None:
    """How a plugin that lies beside the harness is installed, in words and a command; None for any other distribution.

    Of others no name is advised: who may take one on a package index is nobody we know.
    """
    own = normalized(distribution)
    return f"in a checkout of {BUILT_IN}: pip install ./plugins/{own}" if _OWN.fullmatch(own) else None


def called_so() -> tuple[metadata.Distribution, ...]:
    """Every distribution of the name on the search path, the running one first."""
    by_identity: dict[tuple[Path, str], metadata.Distribution] = {}
    for dist in metadata.distributions(name=BUILT_IN):
        by_identity.setdefault(_identity(dist), dist)  # a folder may be on the path twice
    return tuple(sorted(by_identity.values(), key=_distance))


def is_running(dist: metadata.Distribution) -> bool:
    """Whether the running package is part of this distribution; where none can be told to be, of the first."""
    first = called_so()[:1]
    return bool(first) and _identity(first[0]) == _identity(dist)


def running_version() -> str:
    """The version of the running package, whatever else is called so."""
    return next((version_of(dist) for dist in called_so()), _version_of_package())


def version_of(dist: metadata.Distribution) -> str:
    """A distribution's version. Python reads all of its metadata for it, a README that may be long among them, at every question."""
    text = dist.read_text("METADATA")
    return (text and _version_told(text)) or dist.version


@functools.lru_cache(maxsize=64)
def _version_told(metadata_text: str) -> str:
    return str(email.parser.HeaderParser().parsestr(metadata_text).get("Version", ""))


def place_of(dist: metadata.Distribution) -> Path:
    """The folder that a distribution's metadata lie in."""
    return Path(str(dist.locate_file("")))


def in_the_way(dist: metadata.Distribution | None) -> str:
    """What is wrong with a distribution that is called as the harness, and what to do."""
    where = f"in {place_of(dist)}; uninstall it, or delete its metadata there" if dist is not None else "made by hand"
    return f"another distribution has the name {BUILT_IN!r}, and is not the one that runs: nothing of it is loaded ({where})"


def _identity(dist: metadata.Distribution) -> tuple[Path, str]:
    return place_of(dist).resolve(), version_of(dist)


def _distance(dist: metadata.Distribution) -> tuple[int, bool]:
    """How surely a distribution holds the running package; of two in one folder, the stale one has another version."""
    package = Path(__file__).resolve().parents[1]
    beside = place_of(dist).resolve()
    source = _source_tree(dist)
    if package.parent == beside:
        rank = 0
    elif source is not None and source in package.parents:
        rank = 1
    else:
        rank = 2 if beside in package.parents else 3  # 2: metadata in a source tree, as old tools leave them
    return rank, version_of(dist) != _version_of_package()


def _version_of_package() -> str:
    # By name, since the package's root offers what lies in rooms above.
    return str(pkgutil.resolve_name("w2s_bench:__version__"))


def _source_tree(dist: metadata.Distribution) -> Path | None:
    """The folder that an editable installation leads to."""
    try:
        url = urlsplit(str(json.loads(dist.read_text("direct_url.json") or "{}").get("url", "")))
    except (ValueError, AttributeError, RecursionError):
        return None
    return Path(unquote(url.path)).resolve() if url.scheme == "file" and url.path else None
