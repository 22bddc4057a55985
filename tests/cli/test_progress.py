"""What is said on the way: on a terminal, in a log file, and when only trouble is wanted."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from cell_builder import make_cells, suite_of, write_cells
from stage_functions import stage
from w2s_bench._cli.progress import RunState, _Lines, _picture, duration, shown_progress
from w2s_bench._cli.report import print_report
from w2s_bench.executors import Ahead, Done, Ended, Event, Failed, Noted, Planned, Preparing, Started, Waiting
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.collect import error_of
from w2s_bench.runs.execute import RunReport
from w2s_bench.store import Result

# Brackets that are no markup: neither read as such nor an error.
TITLE, TWO_SAYS = "verify [/x]", "ValueError: [bold] is no [/markup]"
ONE, TWO, THREE = (stage("write", text=text) for text in ("one", "[/two]", "three"))
RESULT = Result(Path("result"), "key", "content", {}, 1.0, 1.0, "2026-01-01T00:00:00Z")
FAILED = Failed(TWO.label, TWO_SAYS, TWO.node)
TROUBLE = f"failed: {TWO.label} failed: {TWO_SAYS}\nwaiting: nobody is there\n"
RUN: list[Event] = [
    Planned(3, 1),
    Ended(ONE, Done(RESULT)),
    Started(TWO, 0),
    Ended(TWO, FAILED),
    Ended(THREE, FAILED),  # for it needs the second
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


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_to_know_is_said_unless_quiet(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    events: list[Event] = [Planned(1, 1), Noted("made: 1 of [60] items was left out")]
    assert "note: made: 1 of [60] items was left out" in said(monkeypatch, events, quiet=False, terminal=terminal)
    assert said(monkeypatch, events, quiet=True, terminal=terminal) == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_what_is_not_applicable_is_a_note_and_no_failure(monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    failed = Failed(TWO.label, "not applicable: no weak label is right", TWO.node)
    told = said(monkeypatch, [Planned(1, 1), Ended(TWO, failed)], quiet=quiet, terminal=False)
    assert f"note: {TWO.label}: not applicable: no weak label is right\n" in told
    assert "failed" not in told


def test_a_log_has_trouble_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    first, trouble = TROUBLE.splitlines(keepends=True)
    assert said(monkeypatch, RUN, quiet=False, terminal=False) == (
        first + f"{TITLE}: 3 of 3 stages, 1 of them stored before, 0 s so far\n" + trouble
    )


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_log_that_would_stand_still_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    log = _Lines("suite", clock)
    for event in (Planned(9, 1), Ended(ONE, Done(RESULT)), Started(THREE, 0)):
        log(event)
    for _ in range(120):  # two minutes in which nothing ends
        clock.now += 1
        log.look()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 120 // 30, "a line every half minute, at least"
    assert lines[0] == "suite: 1 of 9 stages, 1 of them stored before, 26 s so far; now write three (26 s)"


def test_a_log_says_what_a_run_waits_for_while_it_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    clock, reading = Clock(), Preparing("reading the documents of lm-eval/x")
    log = _Lines("suite", clock)
    log(Preparing("importing plugin acme"))
    for second in range(120):  # two minutes for the one plugin, which is named again after the first, and the documents
        if second == 5:
            log(Preparing(""))
        if second in (10, 20):
            log(reading)
        clock.now += 1
        log.look()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 120 // 30, "a line every half minute, at least"
    assert lines[0] == "suite: preparing, 26 s so far; now reading the documents of lm-eval/x (16 s)"
    log(Preparing(""))
    clock.now += 30
    log.look()
    assert capsys.readouterr().err == "suite: preparing, 2 min so far\n"


def test_a_terminal_shows_what_a_run_waits_for_while_it_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    state = RunState("suite", Clock())
    state(Preparing("importing plugin acme\x1b[2J"))
    stream = io.StringIO()
    Console(file=stream, width=80).print(_picture(state, 80))
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        "suite preparing · 0 s so far",
        "  importing plugin acme\\x1b[2J (0 s)",
    ]
    for terminal in (False, True):
        assert said(monkeypatch, [Preparing("importing plugin acme")], quiet=True, terminal=terminal) == ""


def test_a_log_names_a_few_of_many_that_run(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    log = _Lines("suite", clock)
    log(Planned(9, 1))
    for number in range(5):
        log(Started(stage("write", text=str(number)), number))
    clock.now += 30
    log.look()
    assert capsys.readouterr().err.endswith("now write 0 (30 s); write 1 (30 s); write 2 (30 s) and 2 more\n")


def test_a_thread_keeps_a_log_lively(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    looked = threading.Event()
    monkeypatch.setattr(_Lines, "look", lambda log: looked.set())
    with shown_progress("suite", quiet=False):
        assert looked.wait(60)


@pytest.mark.parametrize(
    ("ahead", "later", "said"),
    [
        (Ahead(0.0, unknown=7), 0, "time left not known yet"),
        (Ahead(59.0, unknown=1), 0, "time left not known yet"),
        (Ahead(600.0, unknown=1), 0, "at least 10 min left"),
        (Ahead(600.0), 0, "about 10 min left"),
        (Ahead(600.0), 300, "about 5 min left"),
        (Ahead(600.0), 900, ""),
    ],
)
def test_time_left_is_told_as_far_as_it_is_known(ahead: Ahead, later: float, said: str) -> None:
    clock = Clock()
    state = RunState("suite", clock)
    for event in (Planned(2, 1), Started(THREE, 0), ahead):
        state(event)
    clock.now += later
    assert state.left() == said


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_terminal_of_any_width_shows_the_time_left_and_what_runs(width: int) -> None:
    state = RunState("a-suite-with-a-name", Clock())
    for event in (Planned(293, 2), Started(THREE, 0), Started(ONE, 1), Ahead(300.0)):
        state(event)
    stream = io.StringIO()
    Console(file=stream, width=width).print(_picture(state, width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "about 5 min left" in " ".join(" ".join(lines).split())
    assert [line.rstrip() for line in lines[-2:]] == ["  write three (0 s)", "  write one (0 s)"]


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("TERM", kind)
    assert "\x1b" not in said(monkeypatch, RUN, quiet=False, terminal=True)


def test_a_terminal_shows_trouble_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said(monkeypatch, RUN + RUN, quiet=False, terminal=True))
    failed, waiting = TROUBLE.splitlines()
    assert shown.count(failed) == 1, "one reason once, in whatever part of the run it comes up again"
    assert shown.count(waiting) == 2
    assert f"{TITLE} ━" in shown and "3 of 3 stages" in shown


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "2 h"), (2e5, "2 days")]
)
def test_time_left_has_no_more_digits_than_it_is_worth(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def reported(tmp_path: Path, failed: dict[tuple[str, int], str], notes: tuple[str, ...]) -> RunReport:
    cells = make_cells(failed=failed)
    board = write_leaderboard(write_cells(tmp_path, cells))
    return RunReport(suite_of(cells.values()), tmp_path, tuple(cells.values()), board, (), notes)


@pytest.mark.parametrize("quiet", [False, True])
def test_what_a_run_has_said_is_not_said_again_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    """Under what failed stand at the end the rows that it costs; what nobody has said yet is said in full."""
    long = "model 'hf/large' has 3 layers where its weights have 4; download it again"
    other = Failed("math · seed 1 · naive", long, "another")  # of the same reason, which is told once
    causes = [
        Failed("math · seed 0 · scores of margin", "ValueError: no /tmp/x-81/scores", "one"),
        Failed("math · teacher", long, "two"),
    ]
    none = Failed("math · seed 2 · scores of margin", "not applicable: no weak label is right", "three")
    failed = {("acme/margin", 0): error_of(causes[0]), ("naive", 0): error_of(causes[1]), ("naive", 1): error_of(other)}
    failed |= {("random", seed): "nobody · heard failed: of this" for seed in range(3)} | {
        ("acme/margin", 2): error_of(none)
    }
    with shown_progress("run", quiet=quiet) as shown:
        for outcome in (*causes, other, none):
            shown(Ended(ONE, outcome))
        shown(Noted("12 items were left out"))
    print_report(reported(tmp_path, failed, ("12 items were left out", "new")), shown, as_json=False, quiet=quiet)
    told = capsys.readouterr().err.splitlines()
    assert sum(long in line for line in told) == 1 and sum("/tmp/x-81" in line for line in told) == 1
    assert "failed: math/naive seed 0, math/naive seed 1: see above what is said of math · teacher" in told
    assert "failed: math/acme.margin seed 0: see above what is said of math · seed 0 · scores of margin" in told
    assert "note: math/acme.margin seed 2: see above what is said of math · seed 2 · scores of margin" in told
    assert "failed: math/random seed 0, math/random seed 1, math/random seed 2: nobody · heard failed: of this" in told
    assert told.count("note: 12 items were left out") == 1 and "note: new" in told


def test_json_has_every_reason_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cause = Failed("math · teacher", "out of memory", "one")
    with shown_progress("run", quiet=False, as_json=True) as shown:
        shown(Ended(ONE, cause))
    print_report(reported(tmp_path, {("naive", 0): error_of(cause)}, ()), shown, as_json=True, quiet=False)
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert failure["reason"] == "math · teacher failed: out of memory"
