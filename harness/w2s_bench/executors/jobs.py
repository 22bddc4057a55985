"""A stage on its way to a worker, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from w2s_bench.store import Damage, Result
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON


class Input(NamedTuple):
    """A result that a job reads: where it is in the store, and the content that the job's key was made with."""

    stage: str
    key: str
    content: str


@dataclass(frozen=True)
class Job:
    """One stage, cut from its graph, with the results of its inputs: all that another process needs to run it."""

    stage: Stage
    key: str
    inputs: Mapping[str, Input]

    @classmethod
    def of(cls, stage: Stage, key: str, inputs: Mapping[str, Result]) -> Job:
        named = {name: Input(stage.inputs[name].name, result.key, result.content) for name, result in inputs.items()}
        return cls(replace(stage, inputs={}), key, named)

    def to_json(self) -> dict[str, JSON]:
        inputs = {name: list(one) for name, one in self.inputs.items()}
        return {"stage": self.stage.to_json(), "key": self.key, "inputs": inputs}

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Job:
        stage = Stage.from_json(value["stage"])
        return cls(stage, value["key"], {name: Input(*one) for name, one in value["inputs"].items()})


@dataclass(frozen=True)
class Made:
    """The result is in the store; `here`: this job made it, it did not find it there."""

    result: Result
    here: bool = True
    damages: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class Broke:
    """The stage failed; `log` is what it printed, with the traceback."""

    reason: str
    log: str = ""
    damages: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class Lacked:
    """Results that the job was to read are in the store no longer, by the names of the inputs: make them again first."""

    inputs: tuple[str, ...]
    damages: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class Refused:
    """The store cannot be used here: nobody's stage is at fault, and the run ends."""

    message: str
    damages: tuple[Damage, ...] = ()


Reply = Made | Broke | Lacked | Refused
_KINDS: Mapping[str, type[Reply]] = {"made": Made, "broke": Broke, "lacked": Lacked, "refused": Refused}


def reply_to_json(reply: Reply) -> dict[str, JSON]:
    kind = next(name for name, one in _KINDS.items() if isinstance(reply, one))
    return {"kind": kind, **asdict(reply)}


def reply_from_json(value: Mapping[str, JSON]) -> Reply:
    fields = {name: one for name, one in value.items() if name != "kind"}
    fields["damages"] = tuple(Damage(Path(one["path"]), one["reason"]) for one in fields["damages"])
    if "result" in fields:
        fields["result"] = Result(**{**fields["result"], "path": Path(fields["result"]["path"])})
    if "inputs" in fields:
        fields["inputs"] = tuple(fields["inputs"])
    return _KINDS[value["kind"]](**fields)
