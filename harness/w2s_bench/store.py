"""Content-addressed results: what a stage wrote, under a key of all it depends on, checked on every read.

    <root>/<stage>/<key>/manifest.json   what made it, from what, with what, and the SHA-256 of every file
    <root>/<stage>/<key>/...             the files of the result
    <root>/.partial/<stage>-<key>/       a result in the making, owned by whoever holds its lock
    <root>/.locks/  <root>/.logs/        one lock a key; what failed stages printed

A result enters by one rename, under a lock a key: a reader sees all of it or nothing, and of two runs on one store the
second finds what the first one made. Nothing is believed without its digest, so a crash costs a recomputation at worst.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from w2s_bench.errors import StoreError
from w2s_bench.manifest import Damage, Result, check, identity, key_of, result_of, seal
from w2s_bench.record import digest_of
from w2s_bench.stages import Stage

__all__ = ["Damage", "Result", "Store", "key_of"]

#: What a stage's own failure to write says about the machine, not about the stage.
_MACHINE_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Store:
    """Results under one folder; safe for several threads and processes at once. Reads need no write permission."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / ".logs"
        #: Every damaged result met so far, oldest first.
        self.damages: list[Damage] = []

    @property
    def location(self) -> str:
        """What `open_store` makes the same store of, in another process."""
        return str(self.root)

    def folder(self, stage: Stage, key: str) -> Path:
        if not _SAFE_NAME.fullmatch(stage.name):
            raise ValueError(f"stage name {stage.name!r} names a folder: give letters, digits, '_', '.' and '-'")
        return self.root / stage.name / key

    def holds(self, stage: Stage, key: str) -> bool:
        """Whether anything is stored under this key; only `find` says that it is sound."""
        folder = self.folder(stage, key)
        with _explained(folder):
            return folder.exists()

    def find(self, stage: Stage, key: str) -> Result | None:
        """The stored result, all of it checked; None if there is none, or if it was damaged (see `damages`)."""
        folder = self.folder(stage, key)
        with _explained(folder):
            found = check(folder)
        if not isinstance(found, Damage):
            return found
        # Without the lock, a result that another process is just replacing looks damaged too: look again.
        with self._lock(folder):
            return self._check_or_remove(folder)

    def put(self, stage: Stage, input_contents: Mapping[str, str], produce: Callable[[Path], None]) -> Result:
        """Run `produce` on an empty folder and store what it wrote, unless the result is there by now.

        Waits while another process makes the same result. Whatever `produce` raises is passed on and leaves nothing
        behind, except that a full or read-only disk is a `StoreError`.
        """
        what = identity(stage, input_contents)
        folder = self.folder(stage, digest_of(what))
        with self._lock(folder):
            if (found := self._check_or_remove(folder)) is not None:
                return found
            scratch = self._scratch(folder)
            try:
                with _explained(scratch):
                    _remove(scratch)
                    scratch.mkdir(parents=True)
                clock, cpu = time.perf_counter(), time.process_time()
                try:
                    produce(scratch)
                except Exception as error:
                    if (fault := _machine_fault(error)) is not None:
                        raise _store_error(scratch, fault) from error
                    raise
                seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
                with _explained(folder):
                    facts = seal(scratch, what, seconds, cpu_seconds)
                    folder.parent.mkdir(exist_ok=True)
                    scratch.rename(folder)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)  # what cannot be removed now, `clean` removes later
                raise
        return result_of(folder, facts)

    def clean(self) -> None:
        """Remove what dead processes left half made; what a living one is making is locked, and stays."""
        from filelock import Timeout

        with _explained(self.root):
            leftovers = list((self.root / ".partial").glob("*"))
        for scratch in leftovers:
            try:
                with self._lock(scratch, timeout=0), _explained(scratch):
                    _remove(scratch)
            except Timeout:
                continue

    def write_log(self, name: str, text: str) -> Path:
        """Keep what a failed stage printed; a later failure of the same stage replaces it."""
        path = self.logs / f"{name}.log"
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return path

    def _check_or_remove(self, folder: Path) -> Result | None:
        """Called with the lock held, so that damage is damage."""
        with _explained(folder):
            found = check(folder)
            if not isinstance(found, Damage):
                return found
            scratch = self._scratch(folder)
            _remove(scratch)
            scratch.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(scratch)  # gone at once: a removal cut short leaves nothing that looks like a result
            _remove(scratch)
        self.damages.append(found)
        return None

    def _scratch(self, folder: Path) -> Path:
        return self.root / ".partial" / f"{folder.parent.name}-{folder.name}"

    @contextmanager
    def _lock(self, folder: Path, timeout: float = -1) -> Iterator[None]:
        """The lock of a result's folder, or of its folder under `.partial`: they are the same."""
        from filelock import FileLock

        name = folder.name if folder.parent.name == ".partial" else self._scratch(folder).name
        path = self.root / ".locks" / f"{name}.lock"
        lock = FileLock(path)
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
        try:
            yield
        finally:
            lock.release()


def open_store(location: str | Path) -> Store:
    """The store at a place."""
    return Store(Path(location))


def _remove(folder: Path) -> None:
    if folder.is_symlink() or folder.exists():
        shutil.rmtree(folder)


def _machine_fault(error: BaseException) -> str | None:
    """Whether an error, or one that led to it, says that the disk is full or read-only; libraries wrap `OSError`."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, StoreError):
            return None
        if isinstance(chain, OSError) and chain.errno in _MACHINE_FAULTS:
            return os.strerror(chain.errno)
        if (full := os.strerror(errno.ENOSPC)) in str(chain):
            return full
        chain = chain.__cause__ or chain.__context__
    return None


def _store_error(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"the store cannot use {path}: {reason}. Free space or give write permission there, or choose another folder"
        " with --store DIR; everything stored so far is kept, and the next run goes on from it."
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """The store's own failures to read or write, as the user's error."""
    from filelock import Timeout

    try:
        yield
    except Timeout:  # an OSError too, but only `clean` asks for it
        raise
    except OSError as error:
        raise _store_error(Path(error.filename or path), error.strerror or str(error)) from error
