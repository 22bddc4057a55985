"""What runs now, done of total, time left: a live display on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from w2s_bench.executors import Ahead, Damaged, Event, Finished, GaveUp, Planned, Started, Stored, Waiting, label_of

if TYPE_CHECKING:
    from rich.progress import Progress

_EVERY = 15.0  # seconds between lines where there is no terminal


@contextmanager
def shown_progress(title: str, *, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Yields what an executor calls with its events; damage, failures and waiting are said even when quiet."""
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
    elif isinstance(event, Waiting):
        print(f"waiting: {event.reason}", file=sys.stderr, flush=True)
    elif isinstance(event, GaveUp) and event.failed.cause_node == event.stage.node:
        print(f"failed: {event.failed}", file=sys.stderr)


class _Lines:
    """Progress for a log file."""

    def __init__(self, title: str) -> None:
        self.title, self.done, self.total, self.stored = title, 0, 0, 0
        self.last, self.left = time.monotonic(), ""

    def __call__(self, event: Event) -> None:
        _say_trouble(event)
        if isinstance(event, Planned):  # comes again where a run has several parts
            self.total, self.done, self.stored, self.left = event.total, 0, 0, ""
        elif isinstance(event, Ahead):
            self.left = f", about {duration(event.seconds)} left" if self.done < self.total else ""
        elif isinstance(event, Stored | Finished | GaveUp):
            self.done += 1
            self.stored += isinstance(event, Stored)
            if time.monotonic() - self.last > _EVERY or self.done == self.total:
                self.last = time.monotonic()
                print(
                    f"{self.title}: {self.done} of {self.total} stages, {self.stored} of them stored before{self.left}",
                    file=sys.stderr,
                    flush=True,
                )


def duration(seconds: float) -> str:
    """A guess in words: no more digits than it is worth."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def _display(title: str) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    running: dict[str, str] = {}

    class Bar(Progress):
        """One bar over all stages; below it, a line for each stage that runs now."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            yield Text("\n".join(f"  {label}" for label in running.values()), style="dim", no_wrap=True)

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed} of {task.total} stages"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Display(progress, title, running)


class _Display:
    """Turns events into what the bar shows."""

    def __init__(self, progress: Progress, title: str, running: dict[str, str]) -> None:
        from rich.markup import escape

        self.progress, self.running = progress, running
        self.bar = progress.add_task(escape(title), total=None, left="")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Planned):
            self.running.clear()
            self.progress.update(self.bar, total=event.total, completed=0, left="")
        elif isinstance(event, Ahead):
            self.progress.update(self.bar, left=f"· about {duration(event.seconds)} left")
        elif isinstance(event, Started):
            self.running[event.stage.node] = label_of(event.stage)
        elif isinstance(event, Stored | Finished | GaveUp):
            self.running.pop(event.stage.node, None)
            self.progress.advance(self.bar)
        elif isinstance(event, Damaged):
            self.progress.console.print(f"warning: {event.damage}", style="yellow", markup=False)
        elif isinstance(event, Waiting):
            self.progress.console.print(f"waiting: {event.reason}", style="yellow", markup=False)
        if isinstance(event, GaveUp) and event.failed.cause_node == event.stage.node:
            self.progress.console.print(f"failed: {event.failed}", style="red", markup=False)
