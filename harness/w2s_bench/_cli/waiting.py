"""What a command without progress of its own waits for, as lines on standard error; a command that is quick says nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from w2s_bench._cli.output import say
from w2s_bench._cli.repeated import repeated
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.text import one_line

_FIRST = 2.0  # seconds of silence that nobody takes for a command that hangs
_EVERY = 25.0  # seconds between lines about one thing, as in a run's log


@contextmanager
def told_waits(*, quiet: bool = False) -> Iterator[Awaits]:
    """Yields what is told of everything that is waited for; a thread beside it says what takes long."""
    if quiet:
        yield unheard
        return
    waits = Waits()
    with repeated(waits.look, seconds=0.5, name="w2s-bench-waits"):
        yield waits


class Waits:
    """What is waited for, since when, and when that is to be said."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._what, self._began, self._due = "", 0.0, 0.0

    def __call__(self, what: str) -> None:
        """From now on `what` is waited for, nothing where it is empty; what is named again has been waited for all along."""
        with self._lock:
            if what != self._what:
                self._what, self._began = what, self._clock()
                self._due = self._began + _FIRST

    def look(self) -> None:
        """Say what is waited for if it has taken long and has not been said for long."""
        with self._lock:
            now = self._clock()
            if self._what and now >= self._due:
                self._due = now + _EVERY
                say(f"waiting: {one_line(self._what)} ({now - self._began:.0f} s so far)", error=True)
