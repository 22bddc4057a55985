"""A pool of a million rows through the stages that score and select, for the memory that they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TITLE = "Rows: a million weak labels through a trust function of scope `row` and through selection"
TARGET = (
    "The stages `score` (`confidence`, on items of four options) and `top` (coverage 0.5), as a worker calls them, each pool in"
    " a process of its own. Memory is the process's peak above what it had before the stages. Whole: the same with all rows in"
    " one call, as a function of scope `pool` has them. Target: below 200 bytes per row beyond the first ten thousand rows."
)
_BASE = 10_000  # rows beyond which memory is counted by the row


def run(quick: bool) -> list[dict[str, str | float]]:
    rows: list[dict[str, str | float]] = []
    first = 0.0
    for count in (_BASE, 100_000) if quick else (_BASE, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_pool(folder, count)
            pieces = measured(folder, count, whole=False)
            whole = measured(folder, count, whole=True) if count <= 100_000 else None
        first = first or pieces["bytes"]
        rows.append(
            {
                "rows": f"{count:,}",
                "memory, MB": round(pieces["bytes"] / 1e6),
                f"bytes a row beyond {_BASE:,}": (pieces["bytes"] - first) / (count - _BASE) if count > _BASE else "",
                "whole, MB": round(whole["bytes"] / 1e6) if whole else "not run",
                "score, rows a second": round(count / pieces["score"]),
                "select, rows a second": round(count / pieces["select"]),
            }
        )
    return rows


def write_pool(folder: Path, count: int) -> None:
    """The files that the stages before would have left: items, and the labels of a teacher."""
    from w2s_bench.protocol.files import ITEMS, PREDICTIONS
    from w2s_bench.record import write_records
    from w2s_bench.types import Item, Prediction

    def items() -> Iterator[Item]:
        for i in range(count):
            prompt = f"Question {i}: which of four words is the longest, and how would anybody know? Answer:"
            yield Item(f"item-{i:07d}", f"group-{i}", f"key-{i}", "stratum", prompt, options(i))

    def labels() -> Iterator[Prediction]:
        for i in range(count):
            scores = tuple(-float(1 + (i * step) % 9973) / 1000 for step in (7919, 6007, 4001, 2003))
            best = max(range(4), key=scores.__getitem__)
            text = options(i)[best]
            yield Prediction(f"item-{i:07d}", text, text, False, best, scores)

    for name in ("items", "labels"):
        (folder / name).mkdir()
    write_records(folder / "items" / ITEMS, items())
    write_records(folder / "labels" / PREDICTIONS, labels())


def options(number: int) -> tuple[str, ...]:
    return tuple(f" word{(number * step) % 997}-{step}" for step in (1, 2, 3, 4))


def measured(folder: Path, count: int, *, whole: bool) -> dict[str, float]:
    """Bytes at the peak, and seconds of both stages, in a process of their own."""
    out = folder / ("whole" if whole else "pieces")
    command = [sys.executable, __file__, str(folder), str(out), str(count), *(["whole"] if whole else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ})
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(folder: Path, out: Path, count: int, whole: bool) -> dict[str, float]:
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.protocol import selection, trust
    from w2s_bench.protocol.files import KEPT
    from w2s_bench.record import read_json
    from w2s_bench.store.stage import StageContext

    if whole:
        trust.ROWS_AT_ONCE = count
    registry = Registry.load(())
    name = "w2s-bench/confidence"
    source = registry.source_digest(registry.resolve("trust_function", name))
    function = {"name": name, "parameters": {}, "supervision": "none", "plugin": {"source": source}}
    inputs = {"pool:items": folder / "items", "pool:labels": folder / "labels"}

    def stage(run: Any, name: str, params: dict[str, Any], inputs: dict[str, Path]) -> float:
        (out / name).mkdir(parents=True)
        begun = time.perf_counter()
        run(StageContext(params, inputs, out / name, registry))
        return time.perf_counter() - begun

    before = peak()
    score = stage(trust.run_score, "score", {"function": function, "salt": "bench", "seed": 0}, inputs)
    select = stage(selection.run_top, "top", {"coverage": 0.5, "seed": 0}, {"scores": out / "score"})
    found = {"bytes": float(peak() - before), "score": score, "select": select}
    assert len(read_json(out / "top" / KEPT)["ids"]) == count // 2
    return found


def peak() -> int:
    """Most bytes that this process ever had in memory. `getrusage` would count those of the process that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), "whole" in sys.argv[4:])))
