"""What every executor does that has a driver: look in the store, hand out what is not there, and tell how it goes."""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from w2s_bench.errors import StoreError
from w2s_bench.executors.events import Damaged, Event, Planned, Started, Waiting
from w2s_bench.executors.interruption import interruptible
from w2s_bench.executors.outcomes import Answer, Done, Lacking, Outcome, Unusable
from w2s_bench.executors.schedule import Schedule, Work
from w2s_bench.executors.timings import Timings
from w2s_bench.executors.until import Until
from w2s_bench.store import Result, Store
from w2s_bench.store.stage import Stage

_CHECKERS = 4  # threads that read stored results; hashing releases the interpreter lock
_HEARTBEAT = 1.0  # seconds; Python notices a signal only between two waits
_FORECAST_SHARE = 0.05  # of the driver's time, at most, that goes to guessing how much is left


class Places(ABC):
    """Where work runs: so many pieces at once, each answered once."""

    count: int
    missing: str | None = None  # what keeps every started stage from running, as far as the executor knows

    @abstractmethod
    def free(self, gpu: bool) -> bool:
        """Whether a place is free for work that takes a GPU, or for work that takes none."""

    @abstractmethod
    def start(self, work: Work, answer: Callable[[Answer], None]) -> int:
        """Start a piece of work in a free place; `answer` is called from any thread. Returns the place's number."""

    @abstractmethod
    def close(self, *, now: bool) -> None:
        """Let everything end; `now`: whatever it does."""


def drive(
    places: Places,
    targets: Sequence[Stage],
    store: Store,
    events: Callable[[Event], None],
    until: Until | None = None,
) -> Mapping[str, Outcome]:
    """`Executor.run` on these places. Raises RunPausedError where the hour `until` keeps stages from starting."""
    with interruptible():
        return _Drive(places, targets, store, events, until).outcomes()


class _Drive:
    """One run. Threads and places only submit calls to `inbox`; this thread makes them, one after another."""

    def __init__(
        self,
        places: Places,
        targets: Sequence[Stage],
        store: Store,
        events: Callable[[Event], None],
        until: Until | None,
    ) -> None:
        self.places, self.store, self.events, self.until = places, store, events, until
        self.timings = Timings.of_store(store.root)
        self.schedule = Schedule(targets, self.timings.of, events, known_seconds=self.timings.known)
        self.inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.checkers = ThreadPoolExecutor(_CHECKERS, thread_name_prefix="w2s-bench-check")
        self.told = len(store.damages)
        self.started = self.running = 0
        self.next_forecast = 0.0

    def outcomes(self) -> Mapping[str, Outcome]:
        now = True
        try:
            self.events(Planned(len(self.schedule.stages), self.places.count))
            while not self.schedule.complete:
                self.look_up()
                self.hand_out()
                if not self.schedule.complete:
                    self.next_call()()
                self.tell_damages()
            now = False
        finally:
            self.checkers.shutdown(wait=False, cancel_futures=True)
            self.places.close(now=now)
            if now and self.started:
                self.store.clean()
            if self.started:
                self.timings.save()
        self.schedule.name_causes()
        return self.schedule.outcomes

    def submit(self, call: Callable[[Work, Any], None], work: Work, outcome: Any) -> None:
        self.inbox.put(partial(call, work, outcome))

    def next_call(self) -> Callable[[], None]:
        while True:
            try:
                return self.inbox.get(timeout=_HEARTBEAT)
            except queue.Empty:
                self.tell_ahead()

    def look_up(self) -> None:
        """Ask the store for every work that has become known; what it surely has not waits for a place at once."""
        while self.schedule.fresh:
            work = self.schedule.fresh.pop(0)
            if self.store.holds(work.stage, work.key):
                future = self.checkers.submit(self.store.find, work.stage, work.key)
                future.add_done_callback(partial(self.submit, self.looked_up, work))
            else:
                self.schedule.found(work, None)

    def looked_up(self, work: Work, looked: Future[Result | None]) -> None:
        self.schedule.found(work, looked.result())

    def hand_out(self) -> None:
        """Give waiting work to free places: first what takes a GPU, so that no GPU stands idle."""
        if self.until is not None and self.until.reached:
            if not self.running and (self.schedule.waiting(True) or self.schedule.waiting(False)):
                raise self.until.paused(len(self.schedule.outcomes), len(self.schedule.stages))
            return
        for gpu in (True, False):
            while self.schedule.waiting(gpu) and self.places.free(gpu):
                if not self.started:
                    self.store.clean()
                    if self.places.missing is not None:
                        self.events(Waiting(self.places.missing))
                self.started += 1
                self.running += 1
                work = self.schedule.pop(gpu)
                place = self.places.start(work, partial(self.submit, self.answered, work))
                self.events(Started(work.stage, place))

    def answered(self, work: Work, answer: Answer) -> None:
        self.running -= 1
        self.store.damages += answer.damages
        outcome = work.job.kept(answer, self.store).outcome
        if isinstance(outcome, Unusable):
            raise StoreError(outcome.fault)
        if isinstance(outcome, Lacking):
            self.schedule.lacking(work, outcome.inputs)
        else:
            if isinstance(outcome, Done):
                if outcome.new:
                    self.timings.learn(work.stage, outcome.result.seconds)
                self.store.use(work.stage, work.key)
            self.schedule.ended(work, outcome)
        self.tell_ahead()

    def tell_ahead(self) -> None:
        begun = time.monotonic()
        if self.started and begun >= self.next_forecast:
            self.events(self.schedule.ahead(self.places.count))
            ended = time.monotonic()
            self.next_forecast = ended + max(_HEARTBEAT, (ended - begun) / _FORECAST_SHARE)

    def tell_damages(self) -> None:
        while self.told < len(self.store.damages):
            self.events(Damaged(self.store.damages[self.told]))
            self.told += 1
