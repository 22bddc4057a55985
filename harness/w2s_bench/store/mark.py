"""Which folders are stores, so that nothing of anybody's is ever taken for a result.

    <root>/.w2s-bench   written first, before anything else in a store

A folder without that mark becomes a store if it is new or empty, or a store of before there were marks: stage folders with
nothing but results in them. Any other folder is left alone: nothing is written to it, and nothing is removed from it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from w2s_bench.errors import NoStoreError, W2SBenchError
from w2s_bench.store.faults import explained
from w2s_bench.store.manifest import parse, read_manifest

MARK = ".w2s-bench"
TEXT = b"a store of w2s-bench\n"
#: What a store keeps beside its results.
_OWN = frozenset(
    {
        *(".partial", ".locks", ".uses", ".logs", ".verdicts", ".size", ".timings.json"),
        *(".unpublished", ".ray", ".aside", ".aside.lock"),
    }
)
_OWN_TEMPORARY = re.compile(r"\.now-.*|\.\.(size|timings\.json)\..*\.tmp")
#: What systems put into folders that are empty to people.
_OF_SYSTEMS = frozenset({"lost+found", ".DS_Store", ".gitkeep", ".keep"})
_STAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_KEY = re.compile(r"[0-9a-f]{64}")


def is_stage(name: str) -> bool:
    """Whether a folder of this name may hold a stage's results."""
    return _STAGE.fullmatch(name) is not None


def is_key(name: str) -> bool:
    """Whether a name is a result's: a digest. Nothing that is named otherwise is ever removed."""
    return _KEY.fullmatch(name) is not None


class Mark:
    """The mark of the folder at `root`."""

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / MARK
        self._seen = False

    def is_there(self) -> bool:
        if not self._seen:
            with explained(self.path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._seen = stat.S_ISREG(self.path.lstat().st_mode)
        return self._seen

    def require(self) -> None:
        """Raise `NoStoreError` unless the folder is a store or may become one; writes nothing."""
        if self.is_there():
            return
        with explained(self.root):
            stranger, results = _survey(self.root)
        if stranger is None or self.is_there():  # another process may just have made the folder a store
            return
        copied = (
            f"; `w2s-bench store export NEW --store {self.root}` copies its results to a new one" if results else ""
        )
        raise NoStoreError(
            f"{self.root} is no store of w2s-bench: {stranger!r} lies there, and no mark {MARK}. Nothing is written to it or "
            f"removed from it; give an empty or a new folder, such as --store {self.root / 'store'}{copied}"
        )

    def claim(self) -> None:
        """Make the folder a store if it is none yet; called before anything is written or removed."""
        if self.is_there():
            return
        self.require()
        with explained(self.path):
            self.root.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError), self.path.open("xb") as file:
                file.write(TEXT)
        self._seen = True


def _survey(root: Path) -> tuple[str | None, bool]:
    """(something that no store would hold, if anything; whether there are results)."""
    stranger: str | None = None
    unproven: str | None = None  # other programs name folders by digests too; one sound result proves a store
    results = False
    for entry in _scan(root):
        if entry.name in _OWN or entry.name in _OF_SYSTEMS or _OWN_TEMPORARY.fullmatch(entry.name):
            continue
        if is_stage(entry.name) and entry.is_dir(follow_symlinks=False):
            inside = [below.name for below in _scan(root / entry.name)]
            keys = [name for name in inside if is_key(name)]
            results = results or any(_is_sound(root / entry.name / key) for key in keys)
            if len(keys) == len(inside):
                unproven = unproven or (entry.name if keys else None)
                continue
        stranger = stranger or entry.name
    return stranger or (None if results else unproven), results


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from entries


def _is_sound(folder: Path) -> bool:
    try:
        return parse(read_manifest(folder), folder.name) is not None
    except (OSError, W2SBenchError):
        return False
