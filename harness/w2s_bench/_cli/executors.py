"""Which executor a call asks for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from w2s_bench.errors import W2SBenchError

if TYPE_CHECKING:
    from w2s_bench.executors import Executor
    from w2s_bench.executors.resources import Limits

CLUSTERS = "Clusters (see docs/clusters.md)"


class ExecutorName(StrEnum):
    """Where stages run; the clusters need an extra: `w2s-bench[ray]`."""

    LOCAL = "local"
    RAY = "ray"


def chosen(name: ExecutorName, *, workers: int | None, limits: Limits, address: str | None) -> Executor:
    """The executor; an option of another one is a mistake, not ignored."""
    if address is not None and name is not ExecutorName.RAY:
        raise W2SBenchError(f"--address {address} is of a Ray cluster: give --executor ray too")
    if name is ExecutorName.RAY:
        from w2s_bench.executors.ray import RayExecutor

        return RayExecutor(address or "auto", workers, limits=limits)
    from w2s_bench.api import local_executor

    return local_executor(workers, limits)
