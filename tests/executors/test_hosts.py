"""Each kind of code has worker processes of its own, and what a stage starts ends with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_limits import alive

from local_run import failure_of, run, text_of
from stage_functions import named, stage
from support import LINUX
from w2s_bench.errors import StoreError
from w2s_bench.executors.jobs import Job
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.executors.local.hosts import Host, host_of
from w2s_bench.executors.local.seat import Seat
from w2s_bench.executors.local.spare import Spare
from w2s_bench.executors.outcomes import Done
from w2s_bench.executors.resources import Limits
from w2s_bench.plugins.registry import Registry
from w2s_bench.store import Store, key_of
from w2s_bench.store.stage import Code, Stage

ACME_TRUST: dict[str, Any] = {"of": ("trust", "acme/trust")}
ACME_DOMAIN: dict[str, Any] = {"of": ("domain", "acme/domain")}
OTHER_DOMAIN: dict[str, Any] = {"of": ("domain", "other/domain")}


def test_which_processes_a_stage_runs_in() -> None:
    def host(*code: Any) -> Host:
        return host_of(named("any", code=Code(*code) if code else None), lambda: frozenset({"w2s-bench", "acme"}))

    assert host() == Host("engine", "w2s-bench")
    assert host("domain", "acme/chess") == Host("domain", "acme")
    assert host("domain", "w2s-bench/chess") == Host("domain", "w2s-bench")
    assert host("trust", "A.cme/probe", "none") == Host("trust", "a-cme", "none")
    assert host("trust", "acme/probe", "trust_set") != host("trust", "acme/probe", "none")
    assert host("engine", "acme/large") == Host("engine", "acme")
    assert host("objective", "acme/loss") == Host("objective", "acme") != host("reading", "acme/x")
    for elsewhere in ("tiny/math-s", "hf/acme/large@0", "local/acme/x", "/acme/x", "models/x", "x"):
        assert host("engine", elsewhere) == Host("engine", "w2s-bench")


def chain(*steps: tuple[str, dict[str, Any]]) -> list[Stage]:
    """Stages, each of a function and its parameters, that run in this order."""
    made: list[Stage] = []
    for function, params in steps:
        made.append(stage(function, {"a": made[-1]} if made else {}, **params))
    return made


def test_a_stage_meets_only_what_stages_of_its_kind_left(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [ACME_TRUST, {}, ACME_DOMAIN, OTHER_DOMAIN]
    stages = chain(*(("mark", {"text": str(number), **kind}) for number, kind in enumerate([*kinds, *kinds])))
    outcomes, _ = run(stages[-1:], tmp_path)
    assert [text_of(outcomes, one) for one in stages] == [*["nobody"] * 4, "0", "1", "2", "3"]


def test_what_a_function_that_sees_gold_leaves_meets_none_that_sees_less(tmp_path: Path) -> None:
    """In a module of its distribution, say, such as a cache of what is right."""
    tracks = ["privileged", "none", "trust_set"]
    kinds: list[dict[str, Any]] = [{"of": ("trust", f"acme/{track}", track)} for track in tracks]
    stages = chain(*(("mark", {"text": str(number), **kind}) for number, kind in enumerate([*kinds, *kinds])))
    outcomes, _ = run(stages[-1:], tmp_path)
    assert [text_of(outcomes, one) for one in stages] == [*["nobody"] * 3, "0", "1", "2"]


def test_what_fails_after_another_stage_of_its_plugin_is_tried_in_a_new_process(tmp_path: Path) -> None:
    first, second = chain(("mark", {"text": "first", **ACME_TRUST}), ("mark_and_fail", ACME_TRUST))
    outcomes, _ = run([second], tmp_path)
    assert text_of(outcomes, second) == "alone"
    assert text_of(outcomes, first) == "nobody"


@pytest.mark.slow
def test_idle_processes_are_bounded_and_the_engine_is_the_last_to_go(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{"of": ("domain", f"d{number}/x")} for number in range(6)]
    stages = chain(
        *(("mark", {"text": str(number), **kind}) for number, kind in enumerate([{}, *kinds, {}, kinds[5], kinds[0]]))
    )
    outcomes, _ = run(stages[-1:], tmp_path)
    assert [text_of(outcomes, one) for one in stages[-3:]] == ["0", "6", "nobody"]


def test_idle_processes_make_room_for_a_stage_that_needs_much_memory(tmp_path: Path) -> None:
    store, names = Store(tmp_path), [f"d{number}/x" for number in range(3)]
    seat = Seat(store, limits=Limits(memory=10**9))

    def made(one: Stage) -> str:
        outcome = seat.run(Job.of(one, key_of(one, {}), {})).outcome
        assert isinstance(outcome, Done), outcome
        return (outcome.result.path / "text").read_text()

    try:
        for name in names:
            made(stage("mark", text=name, of=("domain", name)))
        assert made(stage("mark", text="again", of=("domain", names[0]))) == names[0]
        seat.limits = Limits(memory=2 * seat.spare.memory())
        made(stage("write", text="long", sleep=1.0))  # more than half of which it does not take: nothing is ended
        assert len(seat.spare._idle) == 3
        process = seat._process_of(Host())
        assert process is not None
        seat._make_room(process, 1)
        assert not seat.spare._idle and list(seat._processes) == [Host()]
    finally:
        seat.kill()


def test_seats_of_one_machine_share_the_processes_of_plugins_and_no_engine(tmp_path: Path) -> None:
    store, spare, before = Store(tmp_path), Spare(2), psutil.Process().children()
    seats = [Seat(store, limits=Limits(memory=10**9), spare=spare) for _ in range(2)]
    try:
        found = []
        for number, one in enumerate(seats):
            for kind in ({}, ACME_TRUST):
                job = stage("mark", text=f"seat {number}", **kind)
                outcome = one.run(Job.of(job, key_of(job, {}), {})).outcome
                assert isinstance(outcome, Done), outcome
                found.append((outcome.result.path / "text").read_text())
        assert found == ["nobody", "nobody", "nobody", "seat 0"]
    finally:
        for one in seats:
            one.close()
    assert psutil.Process().children() == before


def test_a_process_loads_the_plugins_of_its_own_distribution(tmp_path: Path) -> None:
    built_in, acme = (
        stage("registry", of=("domain", "w2s-bench/x")),
        stage("registry", **ACME_DOMAIN),
    )
    outcomes, _ = run([built_in, acme, engine := stage("registry")], tmp_path)
    assert [text_of(outcomes, one) for one in (built_in, acme, engine)] == ["w2s-bench", "", "w2s-bench"]


def test_a_stage_that_blames_a_store_of_its_own_fails_alone(tmp_path: Path) -> None:
    outcomes, _ = run([bad := stage("refuse"), good := stage("write", text="good")], tmp_path)
    assert failure_of(outcomes, bad).reason == "no bucket of mine"
    assert text_of(outcomes, good) == "good"


def test_a_plugin_whose_process_can_write_no_more_fails_alone(tmp_path: Path) -> None:
    outcomes, _ = run([bad := stage("starve", **ACME_TRUST), good := stage("write", text="good")], tmp_path)
    reason = failure_of(outcomes, bad).reason
    assert reason.startswith("could not use the store, though others can: the store cannot use ")
    assert "Too many open files" in reason
    assert text_of(outcomes, good) == "good"
    with pytest.raises(StoreError, match="Too many open files"):
        run([stage("starve")], tmp_path / "engine")


@LINUX
@pytest.mark.parametrize("end", ["exit", "print", "done"])
def test_a_daemon_ends_with_its_worker(tmp_path: Path, end: str) -> None:
    pids = tmp_path / "pids"
    bad = stage("daemonise", pids=str(pids), end=end)
    outcomes = LocalExecutor(1, limits=Limits(output=1 << 20)).run([bad], Store(tmp_path / "store"), lambda event: None)
    assert {
        "exit": "worker died (exit code 4)",
        "print": "printed more than 1 MiB, and was stopped",
        "done": "",
    }[end] in str(outcomes[bad.node])
    assert not psutil.pid_exists(int(pids.read_text()))


KILLED = """
import sys
from pathlib import Path
from stage_functions import stage
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.store import Store
bad = stage("daemonise", pids=sys.argv[1] + "/pids", end="hang")
LocalExecutor(1).run([bad], Store(Path(sys.argv[1]) / "store"), lambda event: None)
"""


@LINUX
@pytest.mark.parametrize("victim", ["driver", "keeper"])
def test_a_daemon_ends_with_its_driver_and_a_worker_with_its_keeper(tmp_path: Path, victim: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=env)
    try:
        pids = tmp_path / "pids"
        while not (pids.is_file() and pids.read_text().endswith("\n")):
            assert driver.poll() is None
            time.sleep(0.02)
        (keeper,) = psutil.Process(driver.pid).children()
        (worker,) = keeper.children()
        ending = [keeper.pid, worker.pid]
        if victim == "driver":
            driver.kill()
            ending.append(int(pids.read_text()))
        else:
            keeper.kill()
            assert driver.wait(timeout=60) == 0
        deadline = time.monotonic() + 20
        while any(map(alive, ending)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(alive, ending))
    finally:
        driver.kill()
        if pids.is_file():
            for one in (int(text) for text in pids.read_text().split()):
                if psutil.pid_exists(one):
                    psutil.Process(one).kill()


def test_what_a_stage_leaves_to_ring_or_closed_does_not_reach_the_next(tmp_path: Path) -> None:
    second = chain(("leave_traces", {}), ("traces", {}))[-1]
    outcomes, _ = run([second], tmp_path)
    assert text_of(outcomes, second) == "(0.0, True)"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["no answer\n", "5\n", '{"reply": 1}\n'])
def test_a_worker_that_gives_no_answer_is_given_up(tmp_path: Path, text: str) -> None:
    outcomes, _ = run([bad := stage("garble", text=text), good := stage("write", text="good")], tmp_path)
    assert failure_of(outcomes, bad).reason.startswith("worker died (")
    assert text_of(outcomes, good) == "good"


ENTRY = "[w2s_bench]\n{name} = {module}\n"
META = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"


def test_what_a_plugin_sets_while_a_run_is_planned_reaches_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w2s_setter.py").write_text(
        "import os\nfrom w2s_bench import hookimpl\nos.environ['W2S_SET'] = '1'\nos.chdir('/')\n"
        "@hookimpl\ndef w2s_trust_functions():\n    return {}\n"
    )
    info = tmp_path / "w2s_setter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(META.format(name="w2s-setter"))
    (info / "entry_points.txt").write_text(ENTRY.format(name="setter", module="w2s_setter"))
    monkeypatch.syspath_prepend(str(tmp_path))
    before = dict(os.environ), Path.cwd()
    loaded = Registry.load()
    assert "w2s-setter" in {plugin.distribution for plugin in loaded.plugins if plugin.status == "ok"}
    assert (dict(os.environ), Path.cwd()) == before


def test_a_job_as_json_keeps_its_kind() -> None:
    one = stage("write", text="x", **ACME_TRUST)
    again = Job.from_json(json.loads(json.dumps(Job.of(one, "key", {}).to_json())))
    assert host_of(again.stage, frozenset) == Host("trust", "acme")
