"""What every process that is started from this one inherits: variables and the working directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """Give both back afterwards: what plugins set while a run is planned must not reach the processes of others."""
    environment = dict(os.environ)
    try:
        folder: Path | None = Path.cwd()
    except FileNotFoundError:  # removed under this process
        folder = None
    try:
        yield
    finally:
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        if folder is not None:
            os.chdir(folder)
