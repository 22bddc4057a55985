"""Stages as jobs of Slurm: what sbatch is told, what a job does on its node, and what becomes of jobs that vanish."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_slurm import FIRST, FakeSlurm, dependencies
from stage_functions import named, stage
from support import ended
from w2s_bench.errors import StoreError, UnknownNameError, W2SBenchError
from w2s_bench.executors import Done, Event, Failed, Outcome
from w2s_bench.executors.jobs import Job
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.executors.local.seat import Seat
from w2s_bench.executors.local.worker import Worker
from w2s_bench.executors.outcomes import Answer
from w2s_bench.executors.resources import Limits
from w2s_bench.executors.slurm import clusters
from w2s_bench.executors.slurm import executor as slurm
from w2s_bench.executors.slurm import job as node_job
from w2s_bench.executors.slurm.clusters import Cluster
from w2s_bench.executors.slurm.executor import Collect, RecordedExecutor, SlurmSettings, Submitted, submit
from w2s_bench.executors.slurm.job import memory_of_job, run_collect, run_stage
from w2s_bench.executors.slurm.options import minutes_of
from w2s_bench.executors.slurm.submission import Submission
from w2s_bench.store import Store
from w2s_bench.store.stage import Code, Stage, walk

QUICK = SlurmSettings(patience=0.3)
COLLECT = Collect("test_slurm:note", {"said": "well"})


def note(folder: Path, request: Any) -> int:
    """What the last job does in these tests."""
    (folder / "note").write_text(request["said"])
    if request["said"] == "ill":
        raise W2SBenchError("nothing can be made of this")
    return int(request.get("code", 0))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path / "slurm", monkeypatch)


def graph() -> dict[str, Stage]:
    top, broken = stage("write", text="top"), stage("fail")
    left, right = stage("write", {"a": top}, text="left"), stage("write", {"a": top}, text="right")
    end = stage("write", {"a": left, "b": right}, text="end")
    below = stage("write", {"a": broken, "b": top}, text="below")
    return {"top": top, "left": left, "right": right, "end": end, "broken": broken, "below": below}


def handed_in(targets: Sequence[Stage], tmp_path: Path, **changes: Any) -> Submitted:
    arguments: dict[str, Any] = {"settings": QUICK, **changes}
    return submit(targets, Store(tmp_path / "store"), tmp_path / "out" / ".slurm", COLLECT, **arguments)


def recorded(submitted: Submitted, targets: Sequence[Stage], tmp_path: Path) -> tuple[dict[str, Outcome], list[Event]]:
    told: list[Event] = []
    outcomes = RecordedExecutor(submitted.folder).run(targets, Store(tmp_path / "store"), told.append)
    return dict(outcomes), told


def failure_of(outcomes: dict[str, Outcome], one: Stage) -> Failed:
    outcome = outcomes[one.node]
    assert isinstance(outcome, Failed), outcome
    return outcome


def texts(outcomes: dict[str, Outcome]) -> dict[str, str]:
    done = {node: one.result.path for node, one in outcomes.items() if isinstance(one, Done)}
    return {node: (path / "text").read_text() for node, path in done.items()}


def alike(outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """Outcomes without what no two runs have in common: times, and the folder of the store."""
    return {
        node: (one.result.key, one.result.content) if isinstance(one, Done) else (one.stage, one.reason, one.cause_node)
        for node, one in outcomes.items()
    }


@pytest.mark.slow
def test_scripts_of_slurm_are_run_to_what_the_local_executor_gives(fake: FakeSlurm, tmp_path: Path) -> None:
    stages = graph()
    del stages["right"], stages["end"]
    targets = [stages["left"], stages["below"]]
    submitted = handed_in(targets, tmp_path)
    assert submitted.end is None
    fake.run()
    states = {job["options"]["job-name"]: job["state"] for job in fake.jobs().values()}
    assert set(states.values()) == {"COMPLETED"}  # a stage that failed has been dealt with
    assert submitted.end == (0, "")
    assert (submitted.folder / "note").read_text() == "well"
    outcomes, told = recorded(submitted, targets, tmp_path)
    local = LocalExecutor(1).run(targets, Store(tmp_path / "local"), lambda event: None)
    assert alike(outcomes) == alike(dict(local))
    assert failure_of(outcomes, stages["below"]).cause_node == stages["broken"].node
    log = failure_of(outcomes, stages["below"]).log
    assert log is not None
    assert "on standard output\nfrom a child" in log.read_text()
    assert sorted(one.label for one in ended(told, "new")) == ["write left", "write top"]
    assert [one.label for one in ended(told, "failed")] == ["fail", "write below"]


def test_every_job_waits_for_those_of_its_inputs_and_the_last_for_all(fake: FakeSlurm, tmp_path: Path) -> None:
    stages, told = graph(), []
    submitted = handed_in([stages["end"]], tmp_path, progress=lambda done, total: told.append((done, total)))
    jobs, of = fake.jobs(), submitted.jobs
    assert list(of) == [stages[name].node for name in ("top", "left", "right", "end")]
    assert list(of.values()) == list(jobs)[:-1]
    assert dependencies(jobs[of[stages["top"].node]]) == []
    assert dependencies(jobs[of[stages["left"].node]]) == [of[stages["top"].node]]
    assert dependencies(jobs[of[stages["end"].node]]) == [of[stages["left"].node], of[stages["right"].node]]
    assert submitted.last is not None
    assert dependencies(jobs[submitted.last]) == list(of.values())
    assert told == [(number, 5) for number in range(1, 6)]


def test_what_a_script_asks_for(fake: FakeSlurm, tmp_path: Path) -> None:
    asked = SlurmSettings.parse(
        ["partition=debug", "mem=4G", "time=1:30:00", "requeue=true", "nice=10", "setup=module load cuda/12"],
        ["gres=gpu:a100:1", "time=2-0"],
    )
    here, there = stage("write", text="here"), stage("write", text="there", device="cuda")
    handed_in([here, there], tmp_path, settings=asked)
    cpu, gpu, last = fake.jobs().values()
    common = {"partition": "debug", "mem": "4G", "requeue": "", "nice": "10", "cpus-per-task": "1", "nodes": "1"}
    assert common.items() <= cpu["options"].items()
    assert (cpu["options"]["time"], cpu["options"]["job-name"]) == ("90", "w2s-write-here")
    assert {**common, "gres": "gpu:a100:1", "time": "2880"}.items() <= gpu["options"].items()
    assert not {"gres", "gpus-per-node", "dependency", "wckey"} & cpu["options"].keys()
    assert "gpus-per-node" not in gpu["options"]
    assert (last["options"]["job-name"], last["options"]["time"]) == ("w2s-collect", "90")
    before, _, after = cpu["script"].partition("module load cuda/12\n")
    assert "srun" not in before
    assert f"{sys.executable} -u -m submitit.core._submit" in after


def test_a_stage_on_a_gpu_gets_one_unless_told_otherwise() -> None:
    assert SlurmSettings().for_submitit(gpu=True)["gpus_per_node"] == "1"
    assert "gpus_per_node" not in SlurmSettings().for_submitit(gpu=False)
    assert "gpus_per_node" not in SlurmSettings({"gpus": "2"}).for_submitit(gpu=True)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("2:30", 3), ("1:30:00", 90), ("1-12", 2160), ("1-0:5", 1445), ("1-00:00:01", 1441), ("0:1", 1)],
)
def test_times_as_slurm_writes_them(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    ("texts", "kind", "expected"),
    [
        (["partion=long"], UnknownNameError, "did you mean partition"),
        (["dependency=afterok:1"], W2SBenchError, "'dependency' is not yours to set here: jobs wait for"),
        (["--job-name=mine"], W2SBenchError, "'job_name' is not yours to set here: every stage is a job of its own"),
        (["nodes=2"], W2SBenchError, "a stage is one task on one node"),
        (["partition"], W2SBenchError, r"'partition' is not KEY=VALUE; write for example partition=long"),
        (["time=soon"], W2SBenchError, r"time='soon' is no time of Slurm's; write minutes, hh:mm:ss"),
        (["time=0"], W2SBenchError, r"time=0 leaves a stage no time before its job ends; give at least 5 minutes"),
        (["account=a\n#SBATCH --uid=0"], W2SBenchError, "has a line break"),
    ],
)
def test_options_that_cannot_be(texts: list[str], kind: type[Exception], expected: str) -> None:
    with pytest.raises(kind, match=expected):
        SlurmSettings.parse(texts)
    with pytest.raises(kind, match=expected):
        SlurmSettings.parse([], texts)


def test_what_is_stored_is_not_submitted_again(fake: FakeSlurm, tmp_path: Path) -> None:
    stages = graph()
    LocalExecutor(1).run([stages["left"]], Store(tmp_path / "store"), lambda event: None)
    submitted = handed_in([stages["end"]], tmp_path)
    assert submitted.stored == 2
    assert list(submitted.jobs) == [stages["right"].node, stages["end"].node]
    jobs = list(fake.jobs().values())
    assert [dependencies(job) for job in jobs] == [[], [str(FIRST)], [str(FIRST), str(FIRST + 1)]]

    LocalExecutor(1).run([stages["end"]], Store(tmp_path / "store"), lambda event: None)
    again = handed_in([stages["end"]], tmp_path)
    assert (again.stored, again.jobs, again.last, again.end) == (4, {}, None, (0, ""))
    assert again.folder.name == "0002"
    assert len(fake.jobs()) == len(jobs)
    outcomes, told = recorded(again, [stages["end"]], tmp_path)
    assert texts(outcomes)[stages["end"].node] == "toplefttoprightend"
    assert len(ended(told, "stored")) == len(told) - 1 == 4


def run_here(submitted: Submitted, lost: Sequence[Stage] = (), *, seat: type | None = None) -> None:
    """The jobs of a submission, one after another in this process; those of `lost` stages leave no word.

    Stages run in this process, too, unless a `seat` is given.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(node_job, "Seat", seat or InlineSeat)
        for node in submitted.jobs:
            if node not in {one.node for one in lost}:
                run_stage(str(submitted.folder), node)
        if submitted.last is not None:
            run_collect(str(submitted.folder))


