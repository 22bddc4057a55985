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
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors.outcomes import Answer, Done, Failed, label_of
from w2s_bench.executors.resources import Limits
from w2s_bench.machine import MULTIPLIES_VARIABLE, multiplied
from w2s_bench.record import read_json, write_atomically
from w2s_bench.store import Store
from w2s_bench.store.eviction import LIMIT_VARIABLE
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON

_LAYOUT = 2
#: Variables that a job gets as they were where it was submitted, whatever `sbatch --export` and the node make of them.
_TRAVELLING = ("W2S_BENCH_", "HF_", "TRANSFORMERS_")
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "KEY")  # the harness writes no such variable to a file
_LOOK = 0.25  # seconds between two looks for a file


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
    layout: int = _LAYOUT

    @classmethod
    def here(cls, **own: Any) -> Setup:
        """With this process's search path and variables."""
        path = tuple(str(Path(folder).absolute()) for folder in sys.path)  # an empty one is the working directory
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_TRAVELLING) and not any(word in name for word in _SECRET)
        }
        # The last job makes the plan again, maybe on another kind of processor.
        environment[MULTIPLIES_VARIABLE] = ",".join(sorted(multiplied()))
        return cls(path=path, environment=environment, **own)

    def enter(self) -> None:
        """Make a job's process find the modules, and be told the variables, of the one that submitted it."""
        sys.path[:] = self.path
        os.environ.update(self.environment)
        if "://" not in self.store:
            # No process lives between two jobs to say what the later one needs. So no job makes room in their store.
            os.environ.pop(LIMIT_VARIABLE, None)


class Submission:
    """One folder; written by the process that submits, and by each job in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._answers: dict[str, Answer] = {}
        self._deadline: float | None = None

    @classmethod
    def create(cls, parent: Path, stages: Sequence[Stage], setup: Setup) -> Submission:
        """A new folder under `parent`, numbered."""
        graph = [
            {"stage": stage.to_json(), "inputs": {name: needed.node for name, needed in stage.inputs.items()}}
            for stage in stages
        ]
        try:
            parent.mkdir(parents=True, exist_ok=True)
            submission = cls(_numbered(parent))
            (submission.folder / "outcomes").mkdir()
            submission.scripts.mkdir()
            # Environment variables are among them. So only those who can read the results may read these.
            write_atomically(submission.folder / "setup.json", json.dumps(asdict(setup), indent=1))
            write_atomically(submission.folder / "graph.json", json.dumps(graph, indent=1))
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
        from pydantic import TypeAdapter

        value = read_json(self.folder / "setup.json")
        if (layout := value.get("layout")) != _LAYOUT:
            raise W2SBenchError(
                f"{self.folder} was submitted by another version of w2s-bench (its layout is {layout}, this one's is "
                f"{_LAYOUT}); give the same `w2s-bench run` again: what is stored already is not run again"
            )
        return TypeAdapter(Setup).validate_python(value)

    @cached_property
    def stages(self) -> Mapping[str, Stage]:
        """All stages by node, inputs before what uses them."""
        _ = self.setup  # the outcome files share the layout of `setup`, which is checked here
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

    def answer_of(self, stage: Stage, store: Store) -> Answer:
        """How a stage ended, asked once its job has. One whose job left no word has failed, and takes others along.

        The first that has none is waited for: a shared folder may show a file late on other nodes.
        """
        if stage.node not in self._answers:
            answer = self._awaited(stage.node) or self._without_word(stage, store)
            if isinstance(answer.outcome, Done):  # under the path that this machine sees
                result = answer.outcome.result
                result = replace(result, path=store.folder(stage, result.key))
                answer = replace(answer, outcome=replace(answer.outcome, result=result))
            self._answers[stage.node] = answer
        return self._answers[stage.node]

    def _awaited(self, node: str) -> Answer | None:
        while (answer := self.recorded(node)) is None:
            if node not in self.jobs():
                return None
            self._deadline = self._deadline or time.monotonic() + self.setup.patience
            if time.monotonic() >= self._deadline:
                return None
            time.sleep(_LOOK)
            with os.scandir(self.folder / "outcomes"):  # listing makes NFS ask its server again
                pass
        return answer

    def _without_word(self, stage: Stage, store: Store) -> Answer:
        """What it needed failed; else its own job is what was lost."""
        for needed in stage.inputs.values():
            if not isinstance((answer := self.answer_of(needed, store)).outcome, Done):
                return Answer(answer.outcome)
        job = self.jobs().get(stage.node)
        reason = (
            f"its job {job} left no result (killed or cancelled by Slurm? `sacct -j {job}` tells); submit again"
            if job
            else "it was never submitted; submit again"
        )
        return Answer(Failed(label_of(stage), reason, stage.node))

    def record(self, node: str, answer: Answer) -> None:
        write_atomically(self._record_of(node), json.dumps(answer.to_json(), default=str, indent=1))

    def recorded(self, node: str) -> Answer | None:
        try:
            return Answer.from_json(read_json(self._record_of(node)))
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

    def _record_of(self, node: str) -> Path:
        return self.folder / "outcomes" / f"{node}.json"


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
