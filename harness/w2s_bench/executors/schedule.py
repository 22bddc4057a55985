"""The order of a run: which stages are wanted, which may start, and what the end of one means for the others.

No process and no file is touched here, so the same schedule drives worker processes, a cluster and a simulation.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from w2s_bench.executors.events import Ahead, Ended, Event
from w2s_bench.executors.jobs import Job
from w2s_bench.executors.outcomes import Done, Failed, Outcome, failed_input, input_results, key_or_failure, label_of
from w2s_bench.executors.resources import needs_gpu
from w2s_bench.store import Result
from w2s_bench.store.stage import Stage, walk

_MOST_REPAIRS = 3  # of the inputs of one piece of work


@dataclass(eq=False)
class Work:
    """One key: a piece of work, wanted by one node of the graph or by several whose inputs came out equal."""

    stage: Stage
    key: str
    inputs: Mapping[str, Result]
    nodes: list[str]
    outcome: Outcome | None = None
    repairs: int = 0
    parked: list[Work] = field(default_factory=list)  # works that wait until this one's lost result is made again

    @cached_property
    def job(self) -> Job:
        return Job.of(self.stage, self.key, self.inputs)


class Schedule:
    """The state of a run. `fresh` holds works whose key has just become known: look each up and say `found`.

    `seconds_of` guesses what a stage will take; the longest way to the end goes first. `known_seconds` is asked for the
    time left: None where nothing is known (default: what `seconds_of` says).
    """

    def __init__(
        self,
        targets: Sequence[Stage],
        seconds_of: Callable[[Stage], float],
        events: Callable[[Event], None],
        *,
        known_seconds: Callable[[Stage], float | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.events = events
        self.stages = {stage.node: stage for stage in walk(targets)}
        self.outcomes: dict[str, Outcome] = {}
        self.fresh: list[Work] = []
        self.seconds = {node: seconds_of(stage) for node, stage in self.stages.items()}
        self._known_seconds = known_seconds or seconds_of
        self._clock = clock
        self._begun: dict[str, float] = {}
        self._users: dict[str, list[str]] = {node: [] for node in self.stages}
        self._missing: dict[str, int] = {}
        for node, stage in self.stages.items():
            inputs = {needed.node for needed in stage.inputs.values()}
            self._missing[node] = len(inputs)
            for needed in inputs:
                self._users[needed].append(node)
        # Seconds from a node's start to the end of the longest chain that waits for it. Users come after what they use in
        # a walk, so backwards every user's own chain is known.
        self.urgency: dict[str, float] = {}
        for node in reversed(self.stages):
            after = max((self.urgency[user] for user in self._users[node]), default=0.0)
            self.urgency[node] = self.seconds[node] + after
        self._order = {node: number for number, node in enumerate(self.stages)}
        self._works: dict[tuple[str, str], Work] = {}
        self._ready: dict[bool, list[tuple[float, int, Work]]] = {False: [], True: []}  # by whether they take a GPU
        for node in [node for node, missing in self._missing.items() if not missing]:
            self._want(node)

    @property
    def complete(self) -> bool:
        return len(self.outcomes) == len(self.stages)

    def waiting(self, gpu: bool) -> bool:
        """Whether some work may start that takes a GPU, or none."""
        return bool(self._ready[gpu])

    def pop(self, gpu: bool) -> Work:
        """The waiting work, of those that take a GPU or of the others, that the longest chain hangs on."""
        work = heapq.heappop(self._ready[gpu])[-1]
        self._begun[work.nodes[0]] = self._clock()
        return work

    def ahead(self, places: int) -> Ahead:
        """A guess: all that is ahead shared among the places, or the longest chain where that takes longer.

        What was begun counts for what is left of it. It goes over all stages that have not ended.
        """
        now, total, unknown = self._clock(), 0.0, 0
        chains: dict[str, float] = {}
        for node in reversed(self.stages):
            if node in self.outcomes:
                continue
            expected, begun = self._known_seconds(self.stages[node]), self._begun.get(node)
            left = (expected or 0.0) - (now - begun if begun is not None else 0.0)
            unknown += expected is None or left < 0
            left = max(left, 0.0)
            total += left
            chains[node] = left + max((chains.get(user, 0.0) for user in self._users[node]), default=0.0)
        return Ahead(max([total / places, *chains.values()]), unknown)

    def found(self, work: Work, result: Result | None) -> None:
        """What the store holds of a fresh work; without a result it waits for a place."""
        if result is not None:
            self._settle(work, Done(result))
        else:
            self._queue(work)

    def ended(self, work: Work, outcome: Outcome) -> None:
        """A work has run. What waits for it, since its result was lost, goes on; where it failed, so does what needs it."""
        waiting, work.parked = work.parked, []
        before = work.outcome
        for waiter in waiting:
            if isinstance(outcome, Failed):
                self.ended(waiter, replace(outcome, cause_node=waiter.nodes[0]))
            elif isinstance(before, Done) and outcome.result.content == before.result.content:
                self._queue(waiter)
            else:  # the work's key hangs on the lost result's content
                reason = f"its input {label_of(work.stage)} was lost from the store and came out otherwise when it was made again"
                self.ended(waiter, Failed(label_of(waiter.stage), f"{reason}; run again", waiter.nodes[0]))
        if before is None:
            self._settle(work, outcome)

    def lacking(self, work: Work, inputs: Sequence[str]) -> None:
        """Stored inputs of a work vanished or were damaged after they had been found: they are made again, then it is."""
        work.repairs += 1
        name = inputs[0]  # the executor misses a further input when the work starts again
        lost = self._works[work.stage.inputs[name].name, work.inputs[name].key]
        if work.repairs > _MOST_REPAIRS:
            reason = (
                f"its input {label_of(lost.stage)} vanished from the store {work.repairs} times while the run went on"
            )
            self.ended(work, Failed(label_of(work.stage), f"{reason}; does something else clean there?", work.nodes[0]))
            return
        lost.parked.append(work)
        if len(lost.parked) == 1:
            self._queue(lost)

    def name_causes(self) -> None:
        """Of two failed inputs, the first in the stage's own order is the cause, whichever failed first in time."""
        for node, stage in self.stages.items():
            if (cause := failed_input(stage, self.outcomes)) is not None:
                self.outcomes[node] = cause

    def _want(self, node: str) -> None:
        """All inputs of a node are there, so its key is known: look in the store, unless somebody already has."""
        stage = self.stages[node]
        inputs = input_results(stage, self.outcomes)
        key = key_or_failure(stage, inputs)
        if isinstance(key, Failed):
            self._settle(Work(stage, "", inputs, [node]), key)
            return
        work = self._works.get((stage.name, key))
        if work is None:
            work = self._works[stage.name, key] = Work(stage, key, inputs, [node])
            self.fresh.append(work)
        elif work.outcome is None:
            work.nodes.append(node)
        else:
            self._settle(replace(work, nodes=[node]), work.outcome)

    def _queue(self, work: Work) -> None:
        node = work.nodes[0]
        heapq.heappush(self._ready[needs_gpu(work.stage)], (-self.urgency[node], self._order[node], work))

    def _settle(self, work: Work, outcome: Outcome) -> None:
        """A new result is new for the first of its nodes; the others find it. So do those that come to this work later."""
        work.outcome = later = replace(outcome, new=False) if isinstance(outcome, Done) else outcome
        for node in work.nodes:
            if isinstance(outcome, Failed):  # of several nodes with this key, each is its own cause
                outcome = replace(outcome, stage=label_of(self.stages[node]), cause_node=node)
            self._settle_node(node, outcome)
            outcome = later

    def _settle_node(self, node: str, outcome: Outcome) -> None:
        """`outcome` is the node's own, or the failure of one that it needs."""
        self.outcomes[node] = outcome
        self.events(Ended(self.stages[node], outcome))
        if isinstance(outcome, Failed):
            for user in self._users[node]:
                if user not in self.outcomes:
                    self._settle_node(user, outcome)
            return
        for user in self._users[node]:
            self._missing[user] -= 1
            if not self._missing[user] and user not in self.outcomes:
                self._want(user)
