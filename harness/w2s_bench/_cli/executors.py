"""Which executor a call asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from w2s_bench.errors import W2SBenchError

if TYPE_CHECKING:
    from w2s_bench.executors import Executor
    from w2s_bench.executors.resources import Limits
    from w2s_bench.executors.slurm.options import SlurmSettings
    from w2s_bench.executors.until import Until

CLUSTERS = "Clusters (see docs/clusters.md)"


class ExecutorName(StrEnum):
    """Where stages run; the clusters need an extra: `w2s-bench[ray]`, `w2s-bench[slurm]`."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


def refuse_others_options(
    name: ExecutorName,
    address: str | None,
    slurm: Sequence[str],
    gpu: Sequence[str],
    until: str | None,
    log: Sequence[str] = (),
) -> None:
    """An option of another executor is a mistake, not ignored."""
    if address is not None and name is not ExecutorName.RAY:
        raise W2SBenchError(f"--address {address} is of a Ray cluster: give --executor ray too")
    if until is not None and name is ExecutorName.SLURM:
        raise W2SBenchError(
            f"--until {until} is for a run that this command sees to its end; Slurm has --slurm deadline={until}"
        )
    if log and name is ExecutorName.SLURM:
        raise W2SBenchError(
            f"--log {log[0]} is for a run that this command sees to its end, and --executor slurm returns at once; give it to "
            "the same command with --executor local when the jobs are done: everything is stored by then"
        )
    for option, texts in (("--slurm", slurm), ("--slurm-gpu", gpu)):
        if texts and name is not ExecutorName.SLURM:
            raise W2SBenchError(f"{option} {texts[0]} is for jobs of Slurm: give --executor slurm too")


def limits_of(seconds: float | None, gigabytes: float | None) -> Limits:
    """What a stage may take; a limit that is none is said."""
    from w2s_bench.executors.resources import Limits

    for name, value in (("--stage-timeout", seconds), ("--stage-memory", gigabytes)):
        if value is not None and not 0 < value < math.inf:
            raise W2SBenchError(f"{name} must be positive, got {value:g}; leave it out for the usual limit")
    return Limits(seconds, None if gigabytes is None else max(int(gigabytes * 1e9), 1))


def chosen(
    name: ExecutorName, *, workers: int | None, limits: Limits, address: str | None, until: Until | None
) -> Executor:
    """The executor of a run that this command sees to the end; jobs of Slurm are submitted instead."""
    if name is ExecutorName.RAY:
        from w2s_bench.executors.ray.executor import RayExecutor

        return RayExecutor(address or "auto", workers, limits=limits, until=until)
    from w2s_bench.runs.execute import local_executor

    return local_executor(workers, limits, until)


def slurm_settings(texts: Sequence[str], gpu_texts: Sequence[str]) -> SlurmSettings:
    """What jobs ask for; a misspelt or reserved option is said before anything runs."""
    from w2s_bench.executors.slurm.options import SlurmSettings

    return SlurmSettings.parse(texts, gpu_texts)
