"""Where things lie below a store's root, and the locks that say who may change them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_bench.store.faults import explained
from w2s_bench.store.manifest import MANIFEST

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Layout:
    """The folders of one store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.partial = root / ".partial"
        self.locks = root / ".locks"
        self.uses = root / ".uses"
        self.logs = root / ".logs"

    def folder(self, stage: str, key: str) -> Path:
        if not _SAFE_NAME.fullmatch(stage):
            raise ValueError(f"stage name {stage!r} names a folder: give letters, digits, '_', '.' and '-'")
        return self.root / stage / key

    def scratch(self, folder: Path) -> Path:
        """Where a result is made before it is moved to its folder, and moved to before it is removed."""
        return self.partial / f"{folder.parent.name}-{folder.name}"

    @contextmanager
    def lock(self, folder: Path, timeout: float = -1) -> Iterator[None]:
        """The lock of a result's folder, or of its scratch folder: they are the same. `Timeout` after `timeout` seconds."""
        from filelock import FileLock

        name = folder.name if folder.parent == self.partial else self.scratch(folder).name
        path = self.locks / f"{name}.lock"
        lock = FileLock(path)
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
        try:
            yield
        finally:
            lock.release()

    def announce(self, folder: Path) -> Path:
        """Say that a result is about to be removed, if nobody uses it; called with its lock held."""
        scratch = self.scratch(folder)
        remove(scratch)
        scratch.mkdir(parents=True)
        return scratch

    def is_leaving(self, folder: Path) -> bool:
        """Whether somebody is about to remove a result that is there: whoever holds its lock knows how it ended."""
        # A string, since this is asked for every result that is read; without write permission nobody can wait for a lock.
        return os.path.lexists(f"{self.partial}/{folder.parent.name}-{folder.name}") and os.access(
            self.partial, os.W_OK
        )

    def hide(self, folder: Path) -> Path:
        """Take a result out of sight at once, so that a removal cut short leaves nothing that looks like one."""
        scratch = self.scratch(folder)
        remove(scratch)
        scratch.parent.mkdir(parents=True, exist_ok=True)
        return folder.rename(scratch)


def place_of(folder: Path) -> str:
    """`stage/key` of a result's folder."""
    return f"{folder.parent.name}/{folder.name}"


def touch(folder: Path) -> None:
    """Record that a result is used now, where that can be written."""
    with contextlib.suppress(OSError):
        os.utime(f"{folder}/{MANIFEST}")


def remove(folder: Path) -> None:
    if folder.is_symlink() or folder.exists():
        shutil.rmtree(folder)
