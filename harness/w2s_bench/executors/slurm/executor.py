"""Stages as jobs of Slurm: one job a stage, each waiting for those it needs, and nothing that must stay alive meanwhile.

A stage's key depends on the content of its inputs, so what lies below a stage that has not run yet has no key when it is
submitted: its job finds it out from what the jobs before it recorded, and looks in the store then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from w2s_bench.errors import W2SBenchError
from w2s_bench.executors import Done, Failed, label_of
from w2s_bench.executors.interruption import interruptible
from w2s_bench.executors.resources import Limits, needs_gpu
from w2s_bench.executors.slurm.clusters import Cluster, LocalCluster, SlurmCluster, refuse_missing_slurm
from w2s_bench.executors.slurm.job import run_collect, run_stage
from w2s_bench.executors.slurm.options import SlurmSettings
from w2s_bench.executors.slurm.submission import Collect, Record, Setup, Submission
from w2s_bench.store import Store, key_of
from w2s_bench.store.stage import Stage, walk

__all__ = ["Collect", "SlurmSettings", "Submitted", "submit"]

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
    known = _look_up(stages, store)
    doomed = _doomed(stages, known)
    missing = [stage for stage in stages if stage.node not in known and stage.node not in doomed]
    if len(missing) + 1 > settings.most_jobs:
        raise W2SBenchError(
            f"{len(missing)} stages are to run, a job each, and one more job makes the results: more than the "
            f"{settings.most_jobs} that one submission may have; run fewer domains, trust functions or seeds at a time"
        )
    if missing and cluster == "slurm":
        refuse_missing_slurm()
    submission = Submission.create(parent, stages, setup)
    for node, record in known.items():
        submission.record(node, record)
    stored = sum(isinstance(record.outcome, Done) for record in known.values())
    if not missing:
        submission.record_end(collect.call(submission.folder), "")
        return Submitted(submission.folder, {}, stored, None)
    store.clean()
    kinds: Mapping[str, type[SlurmCluster | LocalCluster]] = {"slurm": SlurmCluster, "local": LocalCluster}
    place = kinds[cluster](submission.scripts, settings)
    with interruptible():
        jobs = _submit(missing, submission, place, progress)
        last = jobs.pop(COLLECT)
    return Submitted(submission.folder, jobs, stored, last)


def _look_up(stages: Sequence[Stage], store: Store) -> dict[str, Record]:
    """How stages end that need no job: what is stored already, and what cannot run here at all."""
    known: dict[str, Record] = {}
    for stage in stages:
        inputs = {name: known.get(one.node) for name, one in stage.inputs.items()}
        contents = {
            name: record.outcome.result.content
            for name, record in inputs.items()
            if record is not None and isinstance(record.outcome, Done)
        }
        if len(contents) < len(inputs):
            continue
        try:
            key = key_of(stage, contents)
        except W2SBenchError as error:
            known[stage.node] = Record(Failed(label_of(stage), str(error), stage.node))
            continue
        if store.holds(stage, key) and (found := store.find(stage, key)) is not None:
            known[stage.node] = Record(Done(found))
    return known


def _doomed(stages: Sequence[Stage], known: Mapping[str, Record]) -> set[str]:
    """Stages below one that cannot run; whoever reads the records sees it from that one's."""
    lost = {node for node, record in known.items() if not isinstance(record.outcome, Done)}
    for stage in stages:
        if any(one.node in lost for one in stage.inputs.values()):
            lost.add(stage.node)
    return lost - known.keys()


def _submit(
    stages: Sequence[Stage], submission: Submission, cluster: Cluster, progress: Callable[[int, int], None]
) -> dict[str, str]:
    """Jobs by node, the last one's too. Each is submitted after those that it waits for."""
    folder, total = str(submission.folder), len(stages) + 1
    jobs: dict[str, str] = {}
    try:
        for stage in stages:
            after = [jobs[one.node] for one in stage.inputs.values() if one.node in jobs]
            jobs[stage.node] = cluster.submit(
                run_stage,
                [folder, stage.node],
                name=label_of(stage),
                gpu=needs_gpu(stage),
                after=list(dict.fromkeys(after)),
            )
            submission.add_job(stage.node, jobs[stage.node])
            progress(len(jobs), total)
        # After all of them, not the last ones alone: a cancelled job ends before those it waits for.
        everyone = list(jobs.values())
        jobs[COLLECT] = cluster.submit(run_collect, [folder], name=COLLECT, gpu=False, after=everyone)
        progress(total, total)
        cluster.wait()
    except BaseException as error:
        cluster.cancel(list(jobs.values()))
        if isinstance(error, W2SBenchError):
            done = f"; the {len(jobs)} jobs submitted before were cancelled" if jobs else ""
            raise W2SBenchError(f"{error}{done}") from error
        raise
    return jobs
