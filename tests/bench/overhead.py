"""Where the processor time of a cold run of `tiny` goes: arithmetic of models, and all else."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attribution

TITLE = "Overhead: what `tiny` takes besides the arithmetic of its models"
TARGET = (
    "`w2s-bench run tiny --workers 1` from an empty store, every process of it on one thread: processor seconds within torch"
    " (outermost module calls, with transformers' own Python around the layers; backward, optimizer, losses; decoding's forward"
    " passes) against all of them. The rest: imports, rendering, encoding, batches, picking, grading, JSON, the store, the"
    " driver. Reading the clock, about a microsecond per call, is counted with what it measures. Target: less than 10 % outside."
)
NAMES = {"imports": "imports, in all stages", "garbage": "Python's garbage collection, in all stages"}
_LEAST = 0.005  # share of all seconds below which a kind of stage stands with the others


def run(quick: bool) -> list[dict[str, str | float]]:
    options = ["--domain", "knowledge", "--seeds", "1"] if quick else []
    with tempfile.TemporaryDirectory() as place:
        whole, seconds, stages = measured(Path(place), options)
    kinds = {kind for kind, _ in seconds if kind}
    by_kind = {kind: (seconds[kind, "arithmetic"], seconds[kind, "rest"]) for kind in kinds}
    rare = {kind for kind, parts in by_kind.items() if sum(parts) < _LEAST * whole}
    rows: list[tuple[str, int | str, float, float]] = [
        (kind, stages[kind], *by_kind[kind]) for kind in sorted(kinds - rare, key=lambda k: -sum(by_kind[k]))
    ]
    rows.append(("other stages", sum(stages[k] for k in rare), 0.0, sum(sum(by_kind[k]) for k in rare)))
    rows += [
        (NAMES[what], "", 0.0, sum(value for (_, part), value in seconds.items() if part == what))
        for what in ("imports", "garbage")
    ]
    known = sum(seconds.values())
    rows.append(("driver and worker, between stages", "", 0.0, seconds["", "rest"] + whole - known))
    arithmetic = sum(row[2] for row in rows)
    rows.append(("all", sum(stages.values()), arithmetic, whole - arithmetic))
    return [
        {
            "stages of a kind": name,
            "stages": count,
            "arithmetic, CPU s": inside,
            "outside, CPU s": outside,
            "outside, of all": f"{outside / whole:.1%}",
        }
        for name, count, inside, outside in rows
    ]


def measured(folder: Path, options: list[str]) -> tuple[float, Counter[tuple[str, str]], Counter[str]]:
    """Processor seconds of all processes by the system's count; the same by stage and part, by their own; stages run."""
    accounts = folder / "accounts"
    start = folder / "start"
    accounts.mkdir()
    start.mkdir()
    (start / "sitecustomize.py").write_text("import attribution\n\nattribution.begin()\n")
    path = os.pathsep.join([str(start), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), attribution.FOLDER: str(accounts)}
    command = [sys.executable, "-m", "w2s_bench", "run", "tiny", *options, "--workers", "1", "--quiet"]
    before = sum(children())
    subprocess.run([*command, "--out", str(folder), "--store", str(folder / "store")], check=True, env=environment)
    seconds: Counter[tuple[str, str]] = Counter()
    stages: Counter[str] = Counter()
    for one in accounts.glob("*.json"):
        account = json.loads(one.read_text())
        stages.update(account["stages"])
        for kind, what, value in account["seconds"]:
            seconds[kind, what] += value
    return sum(children()) - before, seconds, stages


def children() -> Iterator[float]:
    """Processor seconds of all processes that this one started and that ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield used.ru_utime
    yield used.ru_stime
