"""A stage on its way to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from w2s_bench.executors.outcomes import Answer, Done, Failed, label_of
from w2s_bench.store import Result, Store
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON


class Input(NamedTuple):
    """A result that a job reads: where it is in the store, and the content that the job's key was made with."""

    stage: str
    key: str
    content: str


@dataclass(frozen=True)
class Job:
    """One stage, cut from its graph, with the results of its inputs: all that another process needs to run it.

    `node` is the stage's place in the graph that it was cut from.
    """

    stage: Stage
    key: str
    inputs: Mapping[str, Input]
    node: str

    @classmethod
    def of(cls, stage: Stage, key: str, inputs: Mapping[str, Result]) -> Job:
        named = {name: Input(stage.inputs[name].name, result.key, result.content) for name, result in inputs.items()}
        return cls(replace(stage, inputs={}, label=label_of(stage)), key, named, stage.node)

    def failed(self, reason: str, printed: str = "") -> Answer:
        return Answer(Failed(self.stage.label, reason, self.node), printed)

    def kept(self, answer: Answer, store: Store) -> Answer:
        """The answer as this machine's store has it: where its result lies, or the log of what was printed, written here."""
        outcome = answer.outcome
        if isinstance(outcome, Done):
            outcome = replace(outcome, result=replace(outcome.result, path=store.folder(self.stage, self.key)))
        elif isinstance(outcome, Failed):
            head = f"{self.stage.label}\n{self.stage.function.path}\n{outcome.reason}\n\n"
            log = store.write_log(f"{self.stage.name}-{self.key}", head + answer.printed)
            outcome = replace(outcome, log=log)
        return replace(answer, outcome=outcome, printed="")

    def to_json(self) -> dict[str, JSON]:
        return {"stage": self.stage.to_json(), "key": self.key, "inputs": dict(self.inputs), "node": self.node}

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Job:
        inputs = {name: Input(*fields) for name, fields in value["inputs"].items()}
        return cls(Stage.from_json(value["stage"]), value["key"], inputs, value["node"])
