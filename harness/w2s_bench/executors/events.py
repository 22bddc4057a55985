"""What an executor is, and what it tells on the way from a graph of stages to their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from w2s_bench.executors.outcomes import Outcome
from w2s_bench.plugins.watching import Awaits
from w2s_bench.store import Damage, Store
from w2s_bench.store.stage import Stage


@dataclass(frozen=True)
class Planned:
    """First of all events: so many distinct stages are needed; an `Ended` follows for every one.

    `purpose` says before people what a part of a run is for, where it has several.
    """

    total: int
    workers: int
    purpose: str = ""


@dataclass(frozen=True)
class Started:
    """A worker has begun; workers are numbered from 0."""

    stage: Stage
    worker: int


@dataclass(frozen=True)
class Ended:
    """A stage is done or has failed, or cannot run since one that it needs has (then the cause is not its own node)."""

    stage: Stage
    outcome: Outcome


@dataclass(frozen=True)
class Damaged:
    """A stored result was not what was written; it is computed again."""

    damage: Damage


@dataclass(frozen=True)
class Ahead:
    """A guess of the seconds that are left, from what like stages took before.

    `unknown` stages are not in it: none of their kind was measured yet, or they run for longer than it took. Unless it is
    0, `seconds` is the least that is left.
    """

    seconds: float
    unknown: int = 0


@dataclass(frozen=True)
class Waiting:
    """Nothing can run yet, for `reason`; the run goes on by itself as soon as that has changed."""

    reason: str


@dataclass(frozen=True)
class Noted:
    """Something that the user should know of what is being run, though nothing has failed."""

    text: str


@dataclass(frozen=True)
class Preparing:
    """Before there are stages, while a run is planned: what is waited for from now on, in words; nothing where it is empty."""

    what: str


Event = Ahead | Planned | Started | Ended | Damaged | Waiting | Noted | Preparing


def preparing(events: Callable[[Event], None]) -> Awaits:
    """What planning tells of what it waits for, as events."""
    return lambda what: events(Preparing(what))


class Executor(Protocol):
    """Runs what is not stored yet. Outcomes depend on the stages alone, not on where or in what order they ran."""

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        """An outcome for every stage that `targets` need, by `Stage.node`. `events` is called from this thread.

        A failing stage fails what depends on it and nothing else. What is wrong with the machine (`StoreError`) and an
        interruption (`KeyboardInterrupt`) end the run instead; what was stored by then stays.
        """
        ...
