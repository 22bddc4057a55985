"""The local executor: what runs, what does not, what a failure takes with it, and that nothing else shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from local_run import Told, failure_of, result_of, run, text_of
from stage_functions import stage
from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors import (
    Damaged,
    Event,
    Outcome,
    Planned,
    Started,
    Waiting,
    driver,
)
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.executors.outcomes import Answer
from w2s_bench.executors.schedule import Work
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage

#: What a stage sleeps that must not be waited for. Bounds on waiting are so far below it and so high that load reaches neither.
HOUR = 3600.0


def diamond(**params: Any) -> dict[str, Stage]:
    top = stage("write", text="top", **params)
    left, right = stage("write", {"a": top}, text="left", **params), stage("write", {"a": top}, text="right", **params)
    return {
        "top": top,
        "left": left,
        "right": right,
        "end": stage("write", {"a": left, "b": right}, text="end", **params),
    }


def test_a_diamond_runs_the_shared_stage_once_and_then_nothing(tmp_path: Path) -> None:
    graph = diamond(tally=str(tmp_path / "tally"))
    outcomes, told = run([graph["end"], graph["left"]], tmp_path / "store", workers=2)
    assert text_of(outcomes, graph["end"]) == "toplefttoprightend"
    assert set(outcomes) == {one.node for one in graph.values()}
    assert sorted((tmp_path / "tally").read_text().split()) == ["end", "left", "right", "top"]
    assert told[0] == Planned(total=4, workers=2)
    assert len(told.of(Started)) == len(told.labels("new")) == 4
    assert not told.labels("stored") + told.labels("failed") + told.of(Damaged)

    again, told = run([graph["end"]], tmp_path / "store")
    assert again == outcomes
    assert told.labels("stored") == sorted(one.label for one in graph.values())
    assert told.of(Started) == []


def test_nothing_to_do_is_done(tmp_path: Path) -> None:
    outcomes, told = run([], tmp_path / "store")
    assert (outcomes, told) == ({}, [Planned(total=0, workers=1)])
    assert not (tmp_path / "store").exists()


def test_equal_inputs_make_equal_keys_and_run_once(tmp_path: Path) -> None:
    """Arms that keep the same rows share one student, though they came to the rows in different ways."""
    tally = str(tmp_path / "tally")
    students = [
        stage("write", {"rows": stage("same", kept_by=arm)}, text="student", tally=tally)
        for arm in ("one", "two", "three")
    ]
    outcomes, told = run(students, tmp_path / "store", workers=2)
    assert len({one.node for one in students}) == 3
    assert len({result_of(outcomes, one).key for one in students}) == 1
    assert (tmp_path / "tally").read_text() == "student\n"
    assert len(told.labels("new")) == 4
    assert told.labels("stored") == ["write student"] * 2


def test_results_do_not_depend_on_the_number_of_workers_or_the_hash_seed(tmp_path: Path) -> None:
    graph = [
        *diamond().values(),
        *[stage("meddle", torch=False, number=number) for number in range(2)],
        *[stage("draw", torch=False, number=number) for number in range(3)],
        stage("fail"),
    ]
    one, _ = run(graph, tmp_path / "one", workers=1)
    two, _ = run(graph[::-1], tmp_path / "two", workers=2)
    for each in graph:
        if each.name == "fail":
            assert failure_of(one, each).reason == failure_of(two, each).reason
        else:
            assert result_of(one, each).content == result_of(two, each).content


@pytest.mark.slow
def test_a_stage_meets_nothing_of_what_ran_before_it(tmp_path: Path) -> None:
    fresh = stage("draw", torch=True, number=1)
    alone, _ = run([fresh], tmp_path / "alone")
    before = [stage("meddle", torch=True), stage("draw", torch=True, number=2)]
    after, told = run([*before, fresh], tmp_path / "after", workers=1)
    assert [event.stage.name for event in told.of(Started)] == ["meddle", "draw", "draw"]
    assert text_of(after, fresh) == text_of(alone, fresh)
    assert text_of(after, before[1]) != text_of(after, fresh)
    assert f"[1, True, torch.float32], [None, {str(Path.cwd())!r}, " in text_of(alone, fresh)


def test_a_failing_stage_fails_what_depends_on_it_and_nothing_else(tmp_path: Path) -> None:
    broken = stage("fail")
    child = stage("write", {"a": broken, "b": stage("write", text="sound")}, text="child")
    grandchild = stage("write", {"a": child}, text="grandchild")
    graph = diamond()
    outcomes, told = run([grandchild, graph["end"]], tmp_path / "store", workers=2)
    assert text_of(outcomes, graph["end"]) == "toplefttoprightend"
    failed = failure_of(outcomes, broken)
    assert failed.stage == "fail"
    assert failed.cause_node == broken.node
    assert failure_of(outcomes, child) == failure_of(outcomes, grandchild) == failed
    assert told.labels("failed") == ["fail", "write child", "write grandchild"]
    assert not list((tmp_path / "store" / ".partial").iterdir())


def test_the_reason_is_one_paragraph_with_a_place_and_the_log_has_the_rest(tmp_path: Path) -> None:
    failed = failure_of(run([stage("fail")], tmp_path)[0], stage("fail"))
    assert failed.reason.startswith("ValueError: five is right out (stage_functions.py:")
    assert failed.log is not None
    assert str(failed) == f"fail failed: {failed.reason} Log: {failed.log}"
    log = failed.log.read_text()
    assert "on standard output\nfrom a child\non standard error\n" in log
    assert 'raise ValueError("five is' in log


def test_a_library_is_not_blamed_for_what_it_was_given(tmp_path: Path) -> None:
    failed = failure_of(run([stage("fail_in_library")], tmp_path)[0], stage("fail_in_library"))
    assert "cannot reshape array of size 3" in failed.reason
    assert "(stage_functions.py:" in failed.reason


def test_our_own_errors_speak_for_themselves(tmp_path: Path) -> None:
    failed = failure_of(run([stage("fail_on_purpose")], tmp_path)[0], stage("fail_on_purpose"))
    assert failed.reason == "acme/liar returned 3 scores for 4 rows; return one a row"


def test_of_two_failed_inputs_the_first_in_order_is_the_cause(tmp_path: Path) -> None:
    slow, quick = stage("fail", sleep=0.3), stage("fail_on_purpose")
    both = stage("write", {"a": slow, "b": quick}, text="both")
    outcomes, _ = run([both, quick], tmp_path, workers=2)
    assert failure_of(outcomes, both).cause_node == slow.node


def test_leaving_is_failing(tmp_path: Path) -> None:
    failed = failure_of(run([stage("leave")], tmp_path)[0], stage("leave"))
    assert failed.reason.startswith("SystemExit: goodbye (stage_functions.py:")


def test_a_function_that_is_not_there_fails_its_stage(tmp_path: Path) -> None:
    missing = stage("no_such_function")
    assert "has no attribute 'no_such_function'" in failure_of(run([missing], tmp_path)[0], missing).reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("die", {"signal": "SIGKILL"}, "exit code -9), killed from outside, as happens when memory runs out"),
        ("die", {"signal": "SIGSEGV"}, "exit code -11), by SIGSEGV"),
        ("die", {"code": 3}, "exit code 3), its last words: famous last words"),
        ("die_leaving_a_child", {}, "exit code -9)"),
    ],
    ids=["SIGKILL", "SIGSEGV", "_exit", "child keeps the pipe"],
)
def test_a_worker_that_dies_is_replaced(tmp_path: Path, name: str, params: dict[str, Any], expected: str) -> None:
    deadly, sound = stage(name, **params), stage("write", text="sound")
    began = time.monotonic()
    outcomes, _ = run([deadly, sound], tmp_path, workers=1)
    assert time.monotonic() - began < HOUR / 2  # the child that keeps the pipe open would do so for an hour
    failed = failure_of(outcomes, deadly)
    assert failed.reason.startswith("worker died (")
    assert expected in failed.reason
    assert text_of(outcomes, sound) == "sound"
    assert not list((tmp_path / ".partial").iterdir())
    if name == "die":
        assert failed.log is not None
        assert "famous last words" in failed.log.read_text()


def test_damage_is_told_and_repaired(tmp_path: Path) -> None:
    graph = diamond()
    outcomes, _ = run([graph["end"]], tmp_path)
    (result_of(outcomes, graph["left"]).path / "text").write_text("sinister")
    again, told = run([graph["end"]], tmp_path)
    (damaged,) = told.of(Damaged)
    assert "text has 8 bytes, not 7" in str(damaged.damage)
    assert told.labels("new") == ["write left"]
    assert text_of(again, graph["end"]) == "toplefttoprightend"


def test_a_full_disk_ends_the_run_and_keeps_what_is_stored(tmp_path: Path) -> None:
    sound = stage("write", text="sound")
    full = stage("fill_the_disk", {"after": sound})
    with pytest.raises(StoreError, match=r"No space left on device\. Free space"):
        run([full, sound], tmp_path, workers=2)
    assert not list((tmp_path / ".partial").iterdir())
    _, told = run([sound], tmp_path)
    assert told.labels("stored") == ["write sound"]


def test_a_store_that_cannot_be_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="--store DIR"):
        run([stage("write", text="x")], tmp_path / "file" / "store")


def test_no_workers_are_refused() -> None:
    with pytest.raises(W2SBenchError, match="0 workers cannot run anything; give 1 or more"):
        LocalExecutor(0)


def test_a_listener_that_raises_ends_the_run_and_its_workers(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, Started):
            raise RuntimeError("the display is gone")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="the display is gone"):
        LocalExecutor(1).run([stage("write", text="x", sleep=HOUR)], Store(tmp_path), listen)
    assert time.monotonic() - began < HOUR / 2, "it waited for the stage"
    assert not list((tmp_path / ".partial").glob("*"))


def test_what_waits_longest_goes_first(tmp_path: Path) -> None:
    short = [stage("write", text=f"short{number}") for number in range(3)]
    chain = stage("write", text="chain1")
    for number in (2, 3):
        chain = stage("write", {"a": chain}, text=f"chain{number}")
    _, told = run([*short, chain], tmp_path)
    started = [event.stage.label.split()[1] for event in told.of(Started)]
    assert started == ["chain1", "chain2", "short0", "short1", "short2", "chain3"]


def test_stages_see_the_plugins_they_are_restricted_to(tmp_path: Path) -> None:
    seen = stage("registry")
    outcomes = LocalExecutor(1, plugins=("no-such-plugin",)).run([seen], Store(tmp_path), lambda event: None)
    assert failure_of(outcomes, seen).reason.startswith("unknown plugin 'no-such-plugin'")
    outcomes = LocalExecutor(1, plugins=()).run([seen], Store(tmp_path), lambda event: None)
    assert text_of(outcomes, seen) == "w2s-bench"


def test_two_runs_on_one_store_share_their_work(tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    targets = [stage("write", text=f"t{number}", sleep=0.05, tally=str(tally)) for number in range(6)]
    seen: list[Mapping[str, Outcome]] = []
    runs = [threading.Thread(target=lambda: seen.append(run(targets, tmp_path / "store")[0])) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert sorted(tally.read_text().split()) == sorted(f"t{number}" for number in range(6))
    assert seen[0] == seen[1]


INTERRUPTED = """
import sys
from pathlib import Path
from stage_functions import stage
from w2s_bench.executors import Started
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.store import Store

