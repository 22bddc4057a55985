"""What code may leave in its process that would break whatever runs there next: noted before, given back afterwards.

Of every watch, `settle` says what was changed, for people, after it has been given back; None: nothing.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Settle = Callable[[], str | None]

_PATIENCE = 1.0  # seconds that threads have to end
_TIMERS = {
    getattr(signal, f"ITIMER_{name}"): name for name in ("REAL", "VIRTUAL", "PROF") if hasattr(signal, f"ITIMER_{name}")
}


def timers() -> Settle:
    """Alarms that are still to ring."""
    before = {timer: signal.getitimer(timer) for timer in _TIMERS}

    def settle() -> str | None:
        # A timer that was set before has come nearer meanwhile. Only a new timer is a change.
        new = [timer for timer in _TIMERS if signal.getitimer(timer)[0] and not before[timer][0]]
        for timer in new:
            signal.setitimer(timer, 0)
        return f"its timers ({', '.join(_TIMERS[timer] for timer in new)}): call signal.alarm(0)" if new else None

    return settle


def handlers() -> Settle:
    """Who handles signals."""

    def current() -> dict[int, Any]:
        return {number: signal.getsignal(number) for number in signal.valid_signals()}

    before = current()

    def settle() -> str | None:
        changed = [number for number, handler in current().items() if handler is not before.get(number)]
        if not changed:
            return None
        for number in changed:
            if (handler := before.get(number)) is not None and threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)
        names = ", ".join(signal.Signals(number).name for number in changed)
        return f"the handlers of signals ({names}); put back what signal.signal returned"

    return settle


def threads() -> Settle:
    """Threads that go on. Helpers that libraries start as daemons and keep, as progress bars do, are none."""
    before = set(threading.enumerate())

    def settle() -> str | None:
        deadline = time.monotonic() + _PATIENCE
        left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
        for thread in left:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread for thread in left if thread.is_alive()]
        for thread in left:
            if isinstance(thread, threading.Timer):
                thread.cancel()
        names = ", ".join(thread.name for thread in left)
        return f"the threads there are: left {names} running; wait for them to end, or cancel them" if left else None

    return settle


def streams() -> Settle:
    """Standard input, output and error: the files behind them, and Python's objects for them."""

    def identity(descriptor: int) -> tuple[int, ...] | None:
        try:
            facts = os.fstat(descriptor)
        except OSError:  # closed
            return None
        return facts.st_dev, facts.st_ino, facts.st_rdev

    def spare(descriptor: int) -> int | None:
        try:
            return os.dup(descriptor)
        except OSError:
            return None

    before = {descriptor: identity(descriptor) for descriptor in range(3)}
    spares = {descriptor: spare(descriptor) for descriptor in range(3)}
    objects = {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr")}
    names = ("standard input", "standard output", "standard error")

    def settle() -> str | None:
        changed = set()
        for name, stream in objects.items():
            if getattr(sys, name) is not stream:
                changed.add(names[("stdin", "stdout", "stderr").index(name)])
                with suppress(ValueError, OSError, AttributeError):
                    getattr(sys, name).flush()
                setattr(sys, name, stream)
        for descriptor, was in before.items():
            kept = spares[descriptor]
            if identity(descriptor) != was:
                changed.add(names[descriptor])
                if kept is not None and identity(kept) == was:
                    os.dup2(kept, descriptor)
            if kept is not None:
                with suppress(OSError):  # code that closes all descriptors has closed this one too
                    os.close(kept)
        for descriptor, name in enumerate(objects):
            if getattr(objects[name], "closed", False):
                changed.add(names[descriptor])
                setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115
        if not changed:
            return None
        return f"its {' and '.join(sorted(changed))}; use contextlib.redirect_stdout, or pipes of your own"

    return settle


class Traces:
    """All of the above around one job of a worker, whoever's code it runs."""

    def __init__(self) -> None:
        self._given_back = [watch() for watch in (timers, handlers)]
        self._lasting = [watch() for watch in (streams, threads)]

    def settle(self) -> bool:
        """Give everything back; False where something may last, so that the process is of no more use."""
        faulthandler.cancel_dump_traceback_later()
        for settle in self._given_back:
            settle()
        return not [change for settle in self._lasting if (change := settle()) is not None]
