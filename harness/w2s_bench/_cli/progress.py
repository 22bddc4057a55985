"""What runs now, done of total, time left: a live display on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from w2s_bench._cli.output import say
from w2s_bench._cli.waiting import told_waits
from w2s_bench.errors import NotApplicableError
from w2s_bench.executors import (
    Ahead,
    Damaged,
    Done,
    Ended,
    Event,
    Failed,
    Noted,
    Planned,
    Preparing,
    Started,
    Waiting,
    label_of,
)
from w2s_bench.text import one_line, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

_EVERY = 15.0  # seconds, at least, between lines where there is no terminal
_LONGEST = 25.0  # seconds, at most: a log that stands still looks like a run that hangs
_MOST_NAMED = 3  # stages that run, in a line of a log
_MOST_SHOWN = 12  # and below a terminal's bar
_PLANNING = ""  # stands among the nodes of stages that run for what runs before there are any
_NARROWEST_BAR, _WIDEST_BAR = 8, 40  # characters


class Shown:
    """Shows an executor's events, and remembers what has been said, for those who would say it again at the end."""

    def __init__(self, show: Callable[[Event], None], trouble: _Trouble) -> None:
        self._show, self._trouble = show, trouble

    def __call__(self, event: Event) -> None:
        self._show(event)

    def told_of(self, error: str) -> str | None:
        """The stage of which it has been said why it failed, where `error`, as a cell has it, is of that reason; else None."""
        return self._trouble.of_error.get(error)

    def has_noted(self, text: str) -> bool:
        """Whether a run's note has been said."""
        return text in self._trouble.noted


@contextmanager
def shown_progress(title: str, *, quiet: bool, as_json: bool = False) -> Iterator[Shown]:
    """Yields what an executor calls with its events; damage, waiting and what has no result are said even when quiet.

    `as_json`: no progress is shown, as when quiet, but plugins that are waited for are named, as by every other command.
    """
    if quiet or as_json:
        trouble = _Trouble()
        with told_waits(quiet=quiet) as awaits:

            def tell(event: Event) -> None:
                if isinstance(event, Preparing):
                    awaits(event.what)
                elif not isinstance(event, Noted):
                    trouble.say(event)

            yield Shown(tell, trouble)
    elif sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        with _display(title) as shown:
            yield shown
    else:
        lines = _Lines(title)
        with lines.lively() as events:
            yield Shown(events, lines.trouble)


