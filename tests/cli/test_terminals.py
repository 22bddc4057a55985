"""Odd terminals and streams: ASCII, closed, gone, full. None shows a traceback, and none costs a result."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cell_builder import make_cells, write_cells
from support import toy_environment

PYTHON = f"{sys.executable} -m w2s_bench"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flat = make_cells("acme/flat", accuracies={"ceiling": 0.51})
    return write_cells(tmp_path_factory.mktemp("toy"), make_cells(), flat)


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = toy_environment(**{"COLUMNS": "100", **environment})
    return subprocess.run(["bash", "-c", command], capture_output=True, env=env, timeout=300)


def on_a_terminal(arguments: str, **environment: str) -> bytes:
    """What a terminal is given."""
    ours, theirs = os.openpty()
    env = {key: value for key, value in toy_environment().items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    command = [*PYTHON.split(), *arguments.split()]
    process = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.DEVNULL, env={**env, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # as Linux says that nobody holds the other end any more
        while read := os.read(ours, 4096):
            shown += read
    os.close(ours)
    assert process.wait(300) == 0
    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_an_ascii_terminal_gets_a_table_that_reads_well(results: Path, environment: dict[str, str]) -> None:
    done = shell(f"{PYTHON} leaderboard {results}", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("ascii")
    assert "toy 1 | PGR [95 % interval] | 3 seeds" in text
    assert "ceiling - weak is 0.0" in text
    assert "\\" not in text, "every character that the program writes by itself has a stand-in"


def test_a_character_without_a_stand_in_is_written_as_an_escape(tmp_path: Path) -> None:
    done = shell(f"{PYTHON} leaderboard {tmp_path}/東京", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "\\u6771\\u4eac" in " ".join(done.stderr.decode("ascii").split())


@pytest.mark.slow
def test_a_reader_that_leaves_costs_nothing(results: Path) -> None:
    """`| head`: the pipe's other end is closed before anything is written, and the program's own end is told."""
    (results / "README.md").unlink(missing_ok=True)
    done = shell(f"{{ {PYTHON} leaderboard {results}; echo $? >&2; }} | true")
    assert done.stderr.decode().split() == ["0"]
    assert (results / "README.md").is_file()
    json = shell(f"{{ {PYTHON} leaderboard {results} --json; echo $? >&2; }} | head -c 5")
    assert (json.stdout, json.stderr.decode().split()) == (b'{\n "s', ["0"])


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_nothing(results: Path, closed: str) -> None:
    (results / "README.md").unlink(missing_ok=True)
    done = shell(f"{PYTHON} leaderboard {results} {closed}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (results / "README.md").is_file()
    assert (b"PGR" in done.stdout) == (closed == "2>&-")


def test_what_is_said_on_a_closed_standard_error_is_not_said_among_results(tmp_path: Path) -> None:
    done = shell(f"{PYTHON} leaderboard {tmp_path} 2>&-")
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_standard_output_is_an_error_and_under_standard_error_is_none(tmp_path: Path) -> None:
    done = shell(f"{PYTHON} list suites > /dev/full")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("error: ") and "No space left on device" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert shell(f"{PYTHON} list suites 2> /dev/full").returncode == 0
    assert shell(f"{PYTHON} leaderboard {tmp_path} 2> /dev/full").returncode == 2, (
        "what cannot be said costs no exit code"
    )


@pytest.mark.slow
def test_no_colour_where_none_is_wanted_and_none_in_a_file(results: Path) -> None:
    assert b"\x1b" not in shell(f"{PYTHON} leaderboard {results}").stdout
    assert b"\x1b" in on_a_terminal("list suites", TERM="xterm")
    assert b"\x1b" not in on_a_terminal("list suites", TERM="dumb")
    assert not re.search(rb"\x1b\[[\d;]*[349]\d", on_a_terminal("list suites", NO_COLOR="1")), "bold is no colour"


def test_text_that_would_steer_the_terminal_is_shown_as_an_escape(tmp_path: Path) -> None:
    done = shell(f"{PYTHON} leaderboard $'{tmp_path}/\\x1b[31m\\u202e'", LC_ALL="C.UTF-8")
    assert done.returncode == 2
    assert "\\x1b[31m\\u202e" in done.stderr.decode().replace("\n", "")
    assert b"\x1b" not in done.stderr


def test_streams_of_the_environment_stay_as_they_are_where_the_app_is_called_from_python() -> None:
    script = "import sys; before = sys.stdout; from w2s_bench._cli.app import app; assert sys.stdout is before"
    assert subprocess.run([sys.executable, "-c", script], env={**os.environ}).returncode == 0
