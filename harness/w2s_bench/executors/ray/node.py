"""What a Ray task runs on its node: one job, in a worker process as on one machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from w2s_bench.executors.jobs import Job
from w2s_bench.executors.local.seat import Seat
from w2s_bench.executors.outcomes import Answer, Unusable
from w2s_bench.executors.resources import Limits
from w2s_bench.store import open_store
from w2s_bench.store.manifest import installed_version
from w2s_bench.types import JSON


@dataclass
class Setting:
    """What all jobs of a run have in common. `token`: a file below a store that is a folder, there on every node."""

    location: str
    plugins: list[str] | None
    limits: Mapping[str, JSON]
    token: str | None = None
    version: str = field(default_factory=lambda: installed_version("w2s-bench"))


def run_job(order: str) -> str:
    """A `Setting` and a `Job` as JSON → the answer as JSON."""
    read = json.loads(order)
    setting, job = Setting(**read["setting"]), Job.from_json(read["job"])
    return json.dumps(_HERE.answer(setting, job).to_json(), default=str)


class _Here:
    """Ray keeps its processes for later tasks, and each keeps one seat, whose worker has loaded everything by then."""

    def __init__(self) -> None:
        self._seat: Seat | None = None
        self._of = ""

    def answer(self, setting: Setting, job: Job) -> Answer:
        if (fault := _fault(setting)) is not None:
            return Answer(Unusable(fault))
        # Ray says by this variable which GPU the task has; a worker that has seen another one cannot change.
        wanted = json.dumps([asdict(setting), os.environ.get("CUDA_VISIBLE_DEVICES")])
        if self._seat is None or self._of != wanted:
            if self._seat is not None:
                self._seat.close()
            plugins = None if setting.plugins is None else tuple(setting.plugins)
            self._seat = Seat(open_store(setting.location), plugins, Limits(**setting.limits))
            self._of = wanted
        return self._seat.run(job)


_HERE = _Here()


def _fault(setting: Setting) -> str | None:
    """Why this node cannot take part, if so."""
    if setting.token is not None and not (Path(setting.location) / setting.token).is_file():
        return (
            f"node {os.uname().nodename} does not see the store {setting.location}: give --store a folder on a disk that all"
            " nodes share, or a URL such as s3://BUCKET/FOLDER"
        )
    if setting.version != (here := installed_version("w2s-bench")):
        return (
            f"node {os.uname().nodename} has w2s-bench {here}, the driver {setting.version}; install the same version"
        )
    return None
