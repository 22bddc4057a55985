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
                print(
                    f"{self.title}: {self.done} of {self.total} stages, {self.stored} of them stored before",
                    file=sys.stderr,
                    flush=True,
                )


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
    """One bar over all work, and beside it what each worker does now."""

    def __init__(self, progress: Progress, title: str) -> None:
        self.progress, self.title = progress, title
        self.bar = progress.add_task(title, total=None, count="", now="")
        self.running: dict[str, str] = {}
        self.total = self.done = 0
        self.work = 0.0  # of the stages that are not stored; known only once they are looked up

    def __call__(self, event: Event) -> None:
        if isinstance(event, Planned):
            self.total = event.total
        elif isinstance(event, Started):
            self.running[event.stage.node] = label_of(event.stage)
        elif isinstance(event, Stored | Finished | GaveUp):
            self.running.pop(event.stage.node, None)
            self.done += 1
        elif isinstance(event, Damaged):
            self.progress.console.print(f"warning: {event.damage}", style="yellow", markup=False)
        if isinstance(event, GaveUp) and event.failed.cause_node == event.stage.node:
            self.progress.console.print(f"failed: {event.failed}", style="red", markup=False)
        self._show()

    def _show(self) -> None:
        from rich.markup import escape

        now = "\n".join(f"  [dim]{escape(label)}[/dim]" for label in self.running.values())
        self.progress.update(
            self.bar, total=self.total, completed=self.done, count=f"{self.done} of {self.total} stages", now=now
        )
