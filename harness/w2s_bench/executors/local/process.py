"""The driver's end of one worker process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Mapping

from w2s_bench.executors.local.hosts import Host
from w2s_bench.executors.outcomes import Answer, answer_reader
from w2s_bench.isolation import processes as kept
from w2s_bench.isolation.process_state import WORKER_ENVIRONMENT
from w2s_bench.types import JSON

_KEPT_OUTPUT = 1 << 20  # bytes of a stage's output that its log keeps
_FAREWELL = 2.0  # seconds that an idle worker has to end by itself


class EndedError(Exception):
    """The worker is gone, or will not answer any more."""


class WorkerProcess:
    """Starts a worker on the store at `location`, with the driver's own environment and `environment`.

    The process is the worker's keeper, and the worker its child; they end together, with all that the worker started.
    `plugins` and `host` as for `Worker`.
    """

    def __init__(
        self, location: str, plugins: tuple[str, ...] | None, environment: Mapping[str, str], host: Host
    ) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `kill`
        fcntl.fcntl(self._output, fcntl.F_SETFL, os.O_APPEND)  # the driver cuts the log to nothing before every job
        self._process = kept.start(
            "w2s_bench.executors.local.worker",
            environment={**WORKER_ENVIRONMENT, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            encoding="utf-8",
        )
        self._answers: queue.SimpleQueue[tuple[Answer, bool] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.jobs = 0
        self.send({"location": location, "plugins": plugins, "host": host})

    def start(self, job: Mapping[str, JSON], memory: int) -> None:
        """Hand it a job, within so many bytes of memory; its output is the job's from here on."""
        self.jobs += 1
        with contextlib.suppress(ValueError):  # the run has just been stopped
            os.ftruncate(self._output.fileno(), 0)
        self.send({"job": job, "memory": memory})

    def send(self, message: Mapping[str, JSON]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # the worker has just died; `receive` will say so
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def receive(self, seconds: float) -> tuple[Answer, bool] | None:
        """The next answer, and whether its process is spent; None if there was none within `seconds`.

        Raises `EndedError` when there will be none.
        """
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            # A killed keeper takes the worker along, but not the worker's forks, which may keep the pipe open.
            if self._process.poll() is None:
                return None
            try:
                answer = self._answers.get(timeout=_FAREWELL)  # the worker's last words
            except queue.Empty:
                raise EndedError from None
        if answer is None:
            raise EndedError
        return answer

    def memory(self) -> int:
        """Bytes of memory that it holds, together with all that it started."""
        import psutil

        try:
            keeper = psutil.Process(self._process.pid)
            everybody = [keeper, *keeper.children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        total = 0
        for member in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += member.memory_info().rss
        return total

    @property
    def printed(self) -> int:
        """Bytes that the current stage has printed."""
        return os.fstat(self._output.fileno()).st_size

    def output(self) -> str:
        """What the current stage printed, or its end if that is long."""
        size = self.printed
        start = max(0, size - _KEPT_OUTPUT)
        return os.pread(self._output.fileno(), size - start, start).decode("utf-8", errors="replace")

    def end(self) -> int:
        """Let an idle worker end, or kill what does not; its exit code (of a signal: the negative number)."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL)
        return self.kill()

    def kill(self) -> int:
        """End it now, with everything it started."""
        code = kept.end(self._process)
        self._reader.join(_FAREWELL)
        self._output.close()
        return code

    def _listen(self) -> None:
        assert self._process.stdout is not None
        read = answer_reader().validate_python  # built while the worker starts
        # A process that writes what is no answer is no worker of ours any more. The seat gives it up.
        with self._process.stdout as lines, contextlib.suppress(ValueError, TypeError, KeyError):
            for line in lines:
                message = json.loads(line)
                self._answers.put((read(message["answer"]), message["spent"]))
        self._answers.put(None)
