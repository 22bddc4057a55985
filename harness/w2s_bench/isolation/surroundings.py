"""What every process that is started from this one inherits: variables, the working directory and the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """Give them back afterwards: what plugins set while a run is planned must not reach the processes of others."""
    environment = dict(os.environ)
    mask = current_umask()
    try:
        folder: Path | None = Path.cwd()
    except FileNotFoundError:  # somebody removed the folder under this process
        folder = None
    try:
        yield
    finally:
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        if folder is not None:
            os.chdir(folder)
        os.umask(mask)


def current_umask() -> int:
    """Of this process. It can be read only by setting it; meanwhile others see less than they may, not more."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
