"""A place where jobs run, one after another, within limits: in worker processes, each of the host that its job belongs to."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from w2s_bench.executors.jobs import Job
from w2s_bench.executors.local.hosts import Host, host_of, installed_distributions
from w2s_bench.executors.local.process import EndedError, WorkerProcess
from w2s_bench.executors.local.spare import Spare
from w2s_bench.executors.outcomes import Answer, Done, Failed, Unusable
from w2s_bench.executors.resources import Limits, kept_at_most
from w2s_bench.store import Store

_LOOK = 0.25  # seconds between two looks at what a running stage takes
_MOST_ENGINES = 4  # engine processes alive at once


class Seat:
    """`run` is called from one thread at a time; `kill` from any. No process is started before it is needed.

    One process runs at a time. Engines wait here for the next job of their host, other processes in `spare`. The next job
    starts another process where one is gone. `environment` is added to the workers'; `plugins` are the distributions that
    their registries are restricted to.
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

    def run(self, job: Job) -> Answer:
        """Run a job to its end, however it ends."""
        host = host_of(job.stage, self._distributions)
        answer, doubtful = self._once(job, host)
        damages = answer.damages
        if doubtful:
            # Another stage of this plugin may have spoiled the process. A new process tells which is at fault.
            answer, _ = self._once(job, host)
            damages += answer.damages
        if isinstance(answer.outcome, Unusable) and host.is_foreign and self.store.works():
            # The plugin caused it (its umask, its limits), so only its own cells fail.
            answer = job.failed(f"could not use the store, though others can: {answer.outcome.fault}")
        return replace(answer, damages=damages)

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

    def _once(self, job: Job, host: Host) -> tuple[Answer, bool]:
        """How the job ended, and whether it failed where other jobs of a plugin had run before."""
        memory = self.limits.bytes
        process = self._process_of(host)
        if process is None:
            return job.failed("the run was stopped"), False
        used = process.jobs > 0 and host != Host()
        process.start(job.to_json(), memory)
        limit, begun = self.limits.seconds_of(job.stage), time.monotonic()
        try:
            while (received := process.receive(_LOOK)) is None:
                if (reason := self._overrun(process, memory, limit, time.monotonic() - begun)) is not None:
                    return job.failed(reason, self._replace(process, host, gone=False)[0]), False
        except EndedError:
            output, code = self._replace(process, host, gone=True)
            return job.failed(_cause_of_death(code, output), output), used
        answer, spent = received
        doubtful = used and not isinstance(answer.outcome, Done)
        if isinstance(answer.outcome, Failed | Unusable) or spent or doubtful:
            # A failed stage may have left anything behind in its process. The next stage gets a new one.
            output, _ = self._replace(process, host, gone=False)
            if isinstance(answer.outcome, Failed):
                answer = replace(answer, printed=output + answer.printed)
        elif not host.loads_models and self._is_ours(process, host):
            self.spare.give(host, process)
        return answer, doubtful

    def _process_of(self, host: Host) -> WorkerProcess | None:
        """A process of this host, started if there is none; None once the seat was killed."""
        with self._closing:
            if self._killed:
                return None
            process = self._processes.pop(host, None) or self.spare.take(host)
            if process is None:
                process = WorkerProcess(self.store.location, self.plugins, self.environment, host)
            self._processes[host] = process
            oldest = next((kept for kept in self._processes if kept not in (host, Host())), None)
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
        # What its process keeps of earlier stages does not count against it.
        if (taken := process.memory()) > memory + kept_at_most(memory):
            return (
                f"took {taken / 1e9:.1f} GB of memory with what it started, more than the {memory / 1e9:.1f} GB a stage may "
                "take, and was stopped; give a higher --stage-memory, or fewer --workers where the machine has no more"
            )
        if taken > memory // 2:
            self._make_room(process, memory - taken)
        return None

    def _make_room(self, process: WorkerProcess, room: int) -> None:
        """End the idle processes, which do not count against the stage that runs, where they leave it too little memory."""
        with self._closing:
            idle = {host: other for host, other in self._processes.items() if other is not process}
            if sum(other.memory() for other in idle.values()) + self.spare.memory() <= room:
                return
            for host in idle:
                del self._processes[host]
        for other in idle.values():
            other.end()
        self.spare.clear()

    def _replace(self, process: WorkerProcess, host: Host, *, gone: bool) -> tuple[str, int]:
        """Done with this worker: what it printed, and its exit code. The next job of its host starts another."""
        if not self._is_ours(process, host):
            return "", -signal.SIGKILL
        output = process.output()
        code = process.end() if gone else process.kill()
        self.store.clean()  # the killed worker could not remove its half-made result
        return output, code


def _cause_of_death(code: int, output: str) -> str:
    reason = f"worker died (exit code {code})"
    if code == -signal.SIGKILL:
        return f"{reason}, killed from outside, as happens when memory runs out; try fewer --workers"
    if code < 0:
        return f"{reason}, by {signal.Signals(-code).name}"
    last = output.rstrip().rpartition("\n")[2]
    return f"{reason}, its last words: {last[:300]}" if last else reason