def test_a_job_that_vanished_fails_what_needs_it_and_nothing_else(fake: FakeSlurm, tmp_path: Path) -> None:
    stages = graph()
    beside = stage("write", text="beside")
    submitted = handed_in([stages["end"], beside], tmp_path)
    run_here(submitted, lost=[stages["left"]])
    outcomes, _ = recorded(submitted, [stages["end"], beside], tmp_path)
    failed, job = failure_of(outcomes, stages["end"]), submitted.jobs[stages["left"].node]
    assert failed == outcomes[stages["left"].node]
    assert failed.stage == "write left"
    assert failed.reason.startswith(
        f"its job {job} left no result (killed or cancelled by Slurm? `sacct -j {job}` tells)"
    )
    assert texts(outcomes) == {
        node.node: text for node, text in ((stages["top"], "top"), (stages["right"], "topright"), (beside, "beside"))
    }
    again = handed_in([stages["end"], beside], tmp_path)
    assert list(again.jobs) == [stages["left"].node, stages["end"].node]


def test_jobs_that_are_all_cancelled_have_the_first_as_their_cause(fake: FakeSlurm, tmp_path: Path) -> None:
    stages = graph()
    submitted = handed_in([stages["end"]], tmp_path)
    outcomes, _ = recorded(submitted, [stages["end"]], tmp_path)
    assert {failure_of(outcomes, one).cause_node for one in walk([stages["end"]])} == {stages["top"].node}


