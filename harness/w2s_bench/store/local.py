"""The store in a folder: results enter by one rename, under a lock a key, and are checked on every read."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from w2s_bench.record import digest_of
from w2s_bench.stages import Stage
from w2s_bench.store.faults import explained, machine_fault, store_error
from w2s_bench.store.manifest import Damage, Result, check, identity, result_of, seal

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
        with explained(folder):
            return folder.exists()

    def find(self, stage: Stage, key: str) -> Result | None:
        """The stored result, all of it checked; None if there is none, or if it was damaged (see `damages`)."""
        folder = self.folder(stage, key)
        with explained(folder):
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
                with explained(scratch):
                    _remove(scratch)
                    scratch.mkdir(parents=True)
                clock, cpu = time.perf_counter(), time.process_time()
                try:
                    produce(scratch)
                except Exception as error:
                    if (fault := machine_fault(error)) is not None:
                        raise store_error(scratch, fault) from error
                    raise
                seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
                with explained(folder):
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

        with explained(self.root):
            leftovers = list((self.root / ".partial").glob("*"))
        for scratch in leftovers:
            try:
                with self._lock(scratch, timeout=0), explained(scratch):
                    _remove(scratch)
            except Timeout:
                continue

    def write_log(self, name: str, text: str) -> Path:
        """Keep what a failed stage printed; a later failure of the same stage replaces it."""
        path = self.logs / f"{name}.log"
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return path

    def _check_or_remove(self, folder: Path) -> Result | None:
        """Called with the lock held, so that damage is damage."""
        with explained(folder):
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
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
        try:
            yield
        finally:
            lock.release()


def _remove(folder: Path) -> None:
    if folder.is_symlink() or folder.exists():
        shutil.rmtree(folder)
