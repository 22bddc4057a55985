"""Where jobs are handed in, through submitit: Slurm, or this machine in Slurm's place."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from w2s_bench.errors import W2SBenchError
from w2s_bench.executors.slurm.options import SlurmSettings

_COMMANDS = ("sbatch", "scancel", "srun")
_JOB_LIMITS = ("MaxSubmit", "MaxJobCount", "QOSMaxSubmitJobPerUserLimit", "violates accounting/QOS policy")
_CANCELLED_AT_ONCE = 500
_LOOK = 0.05  # seconds between two looks at a job on this machine


class Cluster(ABC):
    """Takes jobs: calls of a function with texts, which run once other jobs have ended, however these end."""

    @abstractmethod
    def submit(
        self, function: Callable[..., None], arguments: Sequence[str], *, name: str, gpu: bool, after: Sequence[str]
    ) -> str:
        """The job's number."""

    @abstractmethod
    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs, whether they have begun or not."""


class SlurmCluster(Cluster):
    """Jobs of `sbatch`. submitit writes their scripts, and hands a preempted job in again."""

    def __init__(self, folder: Path, settings: SlurmSettings) -> None:
        submitit = _submitit()
        self._executors = {}
        for gpu in (False, True):
            executor = self._executors[gpu] = submitit.SlurmExecutor(folder)
            executor._throttling = 0  # submitit would sleep 0.2 s a job, a minute for a suite
            executor.update_parameters(**settings.for_submitit(gpu=gpu), stderr_to_stdout=True, signal_delay_s=30)

    def submit(
        self, function: Callable[..., None], arguments: Sequence[str], *, name: str, gpu: bool, after: Sequence[str]
    ) -> str:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        dependency = f"afterany:{':'.join(after)}" if after else None
        executor = self._executors[gpu]
        executor.update_parameters(job_name=job_name(name), dependency=dependency)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
                return str(executor.submit(function, *arguments).job_id)
        except (FailedJobError, FailedSubmissionError) as error:
            said = " ".join(str(error).split()) or "nothing"
            hint = "give other --slurm options"
            if any(limit in said for limit in _JOB_LIMITS):
                hint = "the cluster limits how many jobs you may have: run fewer domains, trust functions or seeds at a time"
            raise W2SBenchError(
                f"sbatch did not take the job of {name}; it said: {said}. {hint[0].upper()}{hint[1:]}"
            ) from error

    def cancel(self, jobs: Sequence[str]) -> None:
        for start in range(0, len(jobs), _CANCELLED_AT_ONCE):
            subprocess.run(
                ["scancel", *jobs[start : start + _CANCELLED_AT_ONCE]], check=False, capture_output=True, timeout=60
            )


class LocalCluster(Cluster):
    """Jobs of submitit's local executor, which knows no dependencies: each has ended when the next is submitted.

    It is here to try a submission without a cluster.
    """

    def __init__(self, folder: Path, settings: SlurmSettings) -> None:
        self._settings, self._executor = settings, _submitit().LocalExecutor(folder)

    def submit(
        self, function: Callable[..., None], arguments: Sequence[str], *, name: str, gpu: bool, after: Sequence[str]
    ) -> str:
        minutes = self._settings.minutes(gpu=gpu)
        self._executor.update_parameters(
            timeout_min=minutes, gpus_per_node=int(gpu), stderr_to_stdout=True, signal_delay_s=30
        )
        job = self._executor.submit(function, *arguments)
        try:
            while not job.done():
                time.sleep(_LOOK)
        except BaseException:
            job.cancel()
            raise
        return str(job.job_id)

    def cancel(self, jobs: Sequence[str]) -> None:
        """All have ended."""


def refuse_missing_slurm() -> None:
    """Said before anything is looked up or written."""
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        raise W2SBenchError(
            f"there is no {missing[0]} here, so no job can be handed to Slurm; log in to a node of the cluster from which "
            "jobs are submitted (`module load slurm` on some), or run with --executor local"
        )


def job_name(label: str) -> str:
    """What `squeue` shows of a job."""
    return "w2s-" + re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-")[:60]


def _submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise W2SBenchError(
            f"jobs are handed to a cluster by submitit, which is not installed here; {sys.executable} -m pip install 'w2s-bench[slurm]'"
        ) from error
    return submitit
