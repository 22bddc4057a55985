"""Stage functions for the tests of the executor: named as `stage_functions:<name>`, run in worker processes."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.errors import StoreError, TrustFunctionError
from w2s_bench.store.stage import Code, Role, Stage, StageContext, StageFunction
from w2s_bench.types import JSON


def stage(
    function: str,
    /,
    inputs: Mapping[str, Stage] | None = None,
    *,
    name: str = "",
    of: tuple[Role, str] | tuple[Role, str, str] | None = None,
    device: str = "cpu",
    **params: JSON,
) -> Stage:
    label = f"{function} {params.get('text', '')}".strip()
    run = StageFunction(name or function, 1, f"stage_functions:{function}")
    whose = Code(*of) if of else None
    # As in the protocol, whose code runs shows in the parameters too: it is another stage.
    params |= {"of": list(of)} if of else {}
    return Stage(run, params, inputs or {}, ("numpy",), label, code=whose, device=device)


def named(name: str, params: Mapping[str, JSON] | None = None, /, **fields: Any) -> Stage:
    """A stage that is never run; what tells it from others of its name is in its parameters."""
    run = StageFunction(name, fields.pop("version", 1), "nowhere:nothing")
    told = {key: value for key, value in fields.items() if key in ("timed_as", "domain", "amount")}
    return Stage(run, {**told, **(params or {})}, **fields)


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
        time.sleep(3600)
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk(context: StageContext) -> None:
    (context.out / "half").write_text("a result in the making")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(context.out / "half"))


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


def mark(context: StageContext) -> None:
    """Whether another stage has been in this process, in a way that nothing gives back; `text` says who was."""
    (context.out / "text").write_text(getattr(np, "stages_that_were_here", "nobody"))
    np.stages_that_were_here = context.params["text"]


def mark_and_fail(context: StageContext) -> None:
    """Fails where another was before, as if by what that had left there."""
    if hasattr(np, "stages_that_were_here"):
        raise ValueError(f"{np.stages_that_were_here} was here")
    (context.out / "text").write_text("alone")


def refuse(context: StageContext) -> None:
    raise StoreError("no bucket of mine")


def starve(context: StageContext) -> None:
    """Leaves its process without a way to open one more file."""
    (context.out / "text").write_text("done")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def daemonise(context: StageContext) -> None:
    """Leaves a process that is in no group and session of the worker's; `end` says how the stage ends."""
    code = "import os, sys, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"
    outer = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}])"
    reader, writer = os.pipe()
    subprocess.run([sys.executable, "-c", outer], stdout=writer, check=True)
    number = b""
    while not number.endswith(b"\n"):  # a pipe may give it in parts
        number += os.read(reader, 20)
    Path(context.params["pids"]).write_bytes(number)
    if context.params["end"] == "exit":
        os._exit(4)
    if context.params["end"] == "print":
        print("x" * (2 << 20), flush=True)
    if context.params["end"] in ("print", "hang"):
        time.sleep(600)
    (context.out / "text").write_text("done")


def leave_traces(context: StageContext) -> None:
    """An alarm, a handler, and no standard error."""
    signal.setitimer(signal.ITIMER_REAL, 300.0)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.close(2)
    (context.out / "text").write_text("done")


def traces(context: StageContext) -> None:
    facts = signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    os.write(2, b"heard")
    (context.out / "text").write_text(repr(facts))


def garble(context: StageContext) -> None:
    """Writes what is no answer into every pipe of its process."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, context.params["text"].encode())
        except OSError:
            continue
    time.sleep(600)
