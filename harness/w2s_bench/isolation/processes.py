"""Processes of this package for code that is not its own: each with a keeper, so that all it starts ends with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The search path comes first, so that the process finds the very modules that this one has. Unlike one that
# `multiprocessing` spawns, it never runs the user's main script again, and has its environment before any import. The
# keeper's file is run alone: importing the package would make the keeper as large as what it keeps.
_START = """
import importlib, json, runpy, sys
sys.path[:], keeper, module, *sys.argv[1:] = json.loads(sys.argv[1])
runpy.run_path(keeper)["keep"]()
importlib.import_module(module).main()
"""
_KEEPER = Path(__file__).with_name("keeper.py")
_FAREWELL = 20.0  # seconds that a keeper has to end its processes; the machine may be busy


def start(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, **streams: Any
) -> subprocess.Popen[Any]:
    """Run `main` of a module in a session of its own, with the current environment and `environment`.

    The process is the keeper, and what runs `main` its child; they end together. `streams` as for `Popen`; `arguments`
    are `sys.argv` from its second on.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _START, json.dumps([sys.path, str(_KEEPER), module, *arguments])],
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        **streams,
    )


def end(process: subprocess.Popen[Any]) -> int:
    """End such a process now, with everything it started; its exit code (of a signal: the negative number)."""
    process.terminate()  # the keeper passes it on to the processes that it keeps
    try:
        return process.wait(_FAREWELL)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel then ends what the keeper keeps
        return process.wait()
