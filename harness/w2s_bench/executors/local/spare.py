"""Idle worker processes that no seat keeps for itself: whichever seat of a machine has the next job of their host takes one.

So many seats start few processes: jobs of plugins are short, and few run at one time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from w2s_bench.executors.local.hosts import Host
from w2s_bench.executors.local.process import WorkerProcess

_MOST = 3  # idle for each seat


class Spare:
    """Shared by so many seats; any thread may call anything. After `end` it takes nothing more."""

    def __init__(self, seats: int = 1) -> None:
        self._seats = seats
        self._idle: list[tuple[Host, WorkerProcess]] = []  # the one used last comes last
        self._changing = threading.Lock()
        self._ended = False

    def take(self, host: Host) -> WorkerProcess | None:
        """A process of this host, which is then the caller's."""
        with self._changing:
            for number in reversed(range(len(self._idle))):
                if self._idle[number][0] == host:
                    return self._idle.pop(number)[1]
        return None

    def give(self, host: Host, process: WorkerProcess) -> None:
        """Keep an idle process; of too many, the one that was used least lately ends."""
        with self._changing:
            self._idle.append((host, process))
            excess = self._idle.pop(0)[1] if self._ended or len(self._idle) > _MOST * self._seats else None
        if excess is not None:
            excess.end()

    def memory(self) -> int:
        """Bytes that one seat's share of them holds."""
        with self._changing:
            idle = [process for _, process in self._idle]
        return sum(process.memory() for process in idle) // self._seats

    def clear(self) -> None:
        """End all that are here now."""
        with self._changing:
            idle, self._idle = [process for _, process in self._idle], []
        if idle:
            with ThreadPoolExecutor(len(idle)) as threads:
                list(threads.map(lambda process: process.end(), idle))

    def end(self) -> None:
        """End all, also those that are given back later."""
        with self._changing:
            self._ended = True
        self.clear()
