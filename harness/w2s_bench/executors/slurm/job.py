"""What a job of a cluster does: one stage of a submission, or the last step, which makes results of what all recorded."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors.jobs import Job
from w2s_bench.executors.local.seat import Seat
from w2s_bench.executors.outcomes import Answer, Done, Failed, Lacking, Unusable, key_or_failure, label_of
from w2s_bench.executors.resources import Limits, needs_gpu
from w2s_bench.executors.slurm.submission import Setup, Submission
from w2s_bench.store import Store, open_store
from w2s_bench.store.stage import Stage
from w2s_bench.text import printable

_SHARE_OF_MEMORY = 0.9  # of the job's memory; this process has the rest
#: Seconds before the cluster ends a job, in which its stage is stopped and that recorded. Slurm's signal, which submitit
#: takes for the end, comes 30 to 90 seconds before it; the rest is for what the job does before its stage begins.
_MARGIN = 150.0
_GRACE = 10.0  # seconds after SIGTERM in which a preempted job is told so, and is handed in again


def run_stage(folder: str, node: str) -> None:
    """Run a stage and record how it ended. Whatever it does is recorded, short of the end of this very process."""
    submission = Submission(Path(folder))
    try:
        submission.setup.enter()
    except W2SBenchError as error:
        sys.exit(printable(f"error: {error}"))
    store = open_store(submission.setup.store)
    try:
        answer = _answer_of(submission.stages[node], submission, store)
    except StoreError as error:
        answer = Answer(Unusable(str(error)))
    submission.record(node, replace(answer, damages=(*store.damages, *answer.damages)))


def run_collect(folder: str) -> None:
    """The last job of a submission; it exits as a run does."""
    submission = Submission(Path(folder))
    code, message = 1, "ended by an error of the harness; see the job's log"
    try:
        submission.setup.enter()
        code, message = submission.setup.collect.call(submission.folder), ""
    except W2SBenchError as error:
        code, message = error.exit_code, str(error)
        print(printable(f"error: {message}"), file=sys.stderr)
    finally:
        submission.record_end(code, message)
    if code:
        sys.exit(code)


def _answer_of(stage: Stage, submission: Submission, store: Store) -> Answer:
    """Its key is known here first: it is made of what its inputs came out as."""
    inputs = {}
    for name, needed in stage.inputs.items():
        outcome = submission.answer_of(needed, store).outcome
        if not isinstance(outcome, Done):
            return Answer(outcome)
        inputs[name] = outcome.result
    key = key_or_failure(stage, inputs)
    if isinstance(key, Failed):
        return Answer(key)
    if (result := store.find(stage, key)) is not None:
        return Answer(Done(result))
    job = Job.of(stage, key, inputs)
    answer = _run(job, submission.setup, store)
    if isinstance(answer.outcome, Lacking):
        lost = " and ".join(label_of(stage.inputs[name]) for name in answer.outcome.inputs)
        reason = f"its input {lost} is not in the store as this node has it: do all nodes share it, or is it cleaned? Submit again"
        return replace(job.failed(reason), damages=answer.damages)
    return job.kept(answer, store)


def _run(job: Job, setup: Setup, store: Store) -> Answer:
    minutes = setup.minutes[needs_gpu(job.stage)]
    allowed = minutes * 60 - _MARGIN
    own = setup.limits.seconds_of(job.stage)
    memory = setup.limits.memory or memory_of_job()
    limits = Limits(min(allowed, own or allowed), memory, setup.limits.output)
    seat, begun = Seat(store, setup.plugins, limits), time.monotonic()
    with _terminated() as signals:
        try:
            answer = seat.run(job)
            seat.close()
        finally:
            seat.kill()  # a preempted job leaves by an exception
        if signals and isinstance(answer.outcome, Failed):
            # The cluster ends this job and the worker heard it first. The stage is not at fault.
            time.sleep(_GRACE)
            sys.exit(f"ended by {signal.Signals(signals[0]).name}; nothing is recorded")
    if isinstance(answer.outcome, Failed) and time.monotonic() - begun > allowed:
        reason = (
            f"took all the time of its job, {minutes} minutes, and was stopped; give more with --slurm time=MINUTES"
        )
        return replace(answer, outcome=replace(answer.outcome, reason=reason))
    return answer


@contextmanager
def _terminated() -> Iterator[list[int]]:
    """SIGTERM as it comes; it does not end this process, as submitit may still hand the job in again."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def memory_of_job() -> int | None:
    """Bytes that a stage may take of the memory that Slurm gave its job; None where it did not say how much that is."""
    node, cpu = (int(os.environ.get(f"SLURM_MEM_PER_{name}", "0")) for name in ("NODE", "CPU"))
    mebibytes = node or cpu * int(os.environ.get("SLURM_CPUS_ON_NODE", "1"))
    return int((mebibytes << 20) * _SHARE_OF_MEMORY) or None
