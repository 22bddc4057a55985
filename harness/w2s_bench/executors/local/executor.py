"""Stages on this machine, in a few worker processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from w2s_bench.errors import W2SBenchError
from w2s_bench.executors.driver import Places, drive
from w2s_bench.executors.events import Event
from w2s_bench.executors.local.seat import Seat
from w2s_bench.executors.local.spare import Spare
from w2s_bench.executors.outcomes import Answer, Outcome
from w2s_bench.executors.resources import Limits, needs_all_gpus, needs_gpu, visible_gpus
from w2s_bench.executors.schedule import Work
from w2s_bench.executors.until import Until
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk


@dataclass(frozen=True)
class LocalExecutor:
    """Runs stages in up to `workers` processes of one thread each. None is started if everything is stored.

    `plugins` are the distributions that a worker's registry is restricted to; None: all that are installed. `gpus` are
    this machine's by number or identifier, one a worker (None: all that are visible); a stage on "cuda" takes one. Where the
    model of any stage is spread over all of them, one worker has all, and stages that need a GPU run one after the other.
    From the hour `until` on nothing starts.
    """

    workers: int = 1
    plugins: tuple[str, ...] | None = None
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    gpus: tuple[str, ...] | None = None
    until: Until | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise W2SBenchError(f"{self.workers} workers cannot run anything; give 1 or more")

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        together = any(needs_all_gpus(stage) for stage in walk(targets))
        return drive(_Seats(self, store, together), targets, store, events, self.until)


class _Seats(Places):
    """Worker processes, each with a thread that waits for it. The first ones have a GPU each, as long as there are any."""

    def __init__(self, executor: LocalExecutor, store: Store, together: bool) -> None:
        self.count = executor.workers
        gpus = visible_gpus() if executor.gpus is None else executor.gpus
        if together and gpus:
            gpus = (",".join(gpus),)
        # Spares are for the seats without a GPU, which share one environment.
        spare = Spare(max(1, self.count - len(gpus)))
        self.seats = [
            Seat(
                store,
                executor.plugins,
                executor.limits,
                {"CUDA_VISIBLE_DEVICES": gpus[number]} if number < len(gpus) else {},
                None if number < len(gpus) else spare,
            )
            for number in range(self.count)
        ]
        self._with_gpu = range(min(len(gpus), self.count))
        self._idle = set(range(self.count))  # the driver's thread and the seats' threads use it
        self._changing = threading.Lock()

    def free(self, gpu: bool) -> bool:
        return self._choice(gpu) is not None

    def start(self, work: Work, answer: Callable[[Answer], None]) -> int:
        with self._changing:
            number = self._choice(needs_gpu(work.stage))
            assert number is not None, "start is called where a place is free"
            self._idle.discard(number)

        def run() -> None:
            said = work.job.failed("the harness failed while it waited for a worker")
            try:
                said = self.seats[number].run(work.job)
            finally:
                with self._changing:
                    self._idle.add(number)
                answer(said)

        threading.Thread(target=run, name=f"w2s-bench-seat-{number}", daemon=True).start()
        return number

    def _choice(self, gpu: bool) -> int | None:
        """The idle seat to take. Without any GPU a stage that wants one goes anywhere, and says itself what is missing."""
        if gpu and self._with_gpu:
            return min((number for number in self._idle if number in self._with_gpu), default=None)
        # Stages that need no GPU leave the seats with one free, as long as there are other seats.
        return max(self._idle, default=None) if self._with_gpu else min(self._idle, default=None)

    def close(self, *, now: bool) -> None:
        ending = [threading.Thread(target=seat.kill if now else seat.close) for seat in self.seats]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()
