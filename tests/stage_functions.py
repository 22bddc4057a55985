"""Stage functions for the tests of the executor: named as `stage_functions:<name>`, run in worker processes."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from w2s_bench.errors import TrustFunctionError
from w2s_bench.stages import Stage, StageContext
from w2s_bench.types import JSON


def stage(function: str, inputs: Mapping[str, Stage] | None = None, *, name: str = "", **params: JSON) -> Stage:
    label = f"{function} {params.get('text', '')}".strip()
    return Stage(name or function, 1, f"stage_functions:{function}", params, inputs or {}, ("numpy",), label)


def write(context: StageContext) -> None:
    """The texts of the inputs by name, then one's own; the file `tally` counts runs outside the store."""
    texts = [(folder / "text").read_text() for _, folder in sorted(context.inputs.items())]
    if tally := context.params.get("tally"):
        with Path(tally).open("a") as file:
            file.write(f"{context.params['text']}\n")
    time.sleep(context.params.get("sleep", 0))
    (context.out / "text").write_text("".join(texts) + context.params["text"])


def same(context: StageContext) -> None:
    """Equal results from different parameters."""
    (context.out / "text").write_text("same")


def big(context: StageContext) -> None:
    rng = np.random.default_rng(context.params["number"])
    (context.out / "data").write_bytes(rng.bytes(context.params["bytes"]))


def draw(context: StageContext) -> None:
    """What the global generators, the environment and the working directory are as a stage meets them."""
    drawn, settings = [random.random(), float(np.random.random())], []
    if context.params["torch"]:
        import torch

        drawn.append(float(torch.rand(())))
        settings = [torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype()]
    surroundings = [os.environ.get("STAGE_WAS_HERE"), str(Path.cwd()), hash("a string")]
    (context.out / "text").write_text(repr([drawn, settings, surroundings]))


def meddle(context: StageContext) -> None:
    """Leaves the process in disorder."""
    os.environ["STAGE_WAS_HERE"] = "yes"
    os.environ.pop("HOME", None)
    os.chdir(tempfile.gettempdir())
    random.seed(1)
    np.random.seed(1)
    if context.params["torch"]:
        import torch

        torch.manual_seed(1)
        torch.set_num_threads(2)
        torch.set_deterministic_debug_mode("default")
        torch.set_default_dtype(torch.float64)
    (context.out / "text").write_text("done")


def fail(context: StageContext) -> None:
    time.sleep(context.params.get("sleep", 0))
    print("on standard output")
    os.system("echo from a child")
    print("on standard error", file=sys.stderr)
    (context.out / "half").write_text("a result in the making")
    raise ValueError("five is\nright out")


def fail_in_library(context: StageContext) -> None:
    np.zeros(3).reshape(2, 2)


def fail_on_purpose(context: StageContext) -> None:
    raise TrustFunctionError("acme/liar returned 3 scores for 4 rows; return one a row")


def leave(context: StageContext) -> None:
    sys.exit("goodbye")


def die(context: StageContext) -> None:
    print("famous last words")
    sys.stdout.flush()
    (context.out / "half").write_text("a result in the making")
    if "signal" in context.params:
        os.kill(os.getpid(), getattr(signal, context.params["signal"]))
    os._exit(context.params["code"])


def die_leaving_a_child(context: StageContext) -> None:
    """The child holds the worker's pipes open."""
    if os.fork() == 0:
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk(context: StageContext) -> None:
    (context.out / "half").write_text("a result in the making")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def link(context: StageContext) -> None:
    (context.out / "text").symlink_to(__file__)


def registry(context: StageContext) -> None:
    loaded = {plugin.distribution for plugin in context.registry.plugins if plugin.status == "ok"}
    (context.out / "text").write_text(" ".join(sorted(loaded)))


def hang(context: StageContext) -> None:
    """Never ends, and leaves a child that does not either; the file `pids` says who they are."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(context.params["pids"]).write_text(f"{os.getpid()} {child.pid}")
    print("before the long night", flush=True)
    time.sleep(600)


def eat_memory(context: StageContext) -> None:
    """Takes memory without end in the process itself, or more than is good in several children."""
    if context.params["where"] == "children":
        code = "import time; hoard = b'x' * (400 << 20); time.sleep(600)"
        for child in [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]:
            child.wait()
    hoard = []
    while True:
        hoard.append(np.ones(2 << 20))


def print_much(context: StageContext) -> None:
    while True:
        print("x" * (1 << 20))
        time.sleep(0.005)


def lose(context: StageContext) -> None:
    """Removes a folder of the store, once."""
    flag = Path(context.params["flag"])
    if not flag.exists():
        flag.touch()
        shutil.rmtree(context.params["folder"])
    (context.out / "text").write_text("done")


def environment(context: StageContext) -> None:
    (context.out / "text").write_text(os.environ.get(context.params["variable"], "not set"))
    time.sleep(context.params.get("sleep", 0))
