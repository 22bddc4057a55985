"""Where a cell was made, with what, and what it took: outside its digest."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from w2s_bench.machine import IMITATED
from w2s_bench.names import BUILT_IN, DEVICE_VARIABLE, ENGINE_VARIABLE
from w2s_bench.plugins.installation import running_version
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.store import Result
from w2s_bench.store.stage import Stage

#: What every cell is made with.
_PACKAGES: Final = ("torch", "transformers", "tokenizers", "lm_eval", "datasets", "peft", "numpy", "scipy", BUILT_IN)


def provenance(stages: Iterable[Stage], results: Sequence[Result]) -> dict[str, Any]:
    """Of a cell made by these stages, shared ones included, and the results that they came to."""
    machines = sorted({result.machine or "a machine not recorded" for result in results})
    stages = list(stages)
    models = (PlannedModel.read(told) for stage in stages if isinstance(told := stage.params.get("model"), Mapping))
    imitated = sorted({model.imitated for model in models if model.imitated})
    told = {IMITATED: imitated} if imitated else {}
    return {**environment(), "packages": _packages(stages), "machines": machines, **told, "cost": _cost(results)}


def _cost(results: Sequence[Result]) -> dict[str, Any]:
    """What stages took when they ran: wall and processor seconds."""
    return {
        "seconds": round(sum(r.seconds for r in results), 2),
        "cpu_seconds": round(sum(r.cpu_seconds for r in results), 2),
        "stages": len(results),
        "finished": max((r.created for r in results), default=None),  # when the last of them was computed, UTC
    }


def _packages(stages: Iterable[Stage]) -> dict[str, str]:
    """Versions of what every cell is made with, and of what else this one's trust function computes with."""
    needed = {name for stage in stages for name in stage.libraries}
    own = sorted(name for name in needed if name.replace("-", "_") not in _PACKAGES)
    return {name: _version(name) for name in (*_PACKAGES, *own)}


@cache
def _version(package: str) -> str:
    try:
        return running_version() if package == BUILT_IN else metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def environment() -> dict[str, Any]:
    """This machine and what is installed on it; asked once a process."""
    return {
        "packages": {package: _version(package) for package in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "threads_per_worker": 1,
        "device": os.environ.get(DEVICE_VARIABLE) or "cpu",
        **({"engine": f"vllm {_version(engine)}"} if (engine := os.environ.get(ENGINE_VARIABLE)) == "vllm" else {}),
        "visible_cpus": os.cpu_count(),
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout the harness runs from; None for an installed wheel."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or no commit yet: provenance says so by its absence
    return {"commit": commit, "dirty": bool(status.strip())}
