"""Which results living processes read, so that nobody removes them meanwhile.

    .uses/<process>.lock   held by the process as long as it lives, however it ends
    .uses/<process>.keys   what it has looked up or made, one `stage/key` a line

A process writes a line before it looks, and a remover says what it is about to remove before it reads the lines for the
last time: of the two, one sees the other. A store that cannot be written has no uses, which costs a recomputation at worst.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


@dataclass
class _Held:
    """What one use has open; apart from it, so that it can be closed when the use itself is gone."""

    lock: BaseFileLock
    path: Path
    file: int
    process: int = field(default_factory=os.getpid)

    def close(self) -> None:
        if os.getpid() != self.process:
            return  # a fork holds a copy; the use belongs to its parent
        os.close(self.file)
        with contextlib.suppress(OSError):  # the next cleaner removes the files
            self.path.unlink(missing_ok=True)
            self.path.with_suffix(".lock").unlink(missing_ok=True)
        self.lock.release()


class Uses:
    """The results that this process reads or makes, from now on until `close`, or until nobody has this object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._noted: set[str] = set()
        self._changing = threading.Lock()
        self._held: _Held | None = None
        self._end: weakref.finalize[[], Uses] | None = None

    def add(self, address: str) -> None:
        """Say that `address` (`stage/key`) is in use; call it before looking there."""
        with self._changing:
            if address in self._noted:
                return
            try:
                if self._held is None:
                    self._held = _hold(self.folder)
                    self._end = weakref.finalize(self, self._held.close)
                # A newline first: a line that was cut short spoils no other.
                os.write(self._held.file, f"\n{address}".encode())
            except OSError:
                return  # the disk is read-only or full; the next use tries again
            self._noted.add(address)

    def close(self) -> None:
        with self._changing:
            if self._end is not None:
                self._end()
            self._held = self._end = None
            self._noted.clear()


def _hold(folder: Path) -> _Held:
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.keys"
        lock = FileLock(path.with_suffix(".lock"), thread_local=False)  # another thread may release the lock
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            # Whoever buries the dead may have taken the lock between its making and its locking, and removed it.
            if path.with_suffix(".lock").exists():
                break
            lock.release()
    try:
        return _Held(lock, path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666))
    except OSError:
        lock.release()
        raise


class Living:
    """What is in use by anybody, kept up with cheaply: files of keys only grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses: set[str] = set()
        self._read: dict[Path, int] = {}  # bytes of each file that are in `addresses`
        bury(folder)
        self.look_again()

    def look_again(self) -> set[str]:
        for path in self.folder.glob("*.keys"):
            if not path.is_file():
                continue  # the file's process just ended, or the file is no lease
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                text = file.read()
                # A writer may still extend the last line; the next look reads it whole.
                whole = text.rpartition(b"\n")[0]
                self.addresses.update(text.decode(errors="replace").split())
                self._read[path] = self._read.get(path, 0) + len(whole)
        return self.addresses


def bury(folder: Path) -> None:
    """Remove what dead processes left: nobody holds their locks."""
    from filelock import FileLock, Timeout

    for path in folder.glob("*.lock"):
        if path.is_symlink() or not path.is_file():
            continue
        lock = FileLock(path)
        with contextlib.suppress(Timeout, FileNotFoundError):
            lock.acquire(timeout=0)
            path.with_suffix(".keys").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            lock.release()
    for path in folder.glob("*.keys"):
        if path.is_file() and not path.with_suffix(".lock").exists():
            path.unlink(missing_ok=True)
