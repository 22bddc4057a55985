"""Outcomes as a submission's jobs recorded them: what is made of them is made by the same code as after a local run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors import Damaged, Done, Event, Failed, Finished, GaveUp, Outcome, Planned, Stored, label_of
from w2s_bench.executors.jobs import Refused
from w2s_bench.executors.slurm.submission import Record, Submission
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk

_LOOK = 0.25  # seconds between two looks for a file


class Records:
    """How stages ended, asked once their jobs have. A stage whose job left no word has failed, and takes others along.

    The first that has none is waited for: a shared folder may show a file late on other nodes.
    """

    def __init__(self, submission: Submission, store: Store) -> None:
        self.submission, self.store = submission, store
        self.patience = submission.setup.patience
        self._known: dict[str, Record] = {}
        self._deadline: float | None = None

    def of(self, stage: Stage) -> Record:
        if stage.node not in self._known:
            record = self._recorded(stage) or self._without_word(stage)
            if isinstance(record.outcome, Done):  # as this machine has it
                result = record.outcome.result
                record = replace(record, outcome=Done(replace(result, path=self.store.folder(stage, result.key))))
            self._known[stage.node] = record
        return self._known[stage.node]

    def _recorded(self, stage: Stage) -> Record | None:
        while (record := self.submission.recorded(stage.node)) is None:
            if stage.node not in self.submission.jobs():
                return None
            self._deadline = self._deadline or time.monotonic() + self.patience
            if time.monotonic() >= self._deadline:
                return None
            time.sleep(_LOOK)
            with os.scandir(self.submission.folder / "outcomes"):  # makes NFS ask its server again
                pass
        return record

    def _without_word(self, stage: Stage) -> Record:
        """What it needed failed, or had no job either; else its own job is what was lost."""
        for one in stage.inputs.values():
            if not isinstance(self.of(one).outcome, Done):
                return Record(self.of(one).outcome)
        job = self.submission.jobs().get(stage.node)
        reason = (
            f"its job {job} left no result (killed or cancelled by Slurm? `sacct -j {job}` tells); submit again"
            if job
            else "it was never submitted; submit again"
        )
        return Record(Failed(label_of(stage), reason, stage.node))


@dataclass(frozen=True)
class RecordedExecutor:
    """Runs nothing: gives the outcomes that a submission's jobs recorded in `folder`, all of which have ended."""

    folder: Path

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        submission = Submission(self.folder)
        records, stages = Records(submission, store), list(walk(targets))
        events(Planned(len(stages), 0))
        outcomes: dict[str, Outcome] = {}
        for stage in stages:
            if stage.node not in submission.stages:
                raise W2SBenchError(
                    f"{label_of(stage)} is not what was submitted in {self.folder}: the code, a plugin, a model or the suite "
                    "has changed since; submit again"
                )
            record = records.of(stage)
            if isinstance(record.outcome, Refused):
                raise StoreError(record.outcome.message)
            outcomes[stage.node] = record.outcome
            for damage in record.damages:
                store.damages.append(damage)
                events(Damaged(damage))
            events(_event(stage, record.outcome, here=record.here))
        return outcomes


def _event(stage: Stage, outcome: Outcome, *, here: bool) -> Event:
    if isinstance(outcome, Failed):
        return GaveUp(stage, outcome)
    return Finished(stage, outcome.result, outcome.result.seconds) if here else Stored(stage, outcome.result)
