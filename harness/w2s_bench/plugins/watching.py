"""Third-party code in a process of its own, watched: what it answers, or how it ended instead.

The process at the other end is `plugin_child`. It takes a list of questions, and says of each when it begins and what the
answer is. One that ends or hangs it costs the others nothing: they are asked again in another process.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, cast

from w2s_bench.errors import PluginError
from w2s_bench.isolation import processes as kept
from w2s_bench.types import JSON

#: Environment variable with the seconds that a plugin may take to be imported, called for its names, or built.
TIMEOUT_VARIABLE = "W2S_BENCH_IMPORT_TIMEOUT"
_TIMEOUT = 60.0
#: What the child says where it begins with a question, and before it reads files, which may take longer.
BEGINS, READS = "begins", "reads"
_TO_READ = 60  # times as long
_TO_START = 60.0  # seconds more until the process is there; the machine may be busy
_FAREWELL = 60.0  # seconds from the last word to the end; a machine may be busy
_KEPT = 4096  # bytes of the plugin's output
_LAST_WORDS = 200  # characters of its output that an error quotes


#: Told what is waited for from now on, in words, and at the end an empty text: a run is not planned before.
Awaits = Callable[[str], None]


def unheard(what: str) -> None:
    """Nobody wants to know what is waited for."""


def _uncounted(place: int) -> None:
    """Nobody wants to know which question it is."""


@dataclass(frozen=True)
class Ended:
    """How the process ended, or that it did not, where an answer was expected."""

    how: str
    waited: float | None = None  # seconds after which it was given up
    began: bool = True  # whether the question was put; False where no process could be started at all


def patience() -> float:
    """Seconds that one plugin has, as the environment sets them."""
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    try:
        seconds = float(text) if text.strip() else _TIMEOUT
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise PluginError(f"{TIMEOUT_VARIABLE}={text!r} is no number of seconds; write for example {_TIMEOUT:g}")
    return seconds


def ask(questions: Sequence[JSON], seconds: float, begins: Callable[[int], None] = _uncounted) -> list[JSON | Ended]:
    """The answer to each, in order. Whoever ends the process is asked once more, first of all, before it is blamed.

    `begins` is told the place of each question as it is put; the start of a process counts to the first that it is asked.
    """
    answers: dict[int, JSON | Ended] = {}
    waiting = list(range(len(questions)))
    while waiting:
        child = _Child([questions[i] for i in waiting], seconds, [partial(begins, i) for i in waiting])
        answers |= zip(waiting, child.answers, strict=False)
        if child.ended is not None and not child.answers:  # the process was fresh: no other plugin can be at fault
            answers |= dict.fromkeys(waiting[:1] if child.ended.began else waiting, child.ended)
        waiting = [i for i in waiting if i not in answers]
    return [answers[i] for i in range(len(questions))]


class _Child:
    """One process, from its start to its end. `ended` is None if it has answered everything."""

    def __init__(self, questions: Sequence[JSON], seconds: float, begins: Sequence[Callable[[], None]]) -> None:
        self.answers: list[JSON] = []
        self._begins = begins  # one a question
        self._count, self._seconds = len(questions), seconds
        self._limit, self._began = seconds + _TO_START, False
        self._until = time.monotonic() + self._limit
        self._said, self._replies = b"", b""
        begins[0]()
        self._process = kept.start(
            "w2s_bench.plugins.child", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            self._send(json.dumps(questions).encode() + b"\n")
            self.ended = self._listen()
        finally:
            kept.end(self._process)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                with contextlib.suppress(BrokenPipeError):
                    cast(IO[bytes], pipe).close()

    def _send(self, text: bytes) -> None:
        """The pipe stays open: when it closes, the child knows that this process is gone, and ends."""
        pipe = cast(IO[bytes], self._process.stdin)
        with contextlib.suppress(BrokenPipeError):  # the child has just died, which is seen below
            pipe.write(text)
            pipe.flush()

    def _listen(self) -> Ended | None:
        out, err = cast(IO[bytes], self._process.stdout), cast(IO[bytes], self._process.stderr)
        with selectors.DefaultSelector() as selector:
            for pipe in (out, err):
                selector.register(pipe, selectors.EVENT_READ)
            while len(self.answers) < self._count:
                ready = [key.fileobj for key, _ in selector.select(max(0.0, min(1.0, self._until - time.monotonic())))]
                if err in ready and not self._hear(err):
                    selector.unregister(err)
                if out in ready:
                    read = os.read(out.fileno(), 1 << 16)
                    if not read:
                        return self._end(selector, err)
                    if not self._take(read):
                        return Ended("wrote into the pipe that its answers go through")
                elif time.monotonic() >= self._until:
                    return Ended(f"took longer than {self._limit:g} seconds, and was stopped", self._limit, self._began)
                elif not ready and self._process.poll() is not None:  # the child's own children keep the pipes open
                    return self._end(selector, err)
        return None

    def _hear(self, err: IO[bytes]) -> bool:
        """Keep the end of what it prints; whether there may be more."""
        said = os.read(err.fileno(), 1 << 16)
        self._said = (self._said + said)[-_KEPT:]
        return bool(said)

    def _take(self, read: bytes) -> bool:
        """Lines of the child: where it is, or an answer. Whether they make sense."""
        *lines, self._replies = (self._replies + read).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                return False
            if isinstance(message, dict):
                self.answers.append(message)
            elif message not in (BEGINS, READS):
                return False
            elif len(self.answers) < self._count:
                self._begins[len(self.answers)]()
            self._began = True
            self._limit = self._seconds * (_TO_READ if message == READS else 1)
            self._until = time.monotonic() + self._limit
        return len(self.answers) <= self._count

    def _end(self, selector: selectors.BaseSelector, err: IO[bytes]) -> Ended:
        """How it ended, and the last line that it printed."""
        try:
            code = self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            return Ended("closed the pipe that its answers go through", began=self._began)
        while err in (key.fileobj for key, _ in selector.select(0)) and self._hear(err):
            pass
        lines = self._said.decode(errors="replace").split("\n")
        last = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
        how = f"ended the process with exit code {code}" if code >= 0 else f"ended the process by {_signal(-code)}"
        return Ended(f"{how}, last saying {last[:_LAST_WORDS]!r}" if last else how, began=self._began)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
