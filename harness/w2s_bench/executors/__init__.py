"""Where stages run. An executor turns a graph of stages into results in a store, and says what happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from w2s_bench.store import Damage, Result, Store
from w2s_bench.store.stage import Stage

__all__ = [
    "Ahead",
    "Damaged",
    "Done",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "GaveUp",
    "Noted",
    "Outcome",
    "Planned",
    "Started",
    "Stored",
    "Waiting",
    "label_of",
]


@dataclass(frozen=True)
class Done:
    """A stage whose result is in the store."""

    result: Result


@dataclass(frozen=True)
class Failed:
    """A stage without a result, for what went wrong in it or in a stage that it needs: `cause_node` is where it began.

    `reason` is one paragraph without line breaks and names no path of this machine's store; `log` holds the traceback
    and what the stage printed. Whatever depends on the cause carries the cause's own `stage`, `reason` and `log`.
    """

    stage: str
    reason: str
    cause_node: str
    log: Path | None = None

    def __str__(self) -> str:
        return f"{self.stage} failed: {self.reason}" + (f" Log: {self.log}" if self.log else "")


Outcome = Done | Failed


@dataclass(frozen=True)
class Planned:
    """First of all events: so many distinct stages are needed; every one ends as `Stored`, `Finished` or `GaveUp`.

    `purpose` says before people what a part of a run is for, where it has several.
    """

    total: int
    workers: int
    purpose: str = ""


@dataclass(frozen=True)
class Stored:
    """The result was there already, or another stage of this run with the same key made it."""

    stage: Stage
    result: Result


@dataclass(frozen=True)
class Started:
    """A worker has begun; workers are numbered from 0."""

    stage: Stage
    worker: int


@dataclass(frozen=True)
class Finished:
    stage: Stage
    result: Result
    seconds: float


@dataclass(frozen=True)
class GaveUp:
    """A stage has failed, or cannot run since one that it needs has (then `failed.cause_node` is not its own node)."""

    stage: Stage
    failed: Failed


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


Event = Ahead | Planned | Stored | Started | Finished | GaveUp | Damaged | Waiting | Noted


class Executor(Protocol):
    """Runs what is not stored yet. Outcomes depend on the stages alone, not on where or in what order they ran."""

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        """An outcome for every stage that `targets` need, by `Stage.node`. `events` is called from this thread.

        A failing stage fails what depends on it and nothing else. What is wrong with the machine (`StoreError`) and an
        interruption (`KeyboardInterrupt`) end the run instead; what was stored by then stays.
        """
        ...


def label_of(stage: Stage) -> str:
    """What to call a stage before people."""
    return stage.label or f"{stage.name} {stage.node[:12]}"
