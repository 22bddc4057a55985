"""The Ray executor on a real cluster of two nodes on this machine; one of them is killed while stages run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stage_functions import stage
from support import TESTS, TOY, bodies, small_suite_file, toy_environment
from w2s_bench import __version__
from w2s_bench.errors import W2SBenchError
from w2s_bench.executors import Done, Ended, Event, Failed, Started, Waiting
from w2s_bench.executors.jobs import Job
from w2s_bench.executors.outcomes import Answer, Unusable
from w2s_bench.executors.ray.executor import RayExecutor
from w2s_bench.executors.ray.node import run_job
from w2s_bench.store import Store, key_of
from w2s_bench.store.stage import Stage


def answer_to(store: Path, function: str, params: dict[str, int] | None = None, **setting: Any) -> Answer:
    one = stage(function, text="a", **(params or {}))
    job = Job.of(one, key_of(one, {}), {})
    whole = {"location": str(store), "plugins": [], "limits": {"seconds": 5.0}, **setting}
    return Answer.from_json(json.loads(run_job(json.dumps({"setting": whole, "job": job.to_json()}))))


def test_a_node_answers_as_a_local_worker_does(tmp_path: Path) -> None:
    made = answer_to(tmp_path, "write").outcome
    assert isinstance(made, Done) and made.new and (made.result.path / "text").read_text() == "a"
    again = answer_to(tmp_path, "write").outcome
    assert again == made and isinstance(again, Done) and not again.new
    broken = answer_to(tmp_path, "die", params={"code": 3}).outcome
    assert isinstance(broken, Failed) and "worker died" in broken.reason


def test_a_node_without_the_store_or_with_another_version_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    refused = answer_to(tmp_path, "write", token=".ray/never-written").outcome
    assert isinstance(refused, Unusable) and f"does not see the store {tmp_path}" in refused.fault
    refused = answer_to(tmp_path, "write", version="0.0.1").outcome
    assert isinstance(refused, Unusable)
    assert f"has w2s-bench {__version__}, the driver 0.0.1; install the same version" in refused.fault


def test_a_number_of_workers_below_one_is_refused() -> None:
    with pytest.raises(W2SBenchError, match="0 workers cannot run anything"):
        RayExecutor("local", workers=0)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(W2SBenchError, match=r"pip install 'w2s-bench\[ray\]'"):
        RayExecutor("local").run([stage("write", text="a")], Store(tmp_path), lambda event: None)


@pytest.mark.slow
@pytest.mark.parametrize(("address", "variable"), [("127.0.0.1:1", ""), ("auto", "127.0.0.1:1"), ("auto", "")])
def test_where_no_cluster_is_the_next_step_is_said(
    tmp_path: Path, address: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import services

    # "auto" would find another's cluster on this machine.
    monkeypatch.setattr(services, "find_gcs_addresses", cache(set))
    monkeypatch.setenv("RAY_ADDRESS", variable)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where Ray writes down the cluster that it started last
    named = rf"{address}, \$RAY_ADDRESS {variable}" if variable else address
    with pytest.raises(W2SBenchError, match=rf"no Ray cluster answers at --address {named} \(.*ray start --head"):
        RayExecutor(address).run([stage("write", text="a")], Store(tmp_path), lambda event: None)


def w2s(suite: Path, folder: Path, address: str, store: str = "", **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(folder), "--quiet"]
    command += ["--store", store or str(folder / "store")]
    if address == "here":
        command += ["--workers", "2"]
    else:
        command += ["--executor", "ray", "--address", address, "--workers", "2"]
    return subprocess.Popen(command, env=toy_environment(**environment), stderr=-1, text=True)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_suite_file(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def here(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The cells of one machine."""
    folder = tmp_path_factory.mktemp("here")
    process = w2s(suite, folder, "here")
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return bodies(folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs no stage, so that every stage runs on a node that can be lost."""
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    # Nodes have the toy plugin installed, and the stages of these tests.
    os.environ["PYTHONPATH"] = os.pathsep.join([toy_environment()["PYTHONPATH"], str(TESTS)])
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 << 20})
    yield made
    made.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def processors(cluster: Any) -> int:
    """How many the cluster says it has."""
    import ray

    ray.init(cluster.address, log_to_driver=False)
    try:
        return int(ray.cluster_resources().get("CPU", 0))
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_two_nodes_one_killed_on_the_way_give_the_cells_of_one_machine(
    suite: Path, here: dict[str, Any], cluster: Any, tmp_path: Path
) -> None:
    assert TOY.is_dir()
    kept = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    lost = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    there = w2s(suite, tmp_path / "there", cluster.address)
    trained = tmp_path / "there" / "store" / "train"
    wait_until(lambda: len(list(trained.glob("*"))) >= 2, 600)  # in the middle of it
    cluster.remove_node(lost, allow_graceful=False)
    _, told = there.communicate(timeout=300)
    assert there.returncode == 0, told
    assert bodies(tmp_path / "there") == here
    assert not list((tmp_path / "there" / "store" / ".ray").iterdir())
    cluster.remove_node(kept)


@pytest.mark.slow
def test_a_cluster_without_a_processor_is_waited_for_and_that_is_said(cluster: Any, tmp_path: Path) -> None:
    told: list[str] = []
    nodes: list[Any] = []
    wait_until(lambda: not processors(cluster), 300)  # a node that was taken away is counted for a while

    def joins(event: Event) -> None:
        if isinstance(event, Waiting):
            told.append(event.reason)
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=80 << 20))

    one = stage("write", text="a")
    outcomes = RayExecutor(cluster.address, plugins=()).run([one], Store(tmp_path), joins)
    assert isinstance(outcomes[one.node], Done)
    assert told == [
        "the Ray cluster has no processor; stages run as soon as a node joins that has one"
        f" (`ray start --address {cluster.address}`)"
    ]
    for node in nodes:
        cluster.remove_node(node)


@pytest.mark.slow
def test_a_stage_whose_model_runs_on_cuda_has_a_gpu_for_itself(cluster: Any, tmp_path: Path) -> None:
    """Ray is told that a node has two; it hands them out, and no stage here touches one."""
    node = cluster.add_node(num_cpus=4, num_gpus=2, object_store_memory=80 << 20)
    asks: dict[str, Any] = {"variable": "CUDA_VISIBLE_DEVICES", "sleep": 0.5}
    on_gpu = [stage("environment", number=4 + n, device="cuda", **asks) for n in range(4)]
    on_cpu = [stage("environment", number=n, **asks) for n in range(4)]
    running: list[Stage] = []
    most = 0

    def watch(event: Event) -> None:
        nonlocal most
        if isinstance(event, Started) and event.stage in on_gpu:
            running.append(event.stage)
        elif isinstance(event, Ended) and event.stage in on_gpu:
            running.remove(event.stage)
        most = max(most, len(running))

    outcomes = RayExecutor(cluster.address, plugins=()).run([*on_cpu, *on_gpu], Store(tmp_path), watch)

    def seen(stages: list[Stage]) -> set[str]:
        return {(outcomes[one.node].result.path / "text").read_text() for one in stages}  # type: ignore[union-attr]

    assert seen(on_gpu) == {"0", "1"}
    assert seen(on_cpu) == {"not set"}
    assert most == 2, "as many at once as there are GPUs, though there are more processors"
    cluster.remove_node(node)


@pytest.mark.slow
def test_nodes_that_share_no_disk_share_a_bucket(
    suite: Path, here: dict[str, Any], cluster: Any, s3: str, tmp_path: Path
) -> None:
    """Each node and the driver have caches of their own; whatever one made reaches the others through the bucket."""
    access = {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    caches = [str(tmp_path / f"cache-{number}") for number in range(3)]
    nodes = [
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20, env_vars={**access, "W2S_BENCH_CACHE": cache})
        for cache in caches[:2]
    ]
    store = f"s3://bench/{tmp_path.name}"
    there = w2s(suite, tmp_path / "there", cluster.address, store, **access, W2S_BENCH_CACHE=caches[2])
    _, told = there.communicate(timeout=400)
    assert there.returncode == 0, told
    assert all(list(Path(cache).glob("*/train/*")) for cache in caches[:2]), "both nodes trained or read students"
    assert bodies(tmp_path / "there") == here
    for node in nodes:
        cluster.remove_node(node)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_tasks_and_driver(
    suite: Path, cluster: Any, tmp_path: Path, number: signal.Signals
) -> None:
    node = cluster.add_node(num_cpus=2, object_store_memory=80 << 20)
    process = w2s(suite, tmp_path, cluster.address)
    wait_until(lambda: len(list((tmp_path / "store" / "train").glob("*"))) >= 1, 600)
    process.send_signal(number)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 130, told
    assert "run the same command again" in told
    cluster.remove_node(node)


def wait_until(true: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
