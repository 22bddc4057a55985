"""What goes wrong with the disk under a store, as an error that says what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_bench.errors import StoreError

#: What a stage's own failure to write says about the machine, not about the stage.
_MACHINE_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def machine_fault(error: BaseException) -> str | None:
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


def store_error(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"the store cannot use {path}: {reason}. Free space or give write permission there, or choose another folder"
        " with --store DIR; everything stored so far is kept, and the next run goes on from it."
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """The store's own failures to read or write, as the user's error."""
    from filelock import Timeout

    try:
        yield
    except Timeout:  # an OSError too, but only `clean` asks for it
        raise
    except OSError as error:
        raise store_error(Path(error.filename or path), error.strerror or str(error)) from error
