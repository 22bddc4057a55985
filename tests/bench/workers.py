"""The whole frozen suite from an empty store with one worker and with two, and once more when all of it is stored."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TITLE = "Workers: the suite `tiny` from an empty store, with one worker, with two, and again"
TARGET = (
    "`w2s-bench run tiny` as a whole process, imports and plot included; the cell bodies of both runs are compared, too. Two"
    " workers against one: target ≥ 1.8 ×. Again, all stages stored: target < 3 s (the median of five)."
)


def run(quick: bool) -> list[dict[str, str | float]]:
    options = ["--domain", "knowledge", "--seeds", "1"] if quick else []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        one = timed(folder / "one", options, workers=1)
        two = timed(folder / "two", options, workers=2)
        again = [timed(folder / "two", options, workers=2) for _ in range(5)]
        same = sum(a == b for a, b in zip(bodies(folder / "one"), bodies(folder / "two"), strict=True))
        cells = len(bodies(folder / "one"))
    if same != cells:
        raise SystemExit(f"only {same} of {cells} cell bodies are the same with one worker and with two")
    return [
        {"run": "1 worker", "seconds": one, "times faster": 1.0},
        {"run": "2 workers", "seconds": two, "times faster": one / two},
        {
            "run": "again, all stored",
            "seconds": statistics.median(again),
            "times faster": one / statistics.median(again),
        },
    ]


def timed(folder: Path, options: list[str], workers: int) -> float:
    """Wall seconds of one run of the command."""
    command = [sys.executable, "-m", "w2s_bench", "run", "tiny", *options, "--workers", str(workers), "--quiet"]
    begun = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([*command, "--out", str(folder), "--store", str(folder / "store")], check=True, env=environment)
    return time.perf_counter() - begun


def bodies(folder: Path) -> list[object]:
    return [json.loads(path.read_text())["body"] for path in sorted(folder.glob("tiny/results/*/*.json"))]
