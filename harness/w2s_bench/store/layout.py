"""Where things lie below a store's root, and the locks that say who may change them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_bench.names import MANIFEST
from w2s_bench.store.faults import explained
from w2s_bench.store.locks import held
from w2s_bench.store.mark import Mark, is_key, is_stage


class Layout:
    """The folders of one store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.partial = root / ".partial"
        self.locks = root / ".locks"
        self.uses = root / ".uses"
        self.logs = root / ".logs"
        self.verdicts = root / ".verdicts"
        self.aside = root / ".aside"
        self.mark = Mark(root)

    def folder(self, stage: str, key: str) -> Path:
        if not is_stage(stage):
            raise ValueError(f"stage name {stage!r} names a folder: give letters, digits, '_', '.' and '-'")
        if not is_key(key):
            raise ValueError(f"key {key!r} is no digest: give 64 hexadecimal digits")
        return self.root / stage / key

    def scratch(self, folder: Path) -> Path:
        """Where a result is made before it is moved to its folder, and moved to before it is removed."""
        return self.partial / f"{folder.parent.name}-{folder.name}"

    def leftovers(self) -> list[Path]:
        """The scratch folders that there are: whatever else lies beside them is not the store's."""
        names = (path.name.rpartition("-") for path in self.partial.glob("*"))
        return [self.partial / f"{stage}-{key}" for stage, _, key in names if is_stage(stage) and is_key(key)]

    def make(self, folder: Path) -> None:
        """A folder of the store's own; what lies in its place and is none is moved aside."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            self.move_aside(folder, unless=Path.is_dir)
            folder.mkdir(exist_ok=True)

    def move_aside(self, path: Path, unless: Callable[[Path], bool]) -> Path | None:
        """Move what nobody knows to where it is in nobody's way, and say where to.

        None where `unless` holds by now, or where it has gone: of those who meet the same odd thing one moves it.
        """
        with held(self.root / ".aside.lock"):
            if unless(path) or not os.path.lexists(path):
                return None
            self.aside.mkdir(exist_ok=True)
            names = path.relative_to(self.root).parts
            return path.rename(self.aside / f"{'-'.join(names).lstrip('.')}-{secrets.token_hex(4)}")

    @contextmanager
    def lock(self, folder: Path, timeout: float = -1) -> Iterator[None]:
        """The lock of a result's folder, or of its scratch folder: they are the same. `Timeout` after `timeout` seconds."""
        name = folder.name if folder.parent == self.partial else self.scratch(folder).name
        self.mark.claim()
        with explained(self.locks):
            self.make(self.locks)
        with held(self.locks / f"{name}.lock", timeout, self._make_way):
            yield

    def _make_way(self, lock: Path) -> None:
        self.move_aside(lock, unless=_is_plain_file)

    def bury_locks(self) -> None:
        """Remove the lock files of processes that died while they held them."""
        from filelock import Timeout

        for path in self.locks.glob("*.lock"):
            with contextlib.suppress(Timeout), held(path, timeout=0, make_way=self._make_way):
                pass

    def announce(self, folder: Path) -> Path:
        """Say that a result is about to be removed, if nobody uses it; called with its lock held."""
        return self.cleared(self.scratch(folder))

    def cleared(self, scratch: Path) -> Path:
        """An empty scratch folder; called with its lock held."""
        self.make(self.partial)
        remove(scratch)
        scratch.mkdir()
        return scratch

    def is_leaving(self, folder: Path) -> bool:
        """Whether somebody is about to remove a result that is there: whoever holds its lock knows how it ended."""
        # Every read of a result asks this, so a string must do. Without write permission nobody can wait for a lock.
        return os.path.lexists(f"{self.partial}/{folder.parent.name}-{folder.name}") and os.access(
            self.partial, os.W_OK
        )

    def hide(self, folder: Path) -> Path:
        """Take a result out of sight at once, so that a removal cut short leaves nothing that looks like one."""
        scratch = self.scratch(folder)
        self.make(self.partial)
        remove(scratch)
        return folder.rename(scratch)


def address_of(folder: Path) -> str:
    """`stage/key` of a result's folder."""
    return f"{folder.parent.name}/{folder.name}"


def touch(folder: Path) -> None:
    """Record that a result is used now, where that can be written."""
    with contextlib.suppress(OSError):
        os.utime(f"{folder}/{MANIFEST}")


def has_manifest(folder: Path) -> bool:
    """Whether a folder says that it is a result, rightly or not; what does not is never removed."""
    return not folder.is_symlink() and _is_plain_file(folder / MANIFEST)


def remove(path: Path) -> None:
    """Remove what the store has made: a folder with all that is in it, or whatever lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_plain_file(path: Path) -> bool:
    return not path.is_symlink() and path.is_file()
