"""Locks between processes, each a file that is there only while somebody holds it or waits for it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_bench.store.faults import explained


@contextmanager
def held(path: Path, timeout: float = -1, make_way: Callable[[Path], None] | None = None) -> Iterator[None]:
    """Hold the lock at `path`; filelock's `Timeout` after `timeout` seconds.

    The holder removes the file before it lets go. Whoever waited has the same file open, sees once it has the lock that
    the file has no name any more, which `filelock` looks for, and starts over with the file that is there by then. So of
    all who have ever opened a file of this name, one at a time holds the lock of the one that is there.

    `make_way` takes away what lies at `path` and is no file.
    """
    from filelock import FileLock

    lock = FileLock(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                lock.acquire(timeout=timeout)
                break
            except OSError as error:
                if error.errno == errno.ESTALE:  # a network file system says so of a file that lost its name
                    continue
                if make_way is None or not (path.is_symlink() or path.is_dir()):
                    raise
                make_way(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the next holder, or `Store.clean`, removes what stays
            path.unlink(missing_ok=True)
        lock.release()
