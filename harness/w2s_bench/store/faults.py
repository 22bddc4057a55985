"""What goes wrong with the disk under a store, as an error that says what to do about it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_bench.errors import StoreError

#: What a stage's own failure to write says about the machine, not about the stage.
_MACHINE_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


#: Bytes that must fit on a disk which is not full: more than a library that gave up may have left of its own.
_ROOM = 16 << 20


def machine_fault(error: BaseException, folder: Path) -> str | None:
    """What the disk that `folder` lies on lacks, if an error, or one that led to it, complains of a disk and rightly so.

    Libraries put an `OSError` into words, and a stage may fill another disk than the store's: what an error says of no file
    below `folder` is a reason to try this disk, and no more.
    """
    causes = list(_causes(error))
    if any(isinstance(cause, StoreError) for cause in causes):
        return None
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _MACHINE_FAULTS and _is_below(folder, cause.filename):
            return os.strerror(cause.errno)
    if any(_speaks_of_a_disk(cause) for cause in causes):
        fault = tried(folder)
        return os.strerror(fault) if fault in _MACHINE_FAULTS else None
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it, each once: `raise error from error` makes a ring of them."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        cause = pending.pop()
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            pending += [
                cause.__cause__,
                cause.__context__,
                *(cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()),
            ]


def _is_below(folder: Path, name: object) -> bool:
    return isinstance(name, str | os.PathLike) and Path(name).is_relative_to(folder)


def _speaks_of_a_disk(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _MACHINE_FAULTS:
        return True
    try:
        said = str(error)
    except BaseException:  # noqa: BLE001 - a plugin's own class, which may do anything
        return False
    return any(os.strerror(fault) in said for fault in _MACHINE_FAULTS)


def tried(folder: Path) -> int | None:
    """What keeps a few megabytes from being written to a folder: an error's number, or None."""
    try:
        with tempfile.TemporaryFile(dir=next(path for path in (folder, *folder.parents) if path.is_dir())) as file:
            for _ in range(_ROOM >> 20):
                file.write(os.urandom(1 << 20))  # some disks store zeros without room
            file.flush()
    except OSError as error:
        return error.errno or errno.EIO
    return None


def store_error(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"the store cannot use {path}: {reason}. Free space or give write permission there, or choose another folder"
        " with --store DIR; everything stored so far is kept, and the next run goes on from it."
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """The store's own failures to read or write, as the user's error."""
    try:
        yield
    except OSError as error:
        from filelock import Timeout  # imported where something failed: every look at a store comes through here

        if isinstance(error, Timeout):  # an OSError too, but only `clean` waits for locks
            raise
        raise store_error(Path(error.filename or path), error.strerror or str(error)) from error