def test_a_stage_that_cannot_run_here_is_not_submitted(fake: FakeSlurm, tmp_path: Path) -> None:
    needy = replace(stage("write", text="x"), libraries=("no-such-library",), label="write needy")
    below, sound = stage("write", {"a": needy}, text="below"), stage("write", text="sound")
    submitted = handed_in([below, sound], tmp_path)
    assert list(submitted.jobs) == [sound.node]
    run_here(submitted)
    outcomes, _ = recorded(submitted, [below, sound], tmp_path)
    assert "which is not installed" in failure_of(outcomes, below).reason
    assert failure_of(outcomes, below).cause_node == needy.node
    assert texts(outcomes) == {sound.node: "sound"}


def test_equal_inputs_make_one_result(fake: FakeSlurm, tmp_path: Path) -> None:
    """Nodes whose inputs come out equal cannot be told apart before they have run; the second job finds the first's."""
    tally = tmp_path / "tally"
    students = [
        stage("write", {"rows": stage("same", kept_by=arm)}, text="student", tally=str(tally)) for arm in ("one", "two")
    ]
    submitted = handed_in(students, tmp_path)
    assert len(submitted.jobs) == 4
    run_here(submitted)
    outcomes, told = recorded(submitted, students, tmp_path)
    assert tally.read_text() == "student\n"
    assert len(texts({one.node: outcomes[one.node] for one in students})) == 2
    assert [one.label for one in ended(told, "stored")] == ["write student"]


def test_a_store_that_cannot_be_used_ends_the_whole(fake: FakeSlurm, tmp_path: Path) -> None:
    full = stage("fill_the_disk")
    below = stage("write", {"a": full}, text="below")
    submitted = handed_in([below], tmp_path)
    run_here(submitted)
    with pytest.raises(StoreError, match=r"No space left on device\. Free space"):
        recorded(submitted, [below], tmp_path)


