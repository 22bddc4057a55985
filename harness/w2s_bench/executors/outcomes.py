"""How a stage ends, wherever it runs: done or failed; and what else a place may answer that was to run it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.errors import W2SBenchError
from w2s_bench.store import Damage, Result, key_of
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Done:
    """A stage whose result is in the store; `new`: made by this run for this stage, not found there."""

    result: Result
    new: bool = field(default=False, compare=False)


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
class Lacking:
    """No outcome yet: results that the stage was to read are in the store no longer, by the names of its inputs."""

    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Unusable:
    """No outcome: the store cannot be used there, which is no stage's fault and ends the run."""

    fault: str


@dataclass(frozen=True)
class Answer:
    """What a place says of a stage that it was to run, in a form that other processes and machines read.

    `printed` is what a failed stage printed, with the traceback, for whoever keeps its log. `damages` are what the place
    met in the store.
    """

    outcome: Outcome | Lacking | Unusable
    printed: str = ""
    damages: tuple[Damage, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """Plain values, but for paths: write it with `default=str`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: JSON) -> Answer:
        return answer_reader().validate_python(value)


@functools.cache
def answer_reader() -> TypeAdapter[Answer]:
    """Reads answers; a `ValueError` where something is none. It takes a moment to make, once."""
    from pydantic import TypeAdapter

    return TypeAdapter(Answer)


def failed_input(stage: Stage, outcomes: Mapping[str, Outcome]) -> Failed | None:
    """Why a stage cannot run, of outcomes by node: of several failed inputs, the first in the stage's own order."""
    ended = (outcomes.get(needed.node) for needed in stage.inputs.values())
    return next((outcome for outcome in ended if isinstance(outcome, Failed)), None)


def input_results(stage: Stage, outcomes: Mapping[str, Outcome]) -> dict[str, Result]:
    """Results by the names of the inputs, of those that are done in outcomes by node."""
    ended = {name: outcomes.get(needed.node) for name, needed in stage.inputs.items()}
    return {name: outcome.result for name, outcome in ended.items() if isinstance(outcome, Done)}


def key_or_failure(stage: Stage, inputs: Mapping[str, Result]) -> str | Failed:
    """The key of a stage whose inputs are all done; why it cannot run here, where a library that it needs is missing."""
    try:
        return key_of(stage, {name: result.content for name, result in inputs.items()})
    except W2SBenchError as error:
        return Failed(label_of(stage), str(error), stage.node)


def label_of(stage: Stage) -> str:
    """What to call a stage before people."""
    return stage.label or f"{stage.name} {stage.node[:12]}"