class _Trouble:
    """What went wrong or is not applicable, in words. One reason is told once: a domain without data fails each stage that reads it."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}  # reason → the stage that it was told of
        self.of_error: dict[str, str] = {}  # a seed's error, as its cell has it → the stage that its reason was told of
        self.noted: set[str] = set()

    def __call__(self, event: Event) -> str | None:
        if isinstance(event, Damaged):
            return f"warning: {event.damage}"
        if isinstance(event, Waiting):
            return f"waiting: {event.reason}"
        if isinstance(event, Noted):
            self.noted.add(event.text)
            return f"note: {event.text}"
        failed = event.outcome if isinstance(event, Ended) else None
        return self._failure(failed) if isinstance(failed, Failed) else None

    def _failure(self, failed: Failed) -> str | None:
        from w2s_bench.runs.collect import error_of

        is_new = failed.reason not in self._told
        self.of_error[error_of(failed)] = self._told.setdefault(failed.reason, failed.stage)
        if not is_new:
            return None
        if NotApplicableError.is_reason(failed.reason):
            return f"note: {failed.stage}: {failed.reason}"
        return f"failed: {failed}"

    def say(self, event: Event) -> None:
        if (told := self(event)) is not None:
            say(told, error=True)


class RunState:
    """How far a run is, from its events."""

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self.clock = title, clock
        self.purpose, self.total, self.done, self.stored = "", 0, 0, 0
        self.began = clock()
        self.running: dict[str, tuple[str, float]] = {}  # node → label, when it began
        self._ahead: tuple[Ahead, float] | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Planned):  # a run of several parts says it again
            self.purpose, self.total, self.done, self.stored = event.purpose, event.total, 0, 0
            self.running, self._ahead = {}, None
        elif isinstance(event, Ahead):
            self._ahead = (event, self.clock())
        elif isinstance(event, Preparing):
            self._prepare(one_line(event.what))
        elif isinstance(event, Started):
            self.running[event.stage.node] = (one_line(label_of(event.stage)), self.clock())
        elif isinstance(event, Ended):
            self.running.pop(event.stage.node, None)
            self.done += 1
            self.stored += isinstance(event.outcome, Done) and not event.outcome.new

    def _prepare(self, what: str) -> None:
        """What runs now is no stage; who is waited for and named again has been waited for all along."""
        before = self.running.pop(_PLANNING, None)
        if what:
            self.running[_PLANNING] = before if before and before[0] == what else (what, self.clock())

    @property
    def name(self) -> str:
        return f"{self.title}, {self.purpose}" if self.purpose else self.title

    @property
    def elapsed(self) -> float:
        return self.clock() - self.began

    def left(self) -> str:
        """Time left in words, as far as it is known; nothing where all is done."""
        if self._ahead is None or self.done >= self.total:
            return ""
        ahead, told = self._ahead
        seconds = ahead.seconds - (self.clock() - told)
        if ahead.unknown:
            return f"at least {duration(seconds)} left" if seconds >= 60 else "time left not known yet"
        return f"about {duration(seconds)} left" if seconds > 0 else ""

    def now(self) -> list[str]:
        """The stages that run, those that have run longest first, each with its time."""
        now = self.clock()
        ordered = sorted(self.running.copy().values(), key=lambda started: started[1])
        return [f"{label} ({duration(now - begun)})" for label, begun in ordered]

    def line(self) -> str:
        """All of it in one line."""
        stages = f"{self.done} of {self.total} stages, {self.stored} of them stored before"
        parts = [
            f"{self.name}: {stages if self.total else 'preparing'}",
            f"{duration(self.elapsed)} so far",
            *([left] if (left := self.left()) else []),
        ]
        named = self.now()
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        return ", ".join(parts) + (f"; now {'; '.join(named[:_MOST_NAMED])}{more}" if named else "")


class _Lines:
    """Progress for a log file: a line as stages end, and one when none has ended for long."""

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.progress, self.trouble = RunState(title, clock), _Trouble()
        self.told = clock()
        self._lock = threading.Lock()
        self._over = threading.Event()

    @contextmanager
    def lively(self) -> Iterator[Callable[[Event], None]]:
        """Beside the events a thread looks that no line is overdue."""
        thread = threading.Thread(target=self._watch, name="w2s-bench-progress", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self.trouble.say(event)
            self.progress(event)
            if isinstance(event, Ended):
                complete = self.progress.done == self.progress.total
                if complete or self.progress.clock() - self.told > _EVERY:
                    self._tell()

    def look(self) -> None:
        """Tell how far the run is if it has not been told for long."""
        with self._lock:
            if self.progress.clock() - self.told > _LONGEST:
                self._tell()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self.look()

    def _tell(self) -> None:
        self.told = self.progress.clock()
        say(self.progress.line(), error=True)


def duration(seconds: float) -> str:
    """A guess in words: no more digits than it is worth."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def _display(title: str) -> Iterator[Shown]:
    """One bar over all stages; below it, a line for each stage that runs now."""
    from rich.live import Live
    from rich.text import Text

    from w2s_bench._cli.output import console

    state, trouble, screen = RunState(title), _Trouble(), console(error=True)

    def tell(event: Event) -> None:
        state(event)
        if (told := trouble(event)) is not None:
            style = "red" if isinstance(event, Ended) else "yellow"
            screen.print(Text(printable(told), style=style))

    with Live(
        get_renderable=lambda: _picture(state, screen.width), console=screen, transient=True, refresh_per_second=4
    ):
        yield Shown(tell, trouble)


def _picture(state: RunState, width: int) -> RenderableType:
    """What the terminal shows now: the bar takes what room the words leave, and goes first where there is none."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    words = f"{state.done} of {state.total} stages" if state.total else "preparing"
    told = " · ".join([words, f"{duration(state.elapsed)} so far", *([left] if (left := state.left()) else [])])
    room = min(width - len(state.name) - len(told) - 3, _WIDEST_BAR)
    grid = Table.grid(padding=(0, 1, 0, 0))
    if room >= _NARROWEST_BAR and state.total:
        bar = ProgressBar(total=state.total, completed=state.done, width=room)
        grid.add_row(Text(state.name, style="bold"), bar, Text(told, no_wrap=True))
    else:
        grid.add_row(Text.assemble((state.name, "bold"), " ", told))
    lines = state.now()
    more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    below = [
        Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in [*lines[:_MOST_SHOWN], *more]
    ]
    return Group(grid, *below)