quick = stage("write", text="quick")
slow = [stage("write", {"a": quick}, text=f"slow{number}", sleep=3600) for number in range(2)]
try:
    LocalExecutor(2).run(slow, Store(Path(sys.argv[1])), lambda event: print(type(event).__name__, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise SystemExit(130)
"""


def start_slow_run(root: Path) -> subprocess.Popen[str]:
    """A run of its own process, two workers of which have just begun to sleep for an hour."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    begun = 0
    while begun < 3:
        line = process.stdout.readline()
        assert line, f"the run ended by itself, with code {process.wait()}"
        begun += line == "Started\n"
    while len(list((root / ".partial").iterdir())) < 2:
        time.sleep(0.01)
    return process


def processes_of(root: Path) -> list[str]:
    """Workers that still hold the store's locks or its folder open."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            links = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        found += [folder.name for link in links if link.startswith(str(root))]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_at_once_and_the_next_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    process = start_slow_run(tmp_path)
    process.send_signal(number)
    process.send_signal(number)  # an impatient user does not interrupt the cleaning up
    rest, _ = process.communicate(timeout=HOUR / 6)
    assert process.returncode == 130
    assert rest.endswith("interrupted\n")
    assert not list((tmp_path / ".partial").iterdir())
    quick = stage("write", text="quick")
    _, told = run([stage("write", {"a": quick}, text="end")], tmp_path)
    assert told.labels("stored") == ["write quick"]
    assert told.labels("new") == ["write end"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for processes in /proc")
def test_a_killed_driver_leaves_no_workers(tmp_path: Path) -> None:
    process = start_slow_run(tmp_path)
    assert processes_of(tmp_path)
    process.kill()
    process.communicate(timeout=HOUR / 6)
    deadline = time.monotonic() + HOUR / 6
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(tmp_path) == []
    run([stage("write", text="after")], tmp_path)
    assert not list((tmp_path / ".partial").iterdir())


def test_a_run_that_finds_everything_imports_nothing_heavy_and_starts_no_process(tmp_path: Path) -> None:
    run([diamond()["end"]], tmp_path)
    script = """
import subprocess, sys
from pathlib import Path
import test_executor
subprocess.Popen = None
_, told = test_executor.run([test_executor.diamond()["end"]], Path(sys.argv[1]))
assert len(told) == 5, told
heavy = {"torch", "transformers", "datasets", "lm_eval"} & set(sys.modules)
assert not heavy, heavy
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=True)


def test_what_is_missing_is_told_before_anything_starts_and_not_where_nothing_does(tmp_path: Path) -> None:
    class Later(driver.Places):
        count, missing = 1, "nobody is there"

        def free(self, gpu: bool) -> bool:
            return True

        def start(self, work: Work, answer: Callable[[Answer], None]) -> int:
            answer(work.job.failed("enough"))
            return 0

        def close(self, *, now: bool) -> None:
            assert not now

    told = Told()
    driver.drive(Later(), [stage("write", text=text) for text in "ab"], Store(tmp_path), told.append)
    assert [event.reason for event in told.of(Waiting)] == ["nobody is there"]
    assert [type(event) for event in told][:3] == [Planned, Waiting, Started]
    run([stage("write", text="a")], tmp_path)
    told = Told()
    driver.drive(Later(), [stage("write", text="a")], Store(tmp_path), told.append)
    assert not told.of(Waiting)
