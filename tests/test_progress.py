"""What is said on the way: on a terminal, in a log file, and when only trouble is wanted."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from stage_functions import stage
from w2s_bench._cli.progress import duration, shown_progress
from w2s_bench.executors import Ahead, Event, Failed, GaveUp, Planned, Started, Stored, Waiting
from w2s_bench.store import Result

# Brackets that are no markup: neither read as such nor an error.
TITLE, TWO_SAYS = "verify [/x]", "ValueError: [bold] is no [/markup]"
ONE, TWO, THREE = (stage("write", text=text) for text in ("one", "[/two]", "three"))
RESULT = Result(Path("result"), "key", "content", {}, 1.0, 1.0, "2026-01-01T00:00:00Z")
FAILED = Failed(TWO.label, TWO_SAYS, TWO.node)
TROUBLE = f"failed: {TWO.label} failed: {TWO_SAYS}\nwaiting: nobody is there\n"
RUN: list[Event] = [
    Planned(3, 1),
    Stored(ONE, RESULT),
    Started(TWO, 0),
    GaveUp(TWO, FAILED),
    GaveUp(THREE, FAILED),  # for it needs the second
    Waiting("nobody is there"),
    Ahead(0.0),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(monkeypatch: pytest.MonkeyPatch, events: list[Event], *, quiet: bool, terminal: bool) -> str:
    stream = Terminal() if terminal else io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with shown_progress(TITLE, quiet=quiet) as tell:
            for event in events:
                tell(event)
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_says_trouble_once_and_nothing_else(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    assert said(monkeypatch, RUN, quiet=True, terminal=terminal) == TROUBLE


def test_a_log_has_trouble_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    first, trouble = TROUBLE.splitlines(keepends=True)
    assert said(monkeypatch, RUN, quiet=False, terminal=False) == (
        first + f"{TITLE}: 3 of 3 stages, 1 of them stored before\n" + trouble
    )


def test_a_terminal_shows_trouble_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said(monkeypatch, RUN + RUN, quiet=False, terminal=True))
    for line in TROUBLE.splitlines():
        assert shown.count(line) == 2, "once in each part of the run"
    assert f"{TITLE} ━" in shown and "3 of 3 stages" in shown


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "2 h"), (2e5, "2 days")]
)
def test_time_left_has_no_more_digits_than_it_is_worth(seconds: float, words: str) -> None:
    assert duration(seconds) == words
