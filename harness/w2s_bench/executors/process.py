"""The driver's end of one worker process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping

from w2s_bench.executors.isolation import WORKER_ENVIRONMENT
from w2s_bench.types import JSON

# The search path comes first, so that the worker finds the very modules that the driver has. Unlike a process that
# `multiprocessing` spawns, this one never runs the user's main script again, and has its environment before any import.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from w2s_bench.executors.worker import main; main()"
_KEPT_OUTPUT = 1 << 20  # bytes of a stage's output that its log keeps
_FAREWELL = 2.0  # seconds that an idle worker has to end by itself


class EndedError(Exception):
    """The worker is gone, or will not answer any more."""


class WorkerProcess:
    """Starts a worker on the store at `location`, with the driver's own environment and `environment`."""

    def __init__(self, location: str, plugins: tuple[str, ...] | None, environment: Mapping[str, str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `kill`
        fcntl.fcntl(self._output, fcntl.F_SETFL, os.O_APPEND)  # it is cut to nothing before every stage
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            env={**os.environ, **WORKER_ENVIRONMENT, **environment},
            start_new_session=True,
            encoding="utf-8",
        )
        self._replies: queue.SimpleQueue[Mapping[str, JSON] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.send({"location": location, "plugins": plugins})

    def send(self, message: Mapping[str, JSON]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has just died, and `receive` will say so
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def receive(self, seconds: float) -> Mapping[str, JSON] | None:
        """The next answer; None if there was none within `seconds`. Raises `EndedError` when there will be none."""
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty:
            # A worker can die while a process that it forked keeps the pipe open; then end those, and the pipe, too.
            if self._process.poll() is not None:
                self._kill_group()
            return None
        if reply is None:
            raise EndedError
        return reply

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory(self) -> int:
        """Bytes of memory that it holds, together with all that it started."""
        import psutil

        try:
            worker = psutil.Process(self.pid)
            everybody = [worker, *worker.children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        total = 0
        for one in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
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
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._kill_group()
        return self.kill()

    def kill(self) -> int:
        """End it now, with everything it started."""
        self._kill_group()
        code = self._process.wait()
        self._reader.join(_FAREWELL)
        self._output.close()
        return code

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left of it
            os.killpg(self._process.pid, signal.SIGKILL)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as replies:
            for line in replies:
                self._replies.put(json.loads(line))
        self._replies.put(None)
