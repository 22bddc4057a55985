"""New processes from whose surroundings no way leads to a store: `runs.audit` asks them again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.protocol.scores import Scores

_MOST_SECONDS: Final = 3600.0


def search_path(*first: Path) -> str:
    """The search path of this process, with other folders before it."""
    return os.pathsep.join([*map(str, first), *filter(None, sys.path)])


def scored_apart(told: Mapping[str, object], out: Path, environment: Mapping[str, str]) -> Scores:
    """Scores by a new process."""
    run_apart("w2s_bench.runs.rescored", told, out, environment)
    return Scores.read(out)


def run_apart(module: str, told: Mapping[str, object], out: Path, environment: Mapping[str, str]) -> None:
    """Let a new process, from whose surroundings no way leads to a store, write what it is told to a new folder."""
    from w2s_bench.isolation.process_state import WORKER_ENVIRONMENT
    from w2s_bench.store import LOCATION_VARIABLE

    home = out.with_name(f"{out.name} home")
    for folder in (out, home):
        folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if name != LOCATION_VARIABLE}
    kept["PYTHONPATH"] = search_path()
    hidden = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(home), "PWD": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps({**told, "out": str(out)}),
        env={**kept, **WORKER_ENVIRONMENT, **hidden, **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=_MOST_SECONDS,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise W2SBenchError(lines[-1])
