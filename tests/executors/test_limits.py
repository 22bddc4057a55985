"""What a stage may take: time, memory, output, a GPU. Whoever takes more fails alone, and the reason says what it took."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from local_run import Told, failure_of, result_of, run, text_of
from stage_functions import named, stage
from support import toy_registry, toy_suite
from w2s_bench.errors import W2SBenchError
from w2s_bench.executors import Started
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.executors.ray.executor import _most_gpus
from w2s_bench.executors.resources import Limits, kept_bytes, machine_memory, needs_gpu, visible_gpus
from w2s_bench.executors.timings import Timings, amount_of, timed_as
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.store.stage import ALL_GPUS, Code, Stage

MEGABYTE = 1 << 20


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("own", [True, False], ids=["the stage's own limit", "the run's limit"])
def test_a_stage_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path, own: bool) -> None:
    pids = tmp_path / "pids"
    hanging = stage("hang", pids=str(pids))
    if own:
        hanging = Stage(**{**vars(hanging), "seconds": 3.0})
    sound = stage("write", text="sound")
    limits = Limits() if own else Limits(seconds=3.0)
    outcomes = LocalExecutor(1, limits=limits).run([hanging, sound], Store(tmp_path / "store"), lambda event: None)
    failed = failure_of(outcomes, hanging)
    assert (
        failed.reason
        == "took longer than 3 seconds, the limit of this stage, and was stopped; give a higher --stage-timeout"
    )
    assert failed.log is not None and "before the long night" in failed.log.read_text()
    assert text_of(outcomes, sound) == "sound"
    deadline = time.monotonic() + 5
    while any(alive(int(pid)) for pid in pids.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    assert not list((tmp_path / "store" / ".partial").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "expected"),
    [("itself", "MemoryError"), ("children", "of memory with what it started, more than the 1.0 GB a stage may take")],
)
def test_a_stage_that_eats_memory_fails_alone(tmp_path: Path, where: str, expected: str) -> None:
    greedy, sound = stage("eat_memory", where=where), stage("write", text="sound")
    executor = LocalExecutor(1, limits=Limits(memory=1_000_000_000))
    outcomes = executor.run([greedy, sound], Store(tmp_path), lambda event: None)
    assert expected in failure_of(outcomes, greedy).reason
    assert text_of(outcomes, sound) == "sound"


def test_a_stage_that_prints_without_end_is_stopped(tmp_path: Path) -> None:
    talkative, sound = stage("print_much"), stage("write", text="sound")
    executor = LocalExecutor(1, limits=Limits(output=8 * MEGABYTE))
    outcomes = executor.run([talkative, sound], Store(tmp_path), lambda event: None)
    failed = failure_of(outcomes, talkative)
    assert failed.reason == "printed more than 8 MiB, and was stopped; print less"
    assert failed.log is not None and failed.log.stat().st_size < 2 * MEGABYTE, "a log keeps the end of it"
    assert text_of(outcomes, sound) == "sound"


@pytest.mark.parametrize("limits", [{"seconds": 0.0}, {"memory": -1}, {"output": 0}])
def test_limits_are_positive(limits: dict[str, int]) -> None:
    with pytest.raises(W2SBenchError, match="must be positive, got"):
        Limits(**limits)


def test_the_memory_limit_leaves_some_to_the_machine() -> None:
    assert 0 < Limits().bytes < machine_memory() <= psutil.virtual_memory().total


def test_after_a_failure_the_next_stage_has_a_new_process(tmp_path: Path) -> None:
    """What failed may have left anything behind in its process."""
    before, after = stage("environment", variable="HOME"), stage("draw", torch=False, number=1)
    alone, _ = run([after], tmp_path / "alone")
    mixed, told = run([stage("fail"), before, after], tmp_path / "mixed")
    assert len(told.of(Started)) == 3
    assert text_of(mixed, after) == text_of(alone, after)


def test_an_input_lost_during_the_run_is_made_again(tmp_path: Path) -> None:
    """As when somebody cleans the store that a run is using."""
    top = stage("write", text="top")
    root = tmp_path / "store"
    outcomes, _ = run([top], root)
    thief = stage("lose", folder=str(result_of(outcomes, top).path), flag=str(tmp_path / "flag"))
    end = stage("write", {"a": top, "b": thief}, text="end")
    outcomes, told = run([end], root)
    assert text_of(outcomes, end) == "topdoneend"
    assert [event.stage.label for event in told.of(Started)] == ["lose", "write end", "write top", "write end"]


def test_each_gpu_goes_to_one_worker_and_to_stages_that_ask_for_it(tmp_path: Path) -> None:
    on_gpu = [
        stage("environment", variable="CUDA_VISIBLE_DEVICES", number=n, sleep=0.3, device="cuda") for n in range(4)
    ]
    told = Told()
    executor = LocalExecutor(3, gpus=("5", "GPU-abc"))
    outcomes = executor.run(on_gpu, Store(tmp_path), told.append)
    assert {text_of(outcomes, one) for one in on_gpu} == {"5", "GPU-abc"}
    assert {event.worker for event in told.of(Started)} == {0, 1}, "the third worker has no GPU"


def test_a_spread_model_has_all_gpus_and_no_other_stage_has_one_meanwhile(tmp_path: Path) -> None:
    devices = ["cuda", ALL_GPUS, "cuda"]
    on_gpu = [
        stage("environment", variable="CUDA_VISIBLE_DEVICES", number=n, device=device)
        for n, device in enumerate(devices)
    ]
    told = Told()
    outcomes = LocalExecutor(3, gpus=("5", "GPU-abc")).run(on_gpu, Store(tmp_path), told.append)
    assert {text_of(outcomes, one) for one in on_gpu} == {"5,GPU-abc"}
    assert {event.worker for event in told.of(Started)} == {0}


def test_without_a_gpu_a_stage_that_wants_one_runs_and_says_itself_what_is_missing(tmp_path: Path) -> None:
    wanting = stage("environment", variable="CUDA_VISIBLE_DEVICES", device="cuda")
    outcomes = LocalExecutor(1, gpus=()).run([wanting], Store(tmp_path), lambda event: None)
    assert result_of(outcomes, wanting)


def test_which_stages_take_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = {
        device: needs_gpu(stage("train", device=device)) for device in ("cpu", "cuda", "cuda:1", "mps", ALL_GPUS)
    }
    assert devices == {"cpu": False, "cuda": True, "cuda:1": False, "mps": False, ALL_GPUS: True}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7")
    assert visible_gpus() == ("2", "GPU-7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus() == ()


def test_timings_are_learned_by_kind_and_a_broken_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / ".timings.json"
    student, teacher = (named("train", timed_as=size) for size in ("large", "small"))
    timings = Timings(path)
    guess = timings.of(student)
    assert timings.known(student) is None
    timings.learn(student, 10.0)
    timings.learn(student, 20.0)
    timings.save()
    again = Timings(path)
    assert (again.of(student), again.of(teacher)) == (15.0, guess)
    assert (again.known(student), again.known(teacher)) == (15.0, None)
    assert timed_as(named("score", code=Code("trust", "acme/x"))) == "score acme/x"
    odd = ["{ not json", "[]", "3", '{"k": 1.0}', '{"k": [1, 0]}', '{"k": [NaN, 1]}', '{"k": [1' + "0" * 400 + ", 1]}"]
    for text in [*odd, "[" * 100_000, "\udcff"]:
        path.write_bytes(text.encode(errors="surrogatepass"))
        assert Timings(path).measured == {}


@pytest.mark.parametrize("odd", ["folder", "pipe", "link"])
def test_timings_that_can_be_neither_read_nor_written_end_no_run(tmp_path: Path, odd: str) -> None:
    place = tmp_path / ".timings.json"
    if odd == "folder":
        (place / "inside").mkdir(parents=True)
    elif odd == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/nowhere/at-all")
    told = stage("write", text="a")
    outcomes, _ = run([told], tmp_path)
    assert text_of(outcomes, told) == "a"


def splits(domain: str, **sizes: int) -> Stage:
    return named("splits", {"sizes": sizes}, domain=domain)


def test_more_work_of_a_kind_takes_longer_and_another_model_size_or_domain_is_another_kind(tmp_path: Path) -> None:
    def train(model: str, steps: int, domain: str = "a/x") -> Stage:
        rows = named("gold_rows", inputs={"subset": subset(domain, 10)})
        return named("train", inputs={"rows": rows}, timed_as=model, amount=4 * steps)

    def subset(domain: str, rows: int) -> Stage:
        return named("subset", {"split": "test"}, inputs={"splits": splits(domain, test=rows)}, amount=rows)

    def predict(rows: int) -> Stage:
        return named("predict", inputs={"subset": subset("a/x", rows)}, timed_as="m")

    timings = Timings(tmp_path / "none")
    timings.learn(train("small", 100), 5.0)
    timings.learn(predict(1000), 2.0)
    assert timings.known(train("small", 300)) == 15.0
    assert timings.known(predict(4000)) == 8.0
    assert timings.known(train("large", 100)) is None
    assert timings.known(train("small", 100, domain="a/y")) is None, "its items may be ten times as long"


def test_a_suites_stages_are_timed_by_model_domain_and_trust_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(toy_suite(tmp_path / "models"), toy_registry(monkeypatch), trust=["probe"])
    stages = planned.stages()
    of = {
        label: [timed_as(one) for one in stages if one.label.endswith(label)]
        for label in ("student of naive", "scores of probe")
    }
    assert len(set(of["student of naive"])) == 2, "one a domain, whatever the seed"
    assert set(of["scores of probe"]) == {f"score w2s-bench/probe on w2s-bench-toy/{d}" for d in ("largest", "sums")}
    scores, naive = (
        next(one for one in stages if one.label.endswith(label)) for label in ("scores of probe", "student of naive")
    )
    assert amount_of(scores) == 100 + 24, "pool and trust set"
    assert amount_of(naive) == 6 * 8, "steps times examples"
    timings = Timings(tmp_path / "none")
    heavy = {one.name for one in stages if timings.known(one) is None}
    assert {"train", "predict", "read", "score", "items", "answers"} <= heavy
    assert not heavy & {"subset", "gold", "weak_rows", "gold_rows", "top", "random", "oracle"}


def test_a_run_leaves_timings_that_order_the_next_one(tmp_path: Path) -> None:
    slow, quick = stage("write", name="slow", text="a", sleep=0.4), stage("write", name="quick", text="b")
    run([quick, slow], tmp_path)
    _, told = run([stage("write", name=n, text="new", sleep=0) for n in ("quick", "slow")], tmp_path)
    assert [event.stage.name for event in told.of(Started)] == ["slow", "quick"]


def test_the_node_of_a_ray_cluster_with_most_gpus_is_that_of_a_spread_model() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}},
        {"Alive": False, "Resources": {"GPU": 8.0}},
    ]
    assert _most_gpus(nodes) == 2
    assert _most_gpus(nodes[:1]) == _most_gpus([]) == 0


def test_what_workers_keep_between_stages_hangs_on_what_a_stage_may_take_and_on_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Memory:
        total, available = 64_000, 8_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    assert [kept_bytes(memory) for memory in (16_000, 1 << 40)] == [1_000, 2_000]