def test_inputs_that_are_not_there_on_the_node(fake: FakeSlurm, tmp_path: Path) -> None:
    top = stage("write", text="top")
    below = stage("write", {"a": top}, text="below")
    submitted = handed_in([below], tmp_path)
    run_stage(str(submitted.folder), top.node)
    shutil.rmtree(tmp_path / "store" / "write")
    run_stage(str(submitted.folder), below.node)
    outcomes, _ = recorded(submitted, [below], tmp_path)
    assert failure_of(outcomes, below).reason.startswith("its input write top is not in the store as this node has it")


def test_limits_hold_on_the_node(fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = stage("write", text="slow", sleep=60)
    submitted = handed_in([slow], tmp_path, limits=Limits(seconds=0.5))
    run_here(submitted, seat=Seat)
    outcomes, _ = recorded(submitted, [slow], tmp_path)
    assert failure_of(outcomes, slow).reason.startswith("took longer than 0.5 seconds, the limit of this stage")

    monkeypatch.setattr(node_job, "_MARGIN", 299.5)
    submitted = handed_in([slow], tmp_path, settings=SlurmSettings({"time": "5"}))
    run_here(submitted, seat=Seat)
    outcomes, _ = recorded(submitted, [slow], tmp_path)
    reason = "took all the time of its job, 5 minutes, and was stopped; give more with --slurm time=MINUTES"
    assert failure_of(outcomes, slow).reason == reason


def test_a_job_that_slurm_ends_blames_no_stage(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(InlineSeat):
        """Cancelled: the worker gets the signal that this process gets."""

        def run(self, job: Job) -> Answer:
            os.kill(os.getpid(), signal.SIGTERM)
            return job.failed("worker died (exit code -15), by SIGTERM")

    monkeypatch.setattr(node_job, "Seat", Ended)
    monkeypatch.setattr(node_job, "_GRACE", 0.0)
    cancelled = stage("write", text="cancelled")
    submitted = handed_in([cancelled], tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="ended by SIGTERM; nothing is recorded"):
        run_stage(str(submitted.folder), cancelled.node)
    assert signal.getsignal(signal.SIGTERM) is before
    outcomes, _ = recorded(submitted, [cancelled], tmp_path)
    assert "left no result (killed or cancelled by Slurm?" in failure_of(outcomes, cancelled).reason


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"SLURM_MEM_PER_NODE": "1000"}, 900 << 20),
        ({"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_ON_NODE": "4"}, 1800 << 20),
        ({"SLURM_MEM_PER_NODE": "0"}, None),  # all that the node has
    ],
)
def test_memory_is_what_slurm_gave(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: int | None
) -> None:
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert memory_of_job() == expected


