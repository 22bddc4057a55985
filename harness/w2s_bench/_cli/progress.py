"""What runs now, done of total, time left: a live display on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from w2s_bench.executors import Damaged, Event, Finished, GaveUp, Planned, Started, Stored, label_of

if TYPE_CHECKING:
    from rich.progress import Progress

#: About how long stages take against each other; it makes the time left honest, and is used for nothing else.
_WEIGHTS = {"train": 60, "predict": 8, "read": 6, "items": 60, "answers": 60, "grade": 6, "score": 6}
_EVERY = 15.0  # seconds between lines where there is no terminal


@contextmanager
def shown_progress(title: str, *, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Yields what an executor calls with its events; damage and failures are said even when quiet."""
    if quiet:
        yield _say_trouble
    elif sys.stderr.isatty():
        with _display(title) as events:
            yield events
    else:
        yield _Lines(title)


def _say_trouble(event: Event) -> None:
    if isinstance(event, Damaged):
        print(f"warning: {event.damage}", file=sys.stderr)
    elif isinstance(event, GaveUp) and event.failed.cause_node == event.stage.node:
        print(f"failed: {event.failed}", file=sys.stderr)


class _Lines:
    """Progress for a log file."""

    def __init__(self, title: str) -> None:
        self.title, self.done, self.total, self.stored = title, 0, 0, 0
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        _say_trouble(event)
        if isinstance(event, Planned):
            self.total = event.total
        elif isinstance(event, Stored | Finished | GaveUp):
            self.done += 1
            self.stored += isinstance(event, Stored)
            if time.monotonic() - self.last > _EVERY or self.done == self.total:
                self.last = time.monotonic()
                print(f"{self.title}: {self.done} of {self.total} stages, {self.stored} of them stored before", file=sys.stderr, flush=True)


@contextmanager
def _display(title: str) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        display = _Display(progress, escape(title))
        yield display


class _Display:
    """A bar over all stages, and one line a worker with what it does now."""

    def __init__(self, progress: Progress, title: str) -> None:
        self.progress = progress
        self.bar = progress.add_task(title, total=None, count="planning")
        self.workers: dict[int, object] = {}
        self.work, self.done, self.total = 0.0, 0, 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Planned):
            self.total = event.total
        elif isinstance(event, Started):
            self._worker(event.worker, label_of(event.stage))
        elif isinstance(event, Stored | Finished | GaveUp):
            self.done += 1
            if isinstance(event, Finished):
                self.progress.advance(self.bar, _WEIGHTS.get(event.stage.name, 1))
        self._trouble(event)
        self.progress.update(self.bar, count=f"{self.done}/{self.total} stages")

    def _worker(self, worker: int, label: str) -> None:
        self.progress.print  # keeps the display above the lines printed by _trouble
        from rich.markup import escape

        self.progress.update(self.bar, description=escape(label))

    def _trouble(self, event: Event) -> None:
        if isinstance(event, Damaged):
            self.progress.console.print(f"warning: {event.damage}", style="yellow", markup=False)
        elif isinstance(event, GaveUp) and event.failed.cause_node == event.stage.node:
            self.progress.console.print(f"failed: {event.failed}", style="red", markup=False)
