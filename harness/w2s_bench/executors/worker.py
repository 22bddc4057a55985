"""A worker process: runs one stage after another, as told on its standard input, one JSON object a line.

It is a session of its own, so that Ctrl-C reaches the driver alone, and it ends when its input does: a driver that was
killed leaves no worker behind. What stages print goes to standard error, a file that the driver holds.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors.isolation import isolated, watch_for_torch
from w2s_bench.stages import Stage, StageContext
from w2s_bench.store import Result, Store, key_of
from w2s_bench.types import JSON

if TYPE_CHECKING:
    from w2s_bench.registry import Registry

_LONGEST_REASON = 1500  # characters; some libraries print whole arrays


def run_stage(
    stage: Stage, contents: Mapping[str, str], inputs: Mapping[str, Path], store: Store, registry: Registry
) -> tuple[Result, bool]:
    """The stage's result, and whether it was made here (another process may have made it meanwhile).

    `contents` and `inputs` hold the content digest and the folder of each input's result.
    """
    key = key_of(stage, contents)
    function = stage.resolve()
    made_here = False

    def produce(out: Path) -> None:
        nonlocal made_here
        made_here = True
        with isolated(key):
            function(StageContext(params=stage.params, inputs=inputs, out=out, registry=registry))

    return store.put(stage, contents, produce), made_here


def reason_of(error: BaseException, stage: Stage) -> str:
    """One paragraph for people: our own errors speak for themselves, of others it is said where they arose."""
    ours = isinstance(error, W2SBenchError)
    told = [str(error)] if ours else [*traceback.format_exception_only(error), _place_of(error, stage)]
    reason = " ".join("".join(told).split())
    return reason if len(reason) <= _LONGEST_REASON else reason[:_LONGEST_REASON] + "…"


def _place_of(error: BaseException, stage: Stage) -> str:
    """The innermost line of the harness, a plugin or the user's own code; libraries below it are not at fault."""
    from importlib import metadata

    ours = {"w2s_bench", stage.function.partition(":")[0].partition(".")[0]}
    ours |= {entry.module.partition(".")[0] for entry in metadata.entry_points(group="w2s_bench")}
    libraries = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if frame.f_globals.get("__name__", "").partition(".")[0] in ours or not file.startswith((*libraries, "<")):
            roots = [root for root in sys.path if root and file.startswith(root.rstrip(os.sep) + os.sep)]
            place = f" ({os.path.relpath(file, max(roots, key=len)) if roots else file}:{line})"
    return place


class _Worker:
    def __init__(self, root: Path, plugins: list[str] | None) -> None:
        self.store, self.plugins = Store(root), plugins
        self.registry: Registry | None = None

    def reply_to(self, job: Mapping[str, JSON]) -> dict[str, JSON]:
        stage = Stage(**{**job["stage"], "libraries": tuple(job["stage"]["libraries"])})
        inputs = {name: Path(path) for name, path in job["inputs"].items()}
        known = len(self.store.damages)
        try:
            if self.registry is None:
                from w2s_bench.registry import Registry

                self.registry = Registry.load(self.plugins)
            result, made_here = run_stage(stage, job["contents"], inputs, self.store, self.registry)
        except StoreError as error:
            return {"store_error": str(error)}
        except BaseException as error:  # noqa: BLE001 - whatever a stage does, sys.exit too, is its own failure
            return {"reason": reason_of(error, stage), "traceback": traceback.format_exc()}
        damages = [asdict(damage) for damage in self.store.damages[known:]]
        return {"result": asdict(result), "made_here": made_here, "damages": damages}


def main() -> None:
    """Serve the driver at the other end of standard input and output."""
    faulthandler.enable()
    jobs, replies = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    watch_for_torch()
    setting = json.loads(jobs.readline())
    worker = _Worker(Path(setting["root"]), setting["plugins"])
    pending: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(jobs, pending, busy), daemon=True).start()
    while (line := pending.get()) is not None:
        busy.set()
        os.ftruncate(2, 0)  # one stage's output at a time
        reply = worker.reply_to(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        busy.clear()
        replies.write(json.dumps(reply, default=str) + "\n")
        replies.flush()


def _listen(jobs: TextIO, pending: queue.SimpleQueue[str | None], busy: threading.Event) -> None:
    """Pass jobs on; when the driver is gone, end at once, with all that the stage may have started."""
    for line in jobs:
        pending.put(line)
    if busy.is_set():
        os.killpg(os.getpid(), signal.SIGKILL)
    pending.put(None)
