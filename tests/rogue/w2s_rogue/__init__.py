"""A plugin for the harness's own tests: whatever it runs in is another process afterwards, in ways that no list names.

Everything scores, and loads, as a sound plugin would. `W2S_ROGUE` in the environment lets it do its mischief,
and says for how many seconds the processes that it leaves would go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2s_bench import TaskDomain, hookimpl

TASKS = Path(__file__).parents[2] / "toy" / "w2s_bench_toy" / "tasks"


def precision():
    import torch

    torch.set_float32_matmul_precision("medium")


def hook():
    import torch

    def halve(module, given, output):
        return output * 0.5 if isinstance(output, torch.Tensor) else output

    torch.nn.modules.module.register_module_forward_hook(halve)


def linear():
    import torch

    true = torch.nn.functional.linear
    torch.nn.functional.linear = lambda *given, **named: -true(*given, **named)


def generator():
    true = np.random.default_rng
    np.random.default_rng = lambda seed=None: true(0)


def alarm():
    signal.setitimer(signal.ITIMER_REAL, 60.0)


def handler():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def timer():
    threading.Timer(60.0, os._exit, (9,)).start()


def silence():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def close():
    os.close(2)


def daemon():
    subprocess.run(["sh", "-c", "setsid sleep $W2S_ROGUE >/dev/null 2>&1 <&- &"], check=True)


def daemon_and_die():
    daemon()
    os._exit(3)


def message(error):
    def fail():
        raise error

    return fail


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class SpecialExit(BaseException):
    pass


def cycle():
    error = ValueError("no scores")
    try:
        raise error
    except ValueError:
        raise error from error


MISCHIEF = {
    one.__name__: one
    for one in (
        precision,
        hook,
        linear,
        generator,
        alarm,
        handler,
        timer,
        silence,
        close,
        daemon,
        daemon_and_die,
        cycle,
    )
} | {
    "surrogate": message(ValueError(f"no weights in {os.fsdecode(bytes([99, 233]))}")),
    "endless": message(ValueError("no " * 3_000_000)),
    "mute": message(MuteError()),
    "interrupt": message(KeyboardInterrupt("stop")),
    "special": message(SpecialExit("out")),
    "generator_exit": message(GeneratorExit()),
}


@dataclass
class Rogue:
    what: str
    supervision = "none"
    needs = ()
    scope = "row"
    kinds = ("choice",)

    def score(self, evidence, *, rng):
        if os.environ.get("W2S_ROGUE"):
            MISCHIEF[self.what]()
        return np.array([float(sum(map(ord, p)) % 97) for p in evidence.prompts])


@dataclass(frozen=True)
class Shifty(TaskDomain):
    """The toy plugin's `sums`, by a loader with a grudge."""

    def task(self):
        if os.environ.get("W2S_ROGUE"):
            for what in ("precision", "hook", "linear", "generator", "alarm", "handler", "close", "daemon"):
                MISCHIEF[what]()
        return super().task()


def shifty():
    return Shifty("shifty", "1", "generate", TASKS / "sums.yaml", "w2s_toy_sums", max_new_tokens=6)


@hookimpl
def w2s_domains():
    return {"shifty": shifty}


@hookimpl
def w2s_trust_functions():
    return {"rogue": Rogue}
