"""Loaded into every process of a run under measurement: which of its processor seconds are arithmetic of models or imports.

A clock with a stack: what is entered last is what the seconds are charged to, so nothing is counted twice. Entered are the
outermost call of a torch module (and so transformers' Python around its layers), backward, the optimizer's step, clipping,
and the losses that the engine computes outside of modules. All else is neither: batches, padding, picking, files, JSON.
"""

from __future__ import annotations

import atexit
import builtins
import gc
import importlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "W2S_BENCH_ATTRIBUTION"  # environment variable: where every process leaves its account


class Clock:
    """Seconds by (kind of stage, what they went into); the stage is "" before, between and after stages."""

    def __init__(self) -> None:
        self.seconds: Counter[tuple[str, str]] = Counter()
        self.stages: Counter[str] = Counter()
        self.stage = ""
        self._entered = ["rest"]
        self._since = 0.0  # what came before is the interpreter's own import

    def charge(self, what: str | None = None) -> None:
        """Charge the time since the last charge to `what`, or to what was entered last."""
        now = time.process_time()
        self.seconds[self.stage, what or self._entered[-1]] += now - self._since
        self._since = now

    def within(self, what: str) -> bool:
        return self._entered[-1] == what

    def enter(self, what: str) -> None:
        self.charge()
        self._entered.append(what)

    def leave(self) -> None:
        self.charge()
        self._entered.pop()

    def charged(self, call: Callable[..., Any], what: str) -> Callable[..., Any]:
        """`call`, its seconds charged to `what`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self.within(what):
                return call(*args, **kwargs)
            self.enter(what)
            try:
                return call(*args, **kwargs)
            finally:
                self.leave()

        return timed

    def save(self) -> None:
        account = {"seconds": [[*key, value] for key, value in self.seconds.items()], "stages": self.stages}
        Path(os.environ[FOLDER], f"{os.getpid()}.json").write_text(json.dumps(account))


CLOCK = Clock()


def _watch_torch() -> None:
    import torch

    functions = torch.nn.functional
    for owner, name in (
        (torch.nn.Module, "__call__"),
        (torch.Tensor, "backward"),
        (torch.optim.AdamW, "step"),
        (torch.nn.utils, "clip_grad_norm_"),
        (functions, "cross_entropy"),
        (functions, "log_softmax"),
    ):
        setattr(owner, name, CLOCK.charged(getattr(owner, name), "arithmetic"))


def _watch_worker() -> None:
    from w2s_bench.executors.local.worker import Worker

    answer_to = Worker.answer_to

    def counted(self: Worker, job: Any, *args: Any, **kwargs: Any) -> Any:
        CLOCK.charge()
        CLOCK.stage = job.stage.name
        CLOCK.stages[CLOCK.stage] += 1
        try:
            return answer_to(self, job, *args, **kwargs)
        finally:
            CLOCK.charge()
            CLOCK.stage = ""
            CLOCK.save()

    Worker.answer_to = counted  # type: ignore[method-assign]


_WATCHERS = {"w2s_bench.models.scoring": _watch_torch, "w2s_bench.executors.local.worker": _watch_worker}


def _importing(call: Callable[..., Any]) -> Callable[..., Any]:
    importing = CLOCK.charged(call, "imports")

    def watched(*args: Any, **kwargs: Any) -> Any:
        known = len(sys.modules)
        module = importing(*args, **kwargs)
        if len(sys.modules) != known and not CLOCK.within("imports"):
            for name in [name for name in _WATCHERS if name in sys.modules]:
                _WATCHERS.pop(name)()
        return module

    return watched


def _collecting(phase: str, facts: dict[str, int]) -> None:
    if phase == "start":
        CLOCK.enter("garbage")
    else:
        CLOCK.leave()


def begin() -> None:
    """Called once, as the interpreter starts."""
    CLOCK.charge("imports")
    builtins.__import__ = _importing(builtins.__import__)
    importlib.import_module = _importing(importlib.import_module)
    gc.callbacks.append(_collecting)
    atexit.register(lambda: (CLOCK.charge(), CLOCK.save()))
