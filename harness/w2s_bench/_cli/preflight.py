"""What a call refuses before anything runs, with `--dry-run` and `--explain` as without."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench._cli.executors import ExecutorName
from w2s_bench.names import DATA_VARIABLE, DEVICE_VARIABLE, INCLUDE_VARIABLE

if TYPE_CHECKING:
    from w2s_bench.runs.plan import Plan


def use_device(device: str | None) -> None:
    """Let this process, and what it starts, run models on a device; a misspelt one is said."""
    from w2s_bench.runs.refusals import check_device

    if device is not None:
        os.environ[DEVICE_VARIABLE] = check_device(device)


def use_tasks(data: Path | None, include: Sequence[Path]) -> None:
    """Let this process, and what it starts, find data and YAML files of lm-eval tasks; a folder that is not there is said."""
    from w2s_bench.domains.task_data import data_folder
    from w2s_bench.domains.task_index import included_folders

    if data is not None:
        os.environ[DATA_VARIABLE] = str(data.expanduser().absolute())
        data_folder()
    if include:
        os.environ[INCLUDE_VARIABLE] = os.pathsep.join(str(folder.expanduser().absolute()) for folder in include)
        included_folders()


def refuse_measuring_alone(*, measure: bool, dry_run: bool) -> None:
    """A run measures nothing beforehand."""
    from w2s_bench.errors import W2SBenchError

    if measure and not dry_run:
        raise W2SBenchError("--measure times this machine for a dry run, and changes nothing in a run; add --dry-run")


def refuse_before_preview(planned: Plan, out: Path, store: str, executor: ExecutorName) -> list[str]:
    """Raise what the run would raise, as far as it is known without running; the domains of which sizes are not known yet."""
    from w2s_bench.errors import SuiteError
    from w2s_bench.runs.refusals import refuse_absent_device, refuse_mistakes, refuse_unwritable_store, unfilled_splits
    from w2s_bench.store import open_store

    refuse_mistakes(planned, out / planned.suite.name)
    if executor is ExecutorName.LOCAL:
        refuse_absent_device(planned)
    elif executor is ExecutorName.SLURM:
        from w2s_bench.executors.slurm.clusters import refuse_missing_slurm

        refuse_missing_slurm()
    opened = open_store(store)
    refuse_unwritable_store(planned, opened)
    reasons, unknown = unfilled_splits(planned, opened)
    if reasons:
        raise SuiteError("\n".join(reasons))
    return unknown
