"""What was handed to a cluster, as a folder that every job of it reads: no process has to stay alive.

<folder>/setup.json            the store, limits, what the last job does, and what a job takes along
<folder>/graph.json            the stages, each after those that it needs
<folder>/jobs.jsonl            which job is which stage's; a line is added as each is submitted
<folder>/outcomes/<node>.json  how a stage ended, written whole by its job
<folder>/collected.json        how the last job ended
<folder>/jobs/                 scripts and logs, by job
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from w2s_bench.errors import StoreError
from w2s_bench.executors import Done, Failed, Outcome
from w2s_bench.executors.jobs import Refused
from w2s_bench.executors.resources import Limits
from w2s_bench.record import read_json, write_atomically
from w2s_bench.store import Damage, Result
from w2s_bench.store.eviction import LIMIT_VARIABLE
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON

_LAYOUT = 1
#: Variables that a job gets as they were where it was submitted, whatever `sbatch --export` and the node make of them.
_TRAVELLING = ("W2S_BENCH_", "HF_", "TRANSFORMERS_")
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "KEY")  # never written to a file


@dataclass(frozen=True)
class Collect:
    """What the last job does: `function` is `module:name` of `f(folder, request) -> exit code or None`."""

    function: str
    request: JSON

    def call(self, folder: Path) -> int:
        module, _, name = self.function.partition(":")
        code: int | None = getattr(importlib.import_module(module), name)(folder, self.request)
        return code or 0


@dataclass(frozen=True)
class Setup:
    """What all jobs of a submission have in common. `minutes`: what a job without and with a GPU may take."""

    store: str
    collect: Collect
    limits: Limits
    plugins: tuple[str, ...] | None
    minutes: tuple[int, int]
    patience: float
    path: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def here(cls, **own: Any) -> Setup:
        """With this process's search path and variables."""
        path = tuple(str(Path(one).absolute()) for one in sys.path)  # an empty one is the working directory
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_TRAVELLING) and not any(word in name for word in _SECRET)
        }
        return cls(path=path, environment=environment, **own)

    def enter(self) -> None:
        """Make a job's process find the modules, and be told the variables, of the one that submitted it."""
        sys.path[:] = self.path
        os.environ.update(self.environment)
        if "://" not in self.store:
            # Between two jobs no process lives that could say what the later one needs: no job makes room in their store.
            os.environ.pop(LIMIT_VARIABLE, None)

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Setup:
        plugins = value["plugins"]
        own = {name: one for name, one in value.items() if name != "layout"}
        own |= {
            "collect": Collect(**value["collect"]),
            "limits": Limits(**value["limits"]),
            "plugins": None if plugins is None else tuple(plugins),
            "minutes": tuple(value["minutes"]),
            "path": tuple(value["path"]),
        }
        return cls(**own)


@dataclass(frozen=True)
class Record:
    """How a stage ended; `here`: its job made the result, it did not find it in the store. `Refused`: no store, no run."""

    outcome: Outcome | Refused
    here: bool = False
    damages: tuple[Damage, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        kind = type(self.outcome).__name__.lower()
        return {
            "kind": kind,
            kind: asdict(self.outcome),
            "here": self.here,
            "damages": [asdict(d) for d in self.damages],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Record:
        own = value[value["kind"]]
        outcome: Outcome | Refused
        if value["kind"] == "done":
            outcome = Done(Result(**{**own["result"], "path": Path(own["result"]["path"])}))
        elif value["kind"] == "failed":
            outcome = Failed(**{**own, "log": Path(own["log"]) if own["log"] else None})
        else:
            outcome = Refused(own["message"])
        return cls(outcome, value["here"], tuple(Damage(Path(d["path"]), d["reason"]) for d in value["damages"]))


class Submission:
    """One folder; written by the process that submits, and by each job in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @classmethod
    def create(cls, parent: Path, stages: Sequence[Stage], setup: Setup) -> Submission:
        """A new folder under `parent`, numbered."""
        try:
            parent.mkdir(parents=True, exist_ok=True)
            submission = cls(_numbered(parent))
            (submission.folder / "outcomes").mkdir()
            submission.scripts.mkdir()
            # Whoever can read the results can read these, and no more: variables of the environment are among them.
            written: tuple[tuple[str, JSON], ...] = (
                ("setup.json", {"layout": _LAYOUT, **asdict(setup)}),
                ("graph.json", [_stage_to_json(stage) for stage in stages]),
            )
            for name, value in written:
                write_atomically(submission.folder / name, json.dumps(value, indent=1))
        except OSError as error:
            raise StoreError(
                f"cannot write the submission to {parent}: {error.strerror or error}; free space there, or give another --out"
            ) from error
        return submission

    @property
    def scripts(self) -> Path:
        """Where submitit keeps what it hands to the cluster, and jobs what they print."""
        return self.folder / "jobs"

    @cached_property
    def setup(self) -> Setup:
        return Setup.from_json(read_json(self.folder / "setup.json"))

    @cached_property
    def stages(self) -> Mapping[str, Stage]:
        """All stages by node, inputs before what uses them."""
        stages: dict[str, Stage] = {}
        for entry in read_json(self.folder / "graph.json"):
            inputs = {name: stages[node] for name, node in entry["inputs"].items()}
            stage = Stage.from_json(entry["stage"], inputs)
            stages[stage.node] = stage
        return stages

    def add_job(self, node: str, job: str) -> None:
        with (self.folder / "jobs.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([node, job]) + "\n")

    def jobs(self) -> dict[str, str]:
        """Jobs by node, as far as they have been submitted; those of a stage's inputs always are before its own."""
        path = self.folder / "jobs.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        return dict(json.loads(line) for line in lines if line.endswith("\n"))

    def record(self, node: str, record: Record) -> None:
        write_atomically(self._place(node), json.dumps(record.to_json(), default=str, indent=1))

    def recorded(self, node: str) -> Record | None:
        try:
            return Record.from_json(read_json(self._place(node)))
        except FileNotFoundError:
            return None

    def record_end(self, code: int, message: str) -> None:
        """How the last job ended."""
        write_atomically(self.folder / "collected.json", json.dumps({"code": code, "message": message}))

    def end(self) -> tuple[int, str] | None:
        """Exit code and message of the last job; None while there is none."""
        path = self.folder / "collected.json"
        if not path.is_file():
            return None
        value = read_json(path)
        return value["code"], value["message"]

    def _place(self, node: str) -> Path:
        return self.folder / "outcomes" / f"{node}.json"


def _stage_to_json(stage: Stage) -> dict[str, JSON]:
    return {"stage": stage.to_json(), "inputs": {name: one.node for name, one in stage.inputs.items()}}


def _numbered(parent: Path) -> Path:
    """A new folder, one number after the last; whoever submits at the same moment gets another."""
    number = max((int(path.name) for path in parent.iterdir() if path.name.isdecimal()), default=0)
    while True:
        number += 1
        folder = parent.absolute() / f"{number:04d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
