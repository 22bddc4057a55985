"""Stages as tasks of a Ray cluster, each asking for one processor, and for a GPU where its model runs on one.

The driver stays where the command was given; nodes read and write the same store, by a shared disk or by a URL.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors.driver import Places, drive
from w2s_bench.executors.events import Event
from w2s_bench.executors.jobs import Job
from w2s_bench.executors.outcomes import Answer, Outcome, Unusable
from w2s_bench.executors.ray.node import Setting, run_job
from w2s_bench.executors.resources import Limits, needs_all_gpus, needs_gpu
from w2s_bench.executors.schedule import Work
from w2s_bench.executors.until import Until
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage

_RETRIES = 3  # of a stage whose node was lost; the stage is not at fault
_TOKENS = ".ray"  # folder of the store with one file a driver, by which nodes see that its store is theirs


@dataclass(frozen=True)
class RayExecutor:
    """Runs stages on the Ray cluster at `address`: `HOST:PORT`, "auto" (one that runs here, or $RAY_ADDRESS) or "local".

    At most `workers` stages are on their way at once (None: one a processor that the cluster has now; more lets an
    autoscaler add nodes). `plugins`, `limits` and `until` as for `LocalExecutor`; the memory limit is of each node's own memory.
    """

    address: str = "auto"
    workers: int | None = None
    plugins: tuple[str, ...] | None = None
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    until: Until | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise W2SBenchError(f"{self.workers} workers cannot run anything; give 1 or more")

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        return drive(_Tasks(self, store), targets, store, events, self.until)


class _Tasks(Places):
    """Tasks on their way. Nothing is asked of Ray before the first one starts, but how large the cluster is."""

    def __init__(self, executor: RayExecutor, store: Store) -> None:
        self.executor, self.store = executor, store
        self.ray = _connected(executor.address)
        try:
            total = self.ray.cluster_resources()
            self.count = executor.workers or max(1, int(total.get("CPU", 1)))
            self.gpus = int(total.get("GPU", 0))
            self.gpus_of_a_node = _most_gpus(self.ray.nodes())
            if total.get("CPU", 0) < 1:
                self.missing = (
                    "the Ray cluster has no processor; stages run as soon as a node joins that has one"
                    f" (`ray start --address {self.ray.get_runtime_context().gcs_address}`)"
                )
            self.setting = Setting(
                store.location, None if executor.plugins is None else list(executor.plugins), asdict(executor.limits)
            )
            if "://" not in store.location:
                self.setting.token = str(Path(_TOKENS) / uuid.uuid4().hex)
                _touch(store.root / self.setting.token)
        except BaseException:
            self.ray.shutdown()
            raise
        self._task = self.ray.remote(run_job)
        self._running: dict[int, tuple[Any, int]] = {}  # place → (reference, how many GPUs it takes)
        self._changing = threading.Lock()

    def free(self, gpu: bool) -> bool:
        with self._changing:
            if gpu and self.gpus:
                return sum(takes for _, takes in self._running.values()) < self.gpus
            return len(self._running) < self.count

    def start(self, work: Work, answer: Callable[[Answer], None]) -> int:
        # Where the cluster has no GPU, a stage that wants one goes to any node and says itself what is missing.
        job, gpus = work.job, int(needs_gpu(work.stage) and self.gpus > 0)
        if gpus and needs_all_gpus(work.stage):
            gpus = max(1, self.gpus_of_a_node)
        asked = {"num_cpus": 1, "num_gpus": gpus, "max_retries": _RETRIES, "name": work.stage.label}
        order = json.dumps({"setting": asdict(self.setting), "job": job.to_json()})
        with self._changing:
            place = next(n for n in range(len(self._running) + 1) if n not in self._running)
            reference = self._task.options(**asked).remote(order)
            self._running[place] = (reference, gpus)

        def arrived(future: Future[str]) -> None:
            said = self._answer(job, future)
            with self._changing:
                self._running.pop(place, None)
            answer(said)

        reference.future().add_done_callback(arrived)
        return place

    def _answer(self, job: Job, future: Future[str]) -> Answer:
        """What a task answered, or what became of it."""
        from ray import exceptions

        try:
            return Answer.from_json(json.loads(future.result()))
        except exceptions.TaskCancelledError:
            return job.failed("the run was stopped")
        except exceptions.RayTaskError as error:  # the harness failed on the node, not the stage
            return Answer(Unusable(f"the harness failed on a node of the Ray cluster: {error}"))
        except exceptions.RayError as error:
            said = " ".join(str(error).split())[:500]
            return job.failed(f"the Ray worker or node that it ran on was lost {_RETRIES + 1} times; Ray says: {said}")

    def close(self, *, now: bool) -> None:
        with self._changing:
            references = [reference for reference, _ in self._running.values()]
        if now:
            for reference in references:
                self.ray.cancel(reference, force=True)
        if self.setting.token:
            (self.store.root / self.setting.token).unlink(missing_ok=True)
        self.ray.shutdown()


def _most_gpus(nodes: Sequence[Mapping[str, Any]]) -> int:
    """GPUs of the node that has most."""
    return max((int(node["Resources"].get("GPU", 0)) for node in nodes if node["Alive"]), default=0)


def _connected(address: str) -> Any:
    """The module `ray`, connected to the cluster at `address`."""
    try:
        import ray
    except ImportError as error:
        raise W2SBenchError("--executor ray needs Ray; pip install 'w2s-bench[ray]'") from error
    import logging

    main = threading.current_thread() is threading.main_thread()
    terminated = signal.getsignal(signal.SIGTERM)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        quiet["include_dashboard"] = False
    variable = os.environ.get("RAY_ADDRESS") if address == "auto" else None  # as Ray reads it
    try:
        _look_for(variable or address)
        ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        tried = f"{address}, $RAY_ADDRESS {variable}" if variable else address
        raise W2SBenchError(
            f"no Ray cluster answers at --address {tried} ({said}); start one with `ray start --head` and join nodes with"
            " `ray start --address HOST:PORT`, or give --address local for one on this machine"
        ) from error
    if main:
        signal.signal(signal.SIGTERM, terminated)  # Ray would exit at once; a run ends its tasks first
    return ray


def _look_for(address: str) -> None:
    """Where nobody listens, Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _touch(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise StoreError(f"the store cannot use {path}: {error.strerror or error}; give another --store") from error
