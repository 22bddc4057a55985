"""A worker process: runs one stage after another, as told on its standard input, one JSON object a line.

It is a session of its own, so that Ctrl-C reaches the driver alone, and it ends when its input does: a driver that was
killed leaves no worker behind. What stages print goes to standard error, a file that the driver holds.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import json
import os
import queue
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from w2s_bench.errors import NotApplicableError, StoreError, W2SBenchError, said, writable
from w2s_bench.executors.jobs import Input, Job
from w2s_bench.executors.local.hosts import Host
from w2s_bench.executors.outcomes import Answer, Done, Lacking, Unusable
from w2s_bench.executors.resources import kept_bytes
from w2s_bench.isolation.process_state import isolated, memory_bounded, watch_for_torch
from w2s_bench.isolation.traces import Traces
from w2s_bench.models.reuse import LoadedModels
from w2s_bench.models.verdicts import Verdicts, version_of
from w2s_bench.names import BUILT_IN
from w2s_bench.store import Store, key_of, open_store
from w2s_bench.store.manifest import installed_version
from w2s_bench.store.stage import Stage, StageContext

if TYPE_CHECKING:
    from w2s_bench.plugins.registry import Registry

_LONGEST_REASON = 1500  # characters; some libraries print whole arrays
_LONGEST_LOG = 1 << 20  # characters of a traceback
_MANY_MODULES = 100  # modules imported since the last search for garbage, after which another pays
# Objects made before Python looks for garbage. Reading a split makes as many, and models are freed without it.
_GARBAGE_ROOM = 20_000


class Worker:
    """Runs jobs on one store, each as if it were the first.

    `plugins` as for `Registry.load`; those of other distributions than the host's are left alone (None: of none).
    """

    def __init__(self, store: Store, plugins: tuple[str, ...] | None = None, host: Host | None = None) -> None:
        self.store, self.plugins, self.host = store, plugins, host
        self._registry: Registry | None = None
        self._checked: dict[tuple[str, str], Path] = {}
        asker = host or Host()
        version = version_of(asker.distribution) if asker.is_foreign else ""  # of our own code verdicts have a digest
        verdicts = Verdicts(store.layout.verdicts, f"{asker.role} {asker.distribution} {version}".rstrip())
        # Other people's readings and objectives get the models themselves, and could write into them.
        self._models = LoadedModels(verdicts, keeps=not asker.loads_built_in)

    def answer_to(self, job: Job, memory: int | None = None) -> Answer:
        """Whatever a stage does short of ending the process has an answer. `memory` (bytes) bounds what the process takes."""
        before = len(self.store.damages)
        try:
            folders = {name: self._folder_of(read) for name, read in job.inputs.items()}
            lacking = tuple(name for name, folder in folders.items() if folder is None)
            answer = Answer(Lacking(lacking) if lacking else self._run(job, folders, memory))  # type: ignore[arg-type]
        except StoreError as error:
            answer = Answer(Unusable(str(error)))
        except BaseException as error:  # noqa: BLE001 - whatever a stage does, sys.exit too, is its own failure
            answer = job.failed(reason_of(error, job.stage), _traceback_of(error))
        return replace(answer, damages=tuple(self.store.damages[before:]))

    def _folder_of(self, read: Input) -> Path | None:
        """Where an input lies, every byte of it checked once in this process; None where it is not what it was."""
        name = (read.stage, read.key)
        if (folder := self._checked.get(name)) is not None and folder.exists():
            return folder
        result = self.store.find(read.stage, read.key)
        if result is None or result.content != read.content:
            return None
        self._checked[name] = result.path
        return result.path

    def _run(self, job: Job, folders: Mapping[str, Path], memory: int | None) -> Done:
        contents = {name: read.content for name, read in job.inputs.items()}
        if key_of(job.stage, contents) != job.key:
            libraries = ", ".join(f"{name} {installed_version(name)}" for name in job.stage.libraries)
            raise StoreError(
                f"{job.stage.label} would be another result here than where the run was planned: this worker has"
                f" {libraries or 'another w2s-bench'}; install the same versions everywhere"
            )
        # Plugins are loaded only now: whatever their import does to this process, the key was known before.
        if self._registry is None:
            from w2s_bench.plugins.registry import Registry

            self._registry = Registry.load(self.plugins, only=self.host and self.host.distribution)
            if self.host is not None and self.host.loads_built_in:
                built_in = Registry.load(self.plugins, only=BUILT_IN)
                self._registry = Registry.of((*built_in.plugins, *self._registry.plugins))
        function, registry, made_here = job.stage.function.resolve(), self._registry, False

        def produce(out: Path) -> None:
            nonlocal made_here
            made_here = True
            try:
                # What earlier stages left does not count against this one.
                bound = None if memory is None else memory + self._models.bytes
                with isolated(job.key), memory_bounded(bound):
                    function(StageContext(job.stage.params, folders, out, registry, models=self._models))
            # The stage's own code used a store of its own; this worker's store has done nothing yet.
            except StoreError as error:
                raise W2SBenchError(said(error)) from error
            finally:
                self._models.settle(partial(kept_bytes, memory))

        return Done(self.store.put(job.stage, contents, produce), new=made_here)


def reason_of(error: BaseException, stage: Stage) -> str:
    """One paragraph for people: our own errors speak for themselves, of others it is said where they arose."""
    ours = isinstance(error, W2SBenchError)
    told = [said(error)] if ours else [*traceback.format_exception_only(error), _place_of(error, stage)]
    reason = writable(" ".join("".join(told).split()))
    if NotApplicableError.is_reason(reason) and not isinstance(error, NotApplicableError):
        reason = f"{type(error).__name__}: {reason}"  # its words alone do not make it one: a plugin may raise any of our errors
    return reason if len(reason) <= _LONGEST_REASON else reason[:_LONGEST_REASON] + "…"


def _traceback_of(error: BaseException) -> str:
    text = writable("".join(traceback.format_exception(error)))
    return text if len(text) <= _LONGEST_LOG else f"{text[:_LONGEST_LOG]}…\n"


def _place_of(error: BaseException, stage: Stage) -> str:
    """The innermost line of the harness, a plugin or the user's own code; libraries below it are not at fault."""
    from importlib import metadata

    ours = {"w2s_bench", stage.function.path.partition(":")[0].partition(".")[0]}
    ours |= {entry.module.partition(".")[0] for entry in metadata.entry_points(group="w2s_bench")}
    libraries = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    raised_at = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if frame.f_globals.get("__name__", "").partition(".")[0] in ours or not file.startswith((*libraries, "<")):
            roots = [root for root in sys.path if root and file.startswith(root.rstrip(os.sep) + os.sep)]
            raised_at = f" ({os.path.relpath(file, max(roots, key=len)) if roots else file}:{line})"
    return raised_at


