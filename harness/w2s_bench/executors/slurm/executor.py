"""Stages as jobs of Slurm: one job a stage, each waiting for those it needs, and nothing that must stay alive meanwhile.

A stage's key depends on the content of its inputs, so what lies below a stage that has not run yet has no key when it is
submitted: its job finds it out from what the jobs before it recorded, and looks in the store then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors.events import Damaged, Ended, Event, Planned
from w2s_bench.executors.interruption import interruptible
from w2s_bench.executors.outcomes import (
    Answer,
    Done,
    Failed,
    Lacking,
    Outcome,
    Unusable,
    failed_input,
    input_results,
    key_or_failure,
    label_of,
)
from w2s_bench.executors.resources import Limits, needs_gpu
from w2s_bench.executors.slurm.clusters import Cluster, LocalCluster, SlurmCluster, refuse_missing_slurm
from w2s_bench.executors.slurm.job import run_collect, run_stage
from w2s_bench.executors.slurm.options import SlurmSettings
from w2s_bench.executors.slurm.submission import Collect, Setup, Submission
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk

__all__ = ["Collect", "RecordedExecutor", "SlurmSettings", "Submitted", "submit"]

COLLECT = "collect"  # the last job's name among those of the stages


@dataclass(frozen=True)
class Submitted:
    """What was handed in. `jobs` by stage (`Stage.node`); `last` is the job that makes the results, None if none had to."""

    folder: Path
    jobs: Mapping[str, str]
    stored: int
    last: str | None

    @property
    def end(self) -> tuple[int, str] | None:
        """Exit code and message of the last step; None until it has been done."""
        return Submission(self.folder).end()


def submit(
    targets: Sequence[Stage],
    store: Store,
    parent: Path,
    collect: Collect,
    *,
    settings: SlurmSettings | None = None,
    limits: Limits | None = None,
    plugins: tuple[str, ...] | None = None,
    progress: Callable[[int, int], None] = lambda submitted, total: None,
    cluster: Literal["slurm", "local"] = "slurm",
) -> Submitted:
    """Submit a job for every stage that `targets` need and `store` has not, and a last one that calls `collect`.

    What is submitted lies in a new folder under `parent`; that and the store must be on a file system which all nodes
    share. A job whose input failed records that and ends: no stage waits for what will not come, and a failing stage fails
    what depends on it and nothing else. If sbatch refuses a job, or this is interrupted, those before it are cancelled.
    Where all is stored, no job is submitted, and `collect` is called here. `progress` is told how many jobs of how many
    have been submitted. "local" runs the jobs on this machine, as they would run on a node, and returns when all have.
    """
    settings = settings or SlurmSettings()
    setup = Setup.here(
        store=store.location,
        collect=collect,
        limits=limits or Limits(),
        plugins=plugins,
        minutes=(settings.minutes(gpu=False), settings.minutes(gpu=True)),
        patience=settings.patience,
    )
    stages = list(walk(targets))
    settled = _look_up(stages, store)
    missing = [stage for stage in stages if stage.node not in settled]
    if len(missing) + 1 > settings.most_jobs:
        raise W2SBenchError(
            f"{len(missing)} stages are to run, a job each, and one more job makes the results: more than the "
            f"{settings.most_jobs} that one submission may have; run fewer domains, trust functions or seeds at a time"
        )
    if missing and cluster == "slurm":
        refuse_missing_slurm()
    submission = Submission.create(parent, stages, setup)
    for node, outcome in settled.items():
        submission.record(node, Answer(outcome))
    stored = sum(isinstance(outcome, Done) for outcome in settled.values())
    if not missing:
        submission.record_end(collect.call(submission.folder), "")
        return Submitted(submission.folder, {}, stored, None)
    store.clean()
    queue = (SlurmCluster if cluster == "slurm" else LocalCluster)(submission.scripts, settings)
    with interruptible():
        jobs = _submit(missing, submission, queue, progress)
        last = jobs.pop(COLLECT)
    return Submitted(submission.folder, jobs, stored, last)


@dataclass(frozen=True)
class RecordedExecutor:
    """Runs nothing: gives the outcomes that a submission's jobs recorded in `folder`, all of which have ended.

    So what is made of them is made by the same code as after a local run.
    """

    folder: Path

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        submission, stages = Submission(self.folder), list(walk(targets))
        events(Planned(len(stages), 0))
        outcomes: dict[str, Outcome] = {}
        for stage in stages:
            if stage.node not in submission.stages:
                raise W2SBenchError(
                    f"{label_of(stage)} is not what was submitted in {self.folder}: the code, a plugin, a model or the suite "
                    "has changed since; submit again"
                )
            answer = submission.answer_of(stage, store)
            if isinstance(outcome := answer.outcome, Unusable):
                raise StoreError(outcome.fault)
            assert not isinstance(outcome, Lacking), "what a job lacks is its stage's failure"
            outcomes[stage.node] = outcome
            for damage in answer.damages:
                store.damages.append(damage)
                events(Damaged(damage))
            events(Ended(stage, outcome))
        return outcomes


def _look_up(stages: Sequence[Stage], store: Store) -> dict[str, Outcome]:
    """Outcomes by node that take no job: what is stored already; what cannot run here, and what needs that."""
    settled: dict[str, Outcome] = {}
    for stage in stages:
        if (failed := failed_input(stage, settled)) is not None:
            settled[stage.node] = failed
        elif len(inputs := input_results(stage, settled)) == len(stage.inputs):
            key = key_or_failure(stage, inputs)
            if isinstance(key, Failed):
                settled[stage.node] = key
            elif store.holds(stage, key) and (result := store.find(stage, key)) is not None:
                settled[stage.node] = Done(result)
    return settled


def _submit(
    stages: Sequence[Stage], submission: Submission, cluster: Cluster, progress: Callable[[int, int], None]
) -> dict[str, str]:
    """Jobs by node, the last one's too. Each is submitted after those that it waits for."""
    folder, total = str(submission.folder), len(stages) + 1
    jobs: dict[str, str] = {}
    try:
        for stage in stages:
            after = [jobs[needed.node] for needed in stage.inputs.values() if needed.node in jobs]
            jobs[stage.node] = cluster.submit(
                run_stage,
                [folder, stage.node],
                name=label_of(stage),
                gpu=needs_gpu(stage),
                after=list(dict.fromkeys(after)),
            )
            submission.add_job(stage.node, jobs[stage.node])
            progress(len(jobs), total)
        # It waits for all jobs, not for the last alone: a cancelled job ends before those that it waits for.
        everyone = list(jobs.values())
        jobs[COLLECT] = cluster.submit(run_collect, [folder], name=COLLECT, gpu=False, after=everyone)
        progress(total, total)
    except BaseException as error:
        cluster.cancel(list(jobs.values()))
        if isinstance(error, W2SBenchError):
            done = f"; the {len(jobs)} jobs submitted before were cancelled" if jobs else ""
            raise W2SBenchError(f"{error}{done}") from error
        raise
    return jobs
