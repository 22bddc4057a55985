"""A run with an hour after which it starts nothing: what runs ends, what is left is said, and the next call goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from local_run import Told
from stage_functions import stage
from w2s_bench.errors import RunPausedError, W2SBenchError
from w2s_bench.executors import Ended, Outcome, Started
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.executors.until import Until
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage

NOON = datetime(2026, 11, 28, 12, 0)
LATE = Until(NOON, lambda: NOON)


def chain(length: int) -> Stage:
    last = stage("write", text="0")
    for number in range(1, length):
        last = stage("write", {"a": last}, text=str(number))
    return last


def run_until(until: Until, target: Stage, root: Path, told: Callable[..., None]) -> Mapping[str, Outcome]:
    return LocalExecutor(until=until).run([target], Store(root), told)


def test_what_runs_at_the_hour_ends_and_nothing_more_starts(tmp_path: Path) -> None:
    told = Told()
    # The clock strikes while the second stage runs.
    until = Until(NOON, lambda: NOON if len(told.of(Started)) == 2 else NOON.replace(hour=11))
    with pytest.raises(RunPausedError, match=r"past 12:00, and 2 of 4 stages have ended; run the same command again"):
        run_until(until, chain(4), tmp_path, told.append)
    assert len(told.of(Started)) == len(told.of(Ended)) == 2
    again = Told()
    LocalExecutor().run([chain(4)], Store(tmp_path), again.append)
    assert len(again.labels("stored")) == len(again.labels("new")) == 2


def test_past_the_hour_what_is_stored_is_still_given(tmp_path: Path) -> None:
    LocalExecutor().run([chain(2)], Store(tmp_path), Told().append)
    told = Told()
    assert len(run_until(LATE, chain(2), tmp_path, told.append)) == 2
    assert not told.of(Started)
    with pytest.raises(RunPausedError, match="2 of 3"):
        run_until(LATE, chain(3), tmp_path, told.append)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("22:00", datetime(2026, 11, 28, 22, 0)),
        ("11:59", datetime(2026, 11, 29, 11, 59)),
        ("12:00", datetime(2026, 11, 29, 12, 0)),
        ("2026-11-30T08:30", datetime(2026, 11, 30, 8, 30)),
    ],
)
def test_an_hour_is_the_next_one(text: str, at: datetime) -> None:
    assert Until.parse(text, lambda: NOON).at == at


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ten", r"--until 'ten' is no hour; write it as 22:00 or"),
        ("25:00", r"--until '25:00' is no hour"),
        ("2026-11-28T11:00", r"that is past, it is 2026-11-28 12:00 now"),
    ],
)
def test_no_hour_is_an_error(text: str, message: str) -> None:
    with pytest.raises(W2SBenchError, match=message):
        Until.parse(text, lambda: NOON)