def main() -> None:
    """Serve the driver at the other end of standard input and output."""
    faulthandler.enable()
    jobs, replies = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # a log has what code and its children said in the order in which they said it
        sys.stdout.reconfigure(line_buffering=True)
    watch_for_torch()
    setting = json.loads(jobs.readline())
    plugins = setting["plugins"]
    host = Host(*setting["host"])
    worker = Worker(open_store(setting["location"]), None if plugins is None else tuple(plugins), host)
    pending: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(jobs, pending, busy), daemon=True).start()
    gc.set_threshold(_GARBAGE_ROOM)
    imported = 0
    while (line := pending.get()) is not None:
        if len(sys.modules) > imported + _MANY_MODULES:
            # Python searches all live objects for garbage. Modules are most of them and live as long as the worker.
            gc.collect()
            gc.freeze()
            imported = len(sys.modules)
        busy.set()
        message, traces = json.loads(line), Traces()
        answer = worker.answer_to(Job.from_json(message["job"]), message["memory"])
        sound = traces.settle()
        sys.stdout.flush()
        sys.stderr.flush()
        busy.clear()
        replies.write(json.dumps({"answer": answer.to_json(), "spent": not sound}, default=str) + "\n")
        replies.flush()


def _listen(jobs: TextIO, pending: queue.SimpleQueue[str | None], busy: threading.Event) -> None:
    """Pass jobs on; when the driver is gone, end at once, with all that the stage may have started."""
    for line in jobs:
        pending.put(line)
    if busy.is_set():
        os.killpg(os.getpid(), signal.SIGKILL)
    pending.put(None)
