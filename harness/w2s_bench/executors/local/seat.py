"""A place where jobs run, one after another, within limits: in a worker process of the kind that each belongs to."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from w2s_bench.executors.jobs import Broke, Job, Made, Refused, Reply, reply_from_json
from w2s_bench.executors.local.hosts import Host, host_of, installed_distributions
from w2s_bench.executors.local.process import EndedError, WorkerProcess
from w2s_bench.executors.local.spare import Spare
from w2s_bench.executors.resources import Limits
from w2s_bench.store import Store

_LOOK = 0.25  # seconds between two looks at what a running stage takes
_MOST_ENGINES = 4  # alive in a place


class Seat:
    """`run` is called from one thread at a time; `kill` from any. No process is started before it is needed.

    One process runs at a time, and engines wait here for the next job of their kind, others in `spare`; one that is gone is
    replaced. `environment` is added to the workers'; `plugins` are the distributions that their registries are restricted to.
    """

    def __init__(
        self,
        store: Store,
        plugins: tuple[str, ...] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        environment: Mapping[str, str] | None = None,
        spare: Spare | None = None,
    ) -> None:
        self.store, self.plugins, self.limits = store, plugins, limits
        self.environment = environment or {}
        self.spare = spare or Spare()
        self._processes: dict[Host, WorkerProcess] = {}  # the one used last comes last
        self._installed: frozenset[str] | None = None
        self._closing = threading.Lock()
        self._killed = False

    def run(self, job: Job) -> Reply:
        """Run a job to its end, however it ends."""
        host = host_of(job.stage, self._distributions)
        reply, doubtful = self._once(job, host)
        if doubtful:
            # What another stage of this plugin left there may be at fault, not this one: a new process tells.
            known = reply.damages
            reply, _ = self._once(job, host)
            reply = replace(reply, damages=(*known, *reply.damages))
        if isinstance(reply, Refused) and host.is_foreign and self.store.works():
            # The plugin's doing (its umask, its limits), which costs its own cells alone.
            reply = Broke(f"could not use the store, though others can: {reply.message}", "", reply.damages)
        return reply

    def close(self) -> None:
        """Let the workers end; they are idle."""
        for process in self._take_all():
            process.end()
        self.spare.end()

    def kill(self) -> None:
        """End the workers now, whatever they do; nothing runs here afterwards."""
        self._killed = True
        for process in self._take_all():
            process.kill()
        self.spare.end()

    def _once(self, job: Job, host: Host) -> tuple[Reply, bool]:
        """How the job ended, and whether it failed where other jobs of a plugin had run before."""
        memory = self.limits.bytes
        process = self._process_of(host)
        if process is None:
            return Broke("the run was stopped"), False
        used = process.jobs > 0 and host != Host()
        process.start(job.to_json(), memory)
        limit, begun = self.limits.seconds_of(job.stage), time.monotonic()
        try:
            while (answer := process.receive(_LOOK)) is None:
                if (reason := self._overrun(process, memory, limit, time.monotonic() - begun)) is not None:
                    return Broke(reason, self._replace(process, host, gone=False)[0]), False
        except EndedError:
            output, code = self._replace(process, host, gone=True)
            return Broke(_cause_of_death(code, output), output), used
        reply = reply_from_json(answer["reply"])
        doubtful = used and not isinstance(reply, Made)
        if isinstance(reply, Broke | Refused) or answer["spent"] or doubtful:
            # What failed may have left anything behind in its process: the next stage gets a new one.
            output, _ = self._replace(process, host, gone=False)
            if isinstance(reply, Broke):
                reply = Broke(reply.reason, output + reply.log, reply.damages)
        elif not host.loads_models and self._is_ours(process, host):
            self.spare.give(host, process)
        return reply, doubtful

    def _process_of(self, host: Host) -> WorkerProcess | None:
        """The process for this kind of job, begun if there is none; None once the seat was killed."""
        with self._closing:
            if self._killed:
                return None
            process = self._processes.pop(host, None) or self.spare.take(host)
            if process is None:
                process = WorkerProcess(self.store.location, self.plugins, self.environment, host)
            self._processes[host] = process
            oldest = next((one for one in self._processes if one not in (host, Host())), None)
            excess = self._processes.pop(oldest) if oldest and len(self._processes) > _MOST_ENGINES else None
        if excess is not None:
            excess.end()
        return process

    def _is_ours(self, process: WorkerProcess, host: Host) -> bool:
        """Whether it is still the seat's, which then has it no more; else it was killed meanwhile, by the end of the run."""
        with self._closing:
            ours = self._processes.get(host) is process
            if ours:
                del self._processes[host]
        return ours

    def _take_all(self) -> list[WorkerProcess]:
        with self._closing:
            taken, self._processes = list(self._processes.values()), {}
        return taken

    def _distributions(self) -> frozenset[str]:
        if self._installed is None:
            self._installed = installed_distributions()
        return self._installed

    def _overrun(self, process: WorkerProcess, memory: int, limit: float | None, seconds: float) -> str | None:
        """What a running stage has taken too much of, if anything."""
        if limit is not None and seconds > limit:
            return f"took longer than {limit:g} seconds, the limit of this stage, and was stopped; give a higher --stage-timeout"
        if process.printed > self.limits.output:
            return f"printed more than {self.limits.output >> 20} MiB, and was stopped; print less"
        if (taken := process.memory()) > memory:
            return (
                f"took {taken / 1e9:.1f} GB of memory with what it started, more than the {memory / 1e9:.1f} GB a stage may "
                "take, and was stopped; give a higher --stage-memory, or fewer --workers where the machine has no more"
            )
        if taken > memory // 2:
            self._make_room(process, memory - taken)
        return None

    def _make_room(self, process: WorkerProcess, room: int) -> None:
        """What waits for a next job does not count against the stage that runs; where memory gets short, it goes."""
        with self._closing:
            idle = {host: one for host, one in self._processes.items() if one is not process}
            if sum(one.memory() for one in idle.values()) + self.spare.memory() <= room:
                return
            for host in idle:
                del self._processes[host]
        for one in idle.values():
            one.end()
        self.spare.clear()

    def _replace(self, process: WorkerProcess, host: Host, *, gone: bool) -> tuple[str, int]:
        """Done with this worker: what it printed, and its exit code. The next job of its kind starts another."""
        if not self._is_ours(process, host):
            return "", -signal.SIGKILL
        output = process.output()
        code = process.end() if gone else process.kill()
        self.store.clean()  # it could not take a half-made result away itself
        return output, code


def _cause_of_death(code: int, output: str) -> str:
    reason = f"worker died (exit code {code})"
    if code == -signal.SIGKILL:
        return f"{reason}, killed from outside, as happens when memory runs out; try fewer --workers"
    if code < 0:
        return f"{reason}, by {signal.Signals(-code).name}"
    last = output.rstrip().rpartition("\n")[2]
    return f"{reason}, its last words: {last[:300]}" if last else reason
