"""The process in which third-party code is looked at: `main` answers the questions of `watching` until all are answered.

It has what the harness has, and nothing to lose: whatever a plugin does here, at worst its own answer is missing.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import IO

from w2s_bench.errors import W2SBenchError
from w2s_bench.hookspecs import ENTRY_POINT_GROUP
from w2s_bench.plugins.descriptions import factory_to_json, module_of
from w2s_bench.plugins.entry_point import load_here
from w2s_bench.plugins.hooks import HOOKS
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.watching import BEGINS, READS
from w2s_bench.types import JSON


def main() -> None:
    """One JSON list of questions on standard input; on standard output, a line each, where it is and the answers.

    It ends with the process that asked, or when all is answered.
    """
    asker, replies, own = os.fdopen(os.dup(0), "rb"), os.dup(1), os.getpid()
    os.dup2(2, 1)  # a plugin's prints must not be taken for an answer
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    questions = json.loads(asker.readline())
    threading.Thread(target=_end_with, args=(asker,), daemon=True).start()

    def say(message: JSON) -> None:
        if os.getpid() != own:  # a plugin forked, and both processes came back
            os._exit(0)
        text = json.dumps(message).encode() + b"\n"
        while text:
            text = text[os.write(replies, text) :]

    for question in questions:
        say(BEGINS)
        say(_answer(question, say))
    os._exit(0)  # threads and exit handlers that a plugin left here do not matter


def _end_with(asker: IO[bytes]) -> None:
    asker.read()
    os.killpg(os.getpid(), signal.SIGKILL)


def _answer(question: JSON, say: Callable[[JSON], None]) -> JSON:
    try:
        return _told(question, say)
    except W2SBenchError as error:
        return {"fault": str(error)}
    except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, at any time
        return {"fault": f"it raised {type(error).__name__}"}


def _told(question: JSON, say: Callable[[JSON], None]) -> JSON:
    """What is told, the modules that it depends on, and whether it is worth being remembered."""
    name, value, distribution, version = question["plugin"]
    plugin = load_here(EntryPoint(name, value, ENTRY_POINT_GROUP), distribution, version)
    if question["do"] == "load":
        entries = [
            {"kind": entry.entry_kind, "name": entry.name, **factory_to_json(entry.factory)}
            for entry in plugin.provides
        ]
        faults = [plugin.problem.cause] if plugin.problem else []
        told = {"faults": faults, "provides": entries}
        return {"told": told, "modules": [entry["module"] for entry in entries], "sound": not faults}
    entry_kind, hook = question["kind"], HOOKS[question["kind"]]
    registry = Registry.of([plugin])
    registered = registry.resolve(entry_kind, question["name"])
    built = registry.build(entry_kind, question["name"], **question["parameters"])
    if question["do"] == "measure" and hook.measure is not None:
        return {"told": hook.measure(str(registered), built)}
    if hook.reads_data:
        say(READS)
    told = hook.describe(str(registered), built)
    return {"told": told, "modules": [module_of(registered.factory), type(built).__module__], "sound": True}
