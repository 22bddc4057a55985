"""What a user asks of Slurm, as `KEY=VALUE`, checked here and turned into submitit's parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from w2s_bench.errors import UnknownNameError, W2SBenchError

_HINT = "These are sbatch's long options, and `setup`: a shell command that runs before the stage."


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Options that submitit has parameters for; every other one that is known goes to sbatch as it stands.
_SUBMITITS = _names(
    "account comment constraint cpus_per_gpu cpus_per_task exclude exclusive gpus_per_node gpus_per_task gres mail_type "
    "mail_user mem mem_per_cpu mem_per_gpu nodelist partition qos setup time wckey"
)
_SBATCHS = _names(
    "begin cluster_constraint contiguous core_spec cpu_freq deadline export get_user_env gpu_bind gpu_freq gpus hint hold "
    "licenses mcs_label mem_bind mincpus network nice no_requeue oversubscribe prefer priority propagate reboot requeue "
    "reservation spread_job switches threads_per_core time_min tmp"
)
#: Options that are the executor's own, with what happens instead.
_OURS: Mapping[str, str] = {
    **dict.fromkeys(
        ("dependency", "kill_on_invalid_dep"), "jobs wait for the jobs of the stages that theirs needs, and no others"
    ),
    **dict.fromkeys(("array", "job_name"), "every stage is a job of its own, named by it"),
    **dict.fromkeys(("output", "error", "input", "open_mode"), "what a job prints goes to the submission's folder"),
    **dict.fromkeys(("chdir",), "jobs run where they were submitted, as a suite may name models by relative paths"),
    **dict.fromkeys(
        ("nodes", "ntasks", "ntasks_per_node", "ntasks_per_core", "ntasks_per_socket", "ntasks_per_gpu"),
        "a stage is one task on one node",
    ),
    **dict.fromkeys(("signal",), "submitit sets it, to hand a preempted job in again"),
    **dict.fromkeys(("clusters",), "jobs can wait only for jobs of their own cluster; log in to the other one"),
    **dict.fromkeys(("wait", "test_only", "parsable", "quiet", "verbose", "wrap"), "it changes what sbatch answers"),
}
_GPU_OPTIONS = ("gpus_per_node", "gpus_per_task", "gpus", "gres")
_FLAGS = {"true": True, "yes": True}
#: Minutes; what cannot be done in them is the user's to know, and no cluster lets a job run without a limit.
_TIME = 60
_LEAST_TIME = 5  # the last two and a half are for the end of a job (`job`)
_MOST_JOBS = 5000  # Slurm's own default for a whole cluster is 10000


@dataclass(frozen=True)
class SlurmSettings:
    """What every job asks for: sbatch's long options by name. `gpu_parameters` go on top for a stage that takes a GPU.

    `most_jobs` caps one submission. `patience`: seconds that a job waits for the file in which another said how its stage
    ended; a shared folder may show it late on other nodes.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    gpu_parameters: Mapping[str, str] = field(default_factory=dict)
    most_jobs: int = _MOST_JOBS
    patience: float = 30.0

    def __post_init__(self) -> None:
        if self.most_jobs < 2:
            raise W2SBenchError(f"at most {self.most_jobs} jobs cannot run anything: a stage and the last job are two")
        self.for_submitit(gpu=False)
        self.for_submitit(gpu=True)

    @classmethod
    def parse(cls, texts: Sequence[str] = (), gpu_texts: Sequence[str] = ()) -> SlurmSettings:
        """Settings of `KEY=VALUE` texts, as they come from a command line."""
        return cls(_pairs(texts), _pairs(gpu_texts))

    def minutes(self, *, gpu: bool) -> int:
        """How long a job may run."""
        return int(self.for_submitit(gpu=gpu)["time"])

    def for_submitit(self, *, gpu: bool) -> dict[str, Any]:
        """The parameters of `submitit.SlurmExecutor`, but for a job's name and dependency."""
        asked = _checked(self.parameters) | (_checked(self.gpu_parameters) if gpu else {})
        if gpu and not any(name in asked for name in _GPU_OPTIONS):
            asked["gpus_per_node"] = "1"
        out: dict[str, Any] = {"cpus_per_task": "1", "wckey": None, "time": _TIME}
        if any(name in asked for name in ("cpus_per_gpu", "core_spec")):
            del out["cpus_per_task"]
        out |= {name: _FLAGS.get(value, value) for name, value in asked.items() if name in _SUBMITITS}
        out["time"] = minutes_of(str(out["time"]))
        if out["time"] < _LEAST_TIME:
            raise W2SBenchError(
                f"time={asked['time']} leaves a stage no time before its job ends; give at least {_LEAST_TIME} minutes"
            )
        if "setup" in asked:
            out["setup"] = [asked["setup"]]
        others = {name: _FLAGS.get(value, value) for name, value in asked.items() if name in _SBATCHS}
        if others:
            out["additional_parameters"] = others
        return out


def minutes_of(text: str) -> int:
    """Slurm's ways to write a time, in whole minutes: `90`, `mm:ss`, `hh:mm:ss`, `d-hh`, `d-hh:mm`, `d-hh:mm:ss`."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        raise W2SBenchError(f"time={text!r} is no time of Slurm's; write minutes, hh:mm:ss, or days-hh:mm:ss")
    days, *rest = match.groups()
    first, second, third = (int(number) if number is not None else None for number in rest)
    assert first is not None
    if days is not None:
        seconds = int(days) * 86400 + first * 3600 + (second or 0) * 60 + (third or 0)
    elif third is not None:
        seconds = first * 3600 + (second or 0) * 60 + third
    else:
        seconds = first * 60 + (second or 0)
    return math.ceil(seconds / 60)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` each; a later one with the same key replaces an earlier one."""
    out = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise W2SBenchError(
                f"{text!r} is not KEY=VALUE; write for example partition=long, or requeue=true for a flag"
            )
        out[_plain(name)] = value.strip()
    return out


def _checked(parameters: Mapping[str, str]) -> dict[str, str]:
    out = {}
    for given, value in parameters.items():
        name = _plain(given)
        if name in _OURS:
            raise W2SBenchError(f"Slurm's option {given!r} is not yours to set here: {_OURS[name]}")
        if name not in _SUBMITITS | _SBATCHS:
            raise UnknownNameError("option of Slurm", given, _SUBMITITS | _SBATCHS, _HINT)
        if "\n" in value:
            raise W2SBenchError(
                f"Slurm's option {given!r} has a line break, which would end its line of the job's script"
            )
        out[name] = value
    return out


def _plain(name: str) -> str:
    return name.strip().removeprefix("--").replace("-", "_")
