"""A place where one worker process runs jobs, one after another, within limits; a worker that is gone is replaced."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping

from w2s_bench.executors.jobs import Broke, Job, Reply, reply_from_json
from w2s_bench.executors.process import EndedError, WorkerProcess
from w2s_bench.executors.resources import Limits
from w2s_bench.store import Store

_LOOK = 0.25  # seconds between two looks at what a running stage takes


class Seat:
    """`run` is called from one thread at a time; `kill` from any. No process is started before it is needed.

    `environment` is added to the worker's; `plugins` are the distributions that its registry is restricted to.
    """

    def __init__(
        self,
        store: Store,
        plugins: tuple[str, ...] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.store, self.plugins, self.limits = store, plugins, limits
        self.environment = environment or {}
        self._process: WorkerProcess | None = None
        self._closing = threading.Lock()
        self._killed = False

    def run(self, job: Job) -> Reply:
        """Run a job to its end, however it ends."""
        memory = self.limits.bytes
        with self._closing:
            if self._killed:
                return Broke("the run was stopped")
            if self._process is None:
                self._process = WorkerProcess(self.store.location, self.plugins, self.environment)
            process = self._process
        process.send({"job": job.to_json(), "memory": memory})
        limit, begun = self.limits.seconds_of(job.stage), time.monotonic()
        try:
            while (answer := process.receive(_LOOK)) is None:
                if (reason := self._overrun(process, memory, limit, time.monotonic() - begun)) is not None:
                    return Broke(reason, self._replace(process, gone=False)[0])
        except EndedError:
            output, code = self._replace(process, gone=True)
            return Broke(_cause_of_death(code, output), output)
        reply = reply_from_json(answer)
        if isinstance(reply, Broke):
            # What failed may have left anything behind in its process: the next stage gets a new one.
            output, _ = self._replace(process, gone=False)
            reply = Broke(reply.reason, output + reply.log, reply.damages)
        return reply

    def close(self) -> None:
        """Let the worker end; it is idle."""
        with self._closing:
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def kill(self) -> None:
        """End the worker now, whatever it does; nothing runs here afterwards."""
        with self._closing:
            self._killed = True
            process, self._process = self._process, None
        if process is not None:
            process.kill()

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
        return None

    def _replace(self, process: WorkerProcess, *, gone: bool) -> tuple[str, int]:
        """Done with this worker: what it printed, and its exit code. The next job starts another."""
        with self._closing:
            ours, self._process = self._process is process, None
        if not ours:  # killed meanwhile, by the end of the run
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
