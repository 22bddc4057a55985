"""Stages on this machine: a few worker processes, and a driver that hands each stage out when its inputs are there."""

from __future__ import annotations

import heapq
import queue
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors import (
    Damaged,
    Done,
    Event,
    Failed,
    Finished,
    GaveUp,
    Outcome,
    Planned,
    Started,
    Stored,
    label_of,
)
from w2s_bench.executors.interruption import interruptible
from w2s_bench.executors.process import WorkerProcess
from w2s_bench.stages import Stage, walk
from w2s_bench.store import Damage, Result, Store, key_of
from w2s_bench.types import JSON

_CHECKERS = 4  # threads that read stored results; hashing releases the interpreter lock
_HEARTBEAT = 1.0  # seconds


@dataclass(frozen=True)
class LocalExecutor:
    """Runs stages in up to `workers` processes of one thread each. None is started if everything is stored.

    `plugins` are the distributions that a worker's registry is restricted to; None: all that are installed.
    """

    workers: int = 1
    plugins: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise W2SBenchError(f"{self.workers} workers cannot run anything; give 1 or more")

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        with interruptible():
            return _Run(self, targets, store, events).outcome_of_all()


@dataclass
class _Work:
    """One key: a piece of work, wanted by one node of the graph or by several whose inputs came out equal."""

    stage: Stage
    key: str
    inputs: Mapping[str, Result]
    nodes: list[str]
    outcome: Outcome | None = None

    @property
    def job(self) -> dict[str, JSON]:
        stage = self.stage
        return {
            "stage": {
                "name": stage.name,
                "version": stage.version,
                "function": stage.function,
                "params": stage.params,
                "libraries": stage.libraries,
                "label": stage.label,
            },
            "contents": {name: result.content for name, result in self.inputs.items()},
            "inputs": {name: str(result.path) for name, result in self.inputs.items()},
        }


@dataclass
class _Seat:
    """A place for a worker; `process` is None before it is needed, and `work` while it is idle."""

    number: int
    process: WorkerProcess | None = None
    work: _Work | None = None


