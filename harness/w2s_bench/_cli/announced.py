"""How far a run is, as a line in its results folder: what `serve` shows at the top of the page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from w2s_bench._cli.progress import RunState
from w2s_bench._cli.repeated import repeated
from w2s_bench.executors import Event
from w2s_bench.names import PROGRESS
from w2s_bench.record import write_atomically

#: Seconds from line to line. A reader who hears nothing for two minutes takes the run to have ended.
_EVERY = 2.0


@contextmanager
def announced(title: str, folder: Path, events: Callable[[Event], None]) -> Iterator[Callable[[Event], None]]:
    """Yields what an executor calls with its events, which are told on; the line goes away when the run ends.

    Nothing is written before the run itself has made the folder. A line that cannot be written is no error: nothing hangs on it.
    """
    state, lock = RunState(title), threading.Lock()
    path = folder / PROGRESS

    def told(event: Event) -> None:
        events(event)
        with lock:
            state(event)

    def keep() -> None:
        with lock:
            line = state.line()
        if folder.is_dir():
            with suppress(OSError):
                write_atomically(path, json.dumps(line) + "\n")

    try:
        with repeated(keep, seconds=_EVERY, name="w2s-bench-announced"):
            yield told
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