def test_variables_travel_but_no_secrets(fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_BENCH_DEVICE", "cpu:0")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    shown = stage("environment", variable="W2S_BENCH_DEVICE")
    submitted = handed_in([shown], tmp_path)
    monkeypatch.setenv("W2S_BENCH_DEVICE", "what the node has")
    run_here(submitted, seat=Seat)
    outcomes, _ = recorded(submitted, [shown], tmp_path)
    assert texts(outcomes)[shown.node] == "cpu:0"
    assert not any(b"hf_secret" in path.read_bytes() for path in submitted.folder.rglob("*") if path.is_file())


def test_no_job_makes_room_in_the_store_of_the_others(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a job made is in use by nobody until the next one begins."""
    monkeypatch.setenv("W2S_BENCH_STORE_LIMIT", "1 kB")
    top = stage("big", number=1, bytes=2000)
    end = stage("write", {"a": stage("write", {}, text="x"), "b": stage("big", number=2, bytes=2000)}, text="end")
    submitted = handed_in([top, end], tmp_path)
    for node in submitted.jobs:
        if node != end.node:
            run_stage(str(submitted.folder), node)
    assert len(list((tmp_path / "store" / "big").iterdir())) == 2


def test_the_last_job_exits_as_a_run_does(fake: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for request, code, message in (
        ({"said": "well", "code": 1}, 1, ""),
        ({"said": "ill"}, 2, "nothing can be made of this"),
    ):
        place = tmp_path / str(code)
        made = submit(
            [stage("write", text="x")], Store(place / "store"), place / "out", Collect("test_slurm:note", request)
        )
        with pytest.raises(SystemExit, match=str(code)):
            run_collect(str(made.folder))
        assert made.end == (code, message)
    assert "error: nothing can be made of this" in capsys.readouterr().err


def test_a_graph_that_has_changed_since_is_not_taken_for_the_one_submitted(fake: FakeSlurm, tmp_path: Path) -> None:
    submitted = handed_in([stage("write", text="x")], tmp_path)
    with pytest.raises(W2SBenchError, match=r"write y is not what was submitted in .*0001: the code, a plugin"):
        recorded(submitted, [stage("write", text="y")], tmp_path)


def test_a_graph_is_read_back_as_it_was(fake: FakeSlurm, tmp_path: Path) -> None:
    stages = [
        *graph().values(),
        named(
            "write",
            {"a": [1, 2.0, None]},
            version=2,
            libraries=("numpy",),
            label="näme",
            seconds=3.5,
            code=Code("trust", "a/b"),
            amount=3,
        ),
    ]
    read = Submission(handed_in(stages, tmp_path).folder).stages
    assert list(read) == [one.node for one in walk(stages)]
    for one in walk(stages):
        again = read[one.node]
        assert {**vars(again), "inputs": None, "node": None} == {**vars(one), "inputs": None, "node": one.node} | {
            "node": None
        }
        assert {name: each.node for name, each in again.inputs.items()} == {
            name: each.node for name, each in one.inputs.items()
        }


def test_without_slurm_it_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(W2SBenchError, match=r"there is no sbatch here, so no job can be handed to Slurm; log in"):
        handed_in([stage("write", text="x")], tmp_path)
    assert not (tmp_path / "out").exists()


def test_without_submitit_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(W2SBenchError, match=r"-m pip install 'w2s-bench\[slurm\]'"):
        handed_in([stage("write", text="x")], tmp_path, cluster="local")


def test_more_jobs_than_may_be_are_refused_before_any(fake: FakeSlurm, tmp_path: Path) -> None:
    with pytest.raises(
        W2SBenchError, match="6 stages are to run, a job each, and one more job makes the results: more"
    ):
        handed_in(list(graph().values()), tmp_path, settings=SlurmSettings(most_jobs=6))
    assert not fake.jobs()
    with pytest.raises(W2SBenchError, match="at most 1 jobs cannot run anything"):
        SlurmSettings(most_jobs=1)


def test_where_the_cluster_takes_no_more_what_was_submitted_is_cancelled(fake: FakeSlurm, tmp_path: Path) -> None:
    (fake.folder / "limit").write_text("3")
    expected = (
        r"sbatch did not take the job of write end; it said: .*AssocMaxSubmitJobLimit.* "
        r"The cluster limits how many jobs .*; the 3 jobs submitted before were cancelled"
    )
    with pytest.raises(W2SBenchError, match=expected):
        handed_in([graph()["end"]], tmp_path)
    assert [job["state"] for job in fake.jobs().values()] == ["CANCELLED"] * 3


def test_what_sbatch_says_is_passed_on(fake: FakeSlurm, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(W2SBenchError, match=r"invalid partition specified: night\. Give other --slurm options$"):
        handed_in([graph()["end"]], tmp_path, settings=SlurmSettings({"partition": "night"}))
    assert capfd.readouterr().err == ""


def test_an_interrupted_submission_cancels_its_jobs(fake: FakeSlurm, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        handed_in([graph()["end"]], tmp_path, progress=interrupt)
    assert [job["state"] for job in fake.jobs().values()] == ["CANCELLED"] * 2


@pytest.mark.slow
def test_on_this_machine_by_submitits_local_executor(tmp_path: Path) -> None:
    stages = graph()
    targets = [stages["left"], stages["below"]]
    environment = dict(os.environ)
    submitted = handed_in(targets, tmp_path, cluster="local")
    assert dict(os.environ) == environment
    assert submitted.end == (0, "")
    outcomes, _ = recorded(submitted, targets, tmp_path)
    assert texts(outcomes)[stages["left"].node] == "topleft"
    assert failure_of(outcomes, stages["below"]).cause_node == stages["broken"].node


class Paper(Cluster):
    """A cluster that only takes note; `waits` says by job which ones it was to wait for."""

    def __init__(self, folder: Path, settings: SlurmSettings) -> None:
        self.waits: dict[str, Sequence[str]] = {}

    def submit(
        self, function: Callable[..., None], arguments: Sequence[str], *, name: str, gpu: bool, after: Sequence[str]
    ) -> str:
        assert set(after) <= self.waits.keys(), "a job waits for one that is not submitted yet"
        number = str(len(self.waits))
        self.waits[number] = after
        return number

    def cancel(self, jobs: Sequence[str]) -> None:
        raise AssertionError("nothing went wrong")


class InlineSeat:
    """Runs a job in this process: the worker without its process."""

    def __init__(self, store: Store, plugins: Any, limits: Limits) -> None:
        self.worker = Worker(store, plugins)

    def run(self, job: Job) -> Answer:
        return self.worker.answer_to(job)

    def close(self) -> None:
        """Nothing to end."""

    kill = close


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_graph_with_any_failures_and_losses(data: st.DataObject, tmp_path_factory: Any) -> None:
    """A stage has a result exactly where nothing that it needs failed or was lost; a cause is one that did."""
    tmp_path = tmp_path_factory.mktemp("any")
    stages: list[Stage] = []
    count = data.draw(st.integers(1, 8))
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=2))
    lost = data.draw(st.sets(st.integers(0, count - 1), max_size=2))
    before = data.draw(st.sets(st.integers(0, count - 1), max_size=3))
    for number in range(count):
        chosen = data.draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        inputs = {f"i{one}": stages[one] for one in sorted(chosen)}
        stages.append(stage("fail" if number in bad else "write", inputs, text=f"[{number}]"))
    sinks = [one for one in stages if not any(one in each.inputs.values() for each in stages)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slurm, "SlurmCluster", Paper)
        patched.setattr(slurm, "refuse_missing_slurm", lambda: None)
        patched.setattr(node_job, "Seat", InlineSeat)
        store = Store(tmp_path / "store")
        first = submit([stages[one] for one in sorted(before)], store, tmp_path / "out", COLLECT, plugins=())
        run_here(first)
        stored = {node for node in Submission(first.folder).stages if not _failed(first, node)} if before else set()
        submitted = submit(sinks, store, tmp_path / "out", COLLECT, settings=SlurmSettings(patience=0), plugins=())
        assert submitted.jobs.keys() == {one.node for one in stages} - stored
        run_here(submitted, [stages[one] for one in lost])
        outcomes = RecordedExecutor(submitted.folder).run(sinks, store, lambda event: None)
    assert outcomes.keys() == {one.node for one in stages}
    own = {stages[one].node for one in bad} | {stages[one].node for one in lost if stages[one].node in submitted.jobs}
    for one in stages:
        causes = own & {each.node for each in walk([one])}
        outcome = outcomes[one.node]
        assert isinstance(outcome, Failed) == bool(causes)
        if isinstance(outcome, Failed):
            assert outcome.cause_node in causes


def _failed(submitted: Submitted, node: str) -> bool:
    record = Submission(submitted.folder).recorded(node)
    return record is None or not isinstance(record.outcome, Done)


def test_names_that_squeue_shows() -> None:
    assert clusters.job_name("train tiny/x: arm 'a b', seed 0") == "w2s-train-tiny-x-arm-a-b-seed-0"
    assert len(clusters.job_name("x" * 500)) < 80


def test_setup_is_plain_json(fake: FakeSlurm, tmp_path: Path) -> None:
    submitted = handed_in([stage("write", text="x")], tmp_path, plugins=("one",), limits=Limits(5.0, 1 << 30))
    setup = Submission(submitted.folder).setup
    assert (setup.plugins, setup.limits, setup.minutes, setup.collect) == (
        ("one",),
        Limits(5.0, 1 << 30),
        (60, 60),
        COLLECT,
    )
    assert setup.store == str(tmp_path / "store")
    assert json.loads((submitted.folder / "setup.json").read_text())["layout"] == 2


def test_a_submission_of_another_version_is_refused_in_a_sentence(
    fake: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = stage("write", text="x")
    submitted = handed_in([top], tmp_path)
    path = submitted.folder / "setup.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "layout": 1, "limits": "of old"}))
    expected = r"0001 was submitted by another version of w2s-bench \(.*\); give the same `w2s-bench run` again: what"
    with pytest.raises(W2SBenchError, match=expected):
        recorded(submitted, [top], tmp_path)
    with pytest.raises(SystemExit, match=expected):
        run_stage(str(submitted.folder), top.node)
    with pytest.raises(SystemExit, match="2"):
        run_collect(str(submitted.folder))
    assert "error: " in capsys.readouterr().err
    assert submitted.end is not None and "another version" in submitted.end[1]