class _Run:
    """The state of one run. Other threads only post calls to `inbox`; this thread makes them, one after another."""

    def __init__(
        self, executor: LocalExecutor, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]
    ) -> None:
        self.plugins, self.store, self.events = executor.plugins, store, events
        self.stages = {stage.node: stage for stage in walk(targets)}
        self.outcomes: dict[str, Outcome] = {}
        self.users: dict[str, list[str]] = {node: [] for node in self.stages}
        self.missing: dict[str, int] = {}
        for node, stage in self.stages.items():
            inputs = {one.node for one in stage.inputs.values()}
            self.missing[node] = len(inputs)
            for one in inputs:
                self.users[one].append(node)
        # The longest chain of stages that waits for a node; what has the longest goes first. Users come after what they
        # use in a walk, so backwards every user's own chain is known.
        self.urgency: dict[str, int] = {}
        for node in reversed(self.stages):
            self.urgency[node] = 1 + max((self.urgency[user] for user in self.users[node]), default=0)
        self.order = {node: place for place, node in enumerate(self.stages)}
        self.works: dict[tuple[str, str], _Work] = {}
        self.ready: list[tuple[int, int, _Work]] = []
        self.seats = [_Seat(number) for number in range(executor.workers)]
        self.inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.checkers = ThreadPoolExecutor(_CHECKERS, thread_name_prefix="w2s-bench-check")
        self.told = len(store.damages)

    def outcome_of_all(self) -> Mapping[str, Outcome]:
        try:
            self.events(Planned(len(self.stages), len(self.seats)))
            for node in [node for node, missing in self.missing.items() if not missing]:
                self.want(node)
            while len(self.outcomes) < len(self.stages):
                self.hand_out()
                self.next_call()()
                self.tell_damages()
        except BaseException:
            self.stop(WorkerProcess.kill)
            if any(seat.process for seat in self.seats):
                self.store.clean()
            raise
        self.stop(WorkerProcess.end)
        self.name_causes()
        return self.outcomes

    def next_call(self) -> Callable[[], None]:
        while True:
            try:
                return self.inbox.get(timeout=_HEARTBEAT)
            except queue.Empty:
                for seat in self.seats:
                    if seat.process is not None:
                        seat.process.check()

    def stop(self, how: Callable[[WorkerProcess], int]) -> None:
        self.checkers.shutdown(wait=False, cancel_futures=True)
        ending = [threading.Thread(target=how, args=(seat.process,)) for seat in self.seats if seat.process]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()

    # What happens to a node, in this order.

    def want(self, node: str) -> None:
        """All inputs of a node are there, so its key is known: look in the store, unless somebody already has."""
        stage = self.stages[node]
        inputs = {}
        for name, one in stage.inputs.items():
            outcome = self.outcomes[one.node]
            assert isinstance(outcome, Done)
            inputs[name] = outcome.result
        try:
            key = key_of(stage, {name: result.content for name, result in inputs.items()})
        except W2SBenchError as error:
            self.settle(_Work(stage, "", inputs, [node]), Failed(label_of(stage), str(error), node))
            return
        work = self.works.get((stage.name, key))
        if work is None:
            work = self.works[stage.name, key] = _Work(stage, key, inputs, [node])
            if self.store.holds(stage, key):
                future = self.checkers.submit(self.store.find, stage, key)
                future.add_done_callback(lambda done: self.inbox.put(partial(self.looked_up, work, done)))
            else:
                self.queue_up(work)
        elif work.outcome is None:
            work.nodes.append(node)
        else:
            self.settle(replace(work, nodes=[node]), work.outcome)

    def looked_up(self, work: _Work, found: Future[Result | None]) -> None:
        if (result := found.result()) is not None:
            self.settle(work, Done(result))
        else:
            self.queue_up(work)

    def queue_up(self, work: _Work) -> None:
        node = work.nodes[0]
        heapq.heappush(self.ready, (-self.urgency[node], self.order[node], work))

    def hand_out(self) -> None:
        """Give waiting work to idle workers, starting those that are not there yet."""
        for seat in self.seats:
            if not self.ready:
                return
            if seat.work is None:
                seat.work = heapq.heappop(self.ready)[-1]
                if seat.process is None:
                    seat.process = self.start(seat)
                seat.process.send(seat.work.job)
                self.events(Started(seat.work.stage, seat.number))

    def start(self, seat: _Seat) -> WorkerProcess:
        if all(other.process is None for other in self.seats):
            self.store.clean()
        return WorkerProcess(
            self.store.root,
            self.plugins,
            lambda reply: self.inbox.put(partial(self.answered, seat, reply)),
            lambda: self.inbox.put(partial(self.ended, seat)),
        )

    def answered(self, seat: _Seat, reply: Mapping[str, JSON]) -> None:
        work, seat.work = seat.work, None
        assert work is not None
        assert seat.process is not None
        if "store_error" in reply:
            raise StoreError(reply["store_error"])
        if "reason" in reply:
            self.failed(work, reply["reason"], seat.process.output() + reply["traceback"])
            return
        self.store.damages += [Damage(Path(damage["path"]), damage["reason"]) for damage in reply["damages"]]
        result = Result(**{**reply["result"], "path": Path(reply["result"]["path"])})
        self.settle(work, Done(result), result.seconds if reply["made_here"] else None)

    def ended(self, seat: _Seat) -> None:
        """A worker is gone: the stage that it ran has failed, and the next one gets a new worker."""
        process, seat.process = seat.process, None
        work, seat.work = seat.work, None
        assert process is not None
        output = process.output()
        code = process.end()
        if work is None:
            return
        self.store.clean()  # it could not take its half-made result away itself
        reason = f"worker died (exit code {code})"
        if code == -signal.SIGKILL:
            reason += ", killed from outside, as happens when memory runs out; try fewer --workers"
        elif code < 0:
            reason += f", by {signal.Signals(-code).name}"
        elif last := output.rstrip().rpartition("\n")[2]:
            reason += f", its last words: {last[:300]}"
        self.failed(work, reason, output)

    def failed(self, work: _Work, reason: str, log: str) -> None:
        head = f"{label_of(work.stage)}\n{work.stage.function}\n{reason}\n\n"
        path = self.store.write_log(f"{work.stage.name}-{work.key}", head + log)
        self.settle(work, Failed(label_of(work.stage), reason, work.nodes[0], path))

    def name_causes(self) -> None:
        """Of two failed inputs, the first in the stage's own order is the cause, whichever failed first in time."""
        for node, stage in self.stages.items():
            outcomes = [self.outcomes[one.node] for one in stage.inputs.values()]
            if (cause := next((one for one in outcomes if isinstance(one, Failed)), None)) is not None:
                self.outcomes[node] = cause

    def settle(self, work: _Work, outcome: Outcome, seconds: float | None = None) -> None:
        """`seconds` it took if it was made here; the first node of a shared result tells that, the others find it."""
        work.outcome = outcome
        for node in work.nodes:
            if isinstance(outcome, Failed):  # of several nodes with this key, each is its own cause
                outcome = replace(outcome, stage=label_of(self.stages[node]), cause_node=node)
            self.settle_node(node, outcome, seconds)
            seconds = None

    def settle_node(self, node: str, outcome: Outcome, seconds: float | None) -> None:
        """`outcome` is the node's own, or the failure of one that it needs."""
        self.outcomes[node] = outcome
        stage = self.stages[node]
        if isinstance(outcome, Failed):
            self.events(GaveUp(stage, outcome))
            for user in self.users[node]:
                if user not in self.outcomes:
                    self.settle_node(user, outcome, None)
            return
        result = outcome.result
        self.events(Stored(stage, result) if seconds is None else Finished(stage, result, seconds))
        for user in self.users[node]:
            self.missing[user] -= 1
            if not self.missing[user] and user not in self.outcomes:
                self.want(user)

    def tell_damages(self) -> None:
        while self.told < len(self.store.damages):
            self.events(Damaged(self.store.damages[self.told]))
            self.told += 1
