"""What a leaderboard costs, which every run makes anew from all cells beside it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TITLE = "Board: leaderboard, plot and README from cells"
TARGET = (
    "Made-up cells of three domains, three seeds and 300 test items, controls and references beside the trust functions."
    " Processor seconds in a process of its own: imports, then reading the cells, computing the board, and drawing and writing"
    " it. Target: reading and computing below 1 s for 100 trust functions."
)
_DOMAINS = ("w2s-bench/math", "w2s-bench/chess", "w2s-bench/knowledge")


def run(quick: bool) -> list[dict[str, str | float]]:
    rows: list[dict[str, str | float]] = []
    for count in (10,) if quick else (10, 100):
        with tempfile.TemporaryDirectory() as place:
            cells = write(Path(place), count)
            command = [sys.executable, __file__, place]
            imports, computed, written = map(float, subprocess.check_output(command, text=True).split())
        rows.append(
            {
                "trust functions": count,
                "cells": cells,
                "imports, CPU s": round(imports, 2),
                "board, CPU s": round(computed, 2),
                "a cell, ms": round(1000 * computed / cells, 2),
                "plot and README, CPU s": round(written, 2),
            }
        )
    return rows


def write(results: Path, count: int) -> int:
    """Cells of so many trust functions on each domain; how many there are in all."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import cell_builder

    trust = {f"acme/function-{n}": (0.55 + 0.3 * n / count, "none", 0.7) for n in range(count)}
    cell_builder.TRUST.clear()
    cell_builder.TRUST.update(trust)
    made = [cell_builder.make_cells(domain) for domain in _DOMAINS]
    cell_builder.write_cells(results, *made)
    return sum(map(len, made))


def main(results: Path) -> None:
    from w2s_bench.results.files import read_cells
    from w2s_bench.results.leaderboard import build, write_leaderboard
    from w2s_bench.results.statistics import accuracy

    accuracy([[True, False], [True, True]])  # type: ignore[arg-type]  # what is imported on the way is imported now
    import scipy.optimize  # noqa: F401

    took = [time.process_time()]
    build(read_cells(results), results)
    took.append(time.process_time())
    write_leaderboard(results)
    took.append(time.process_time())
    print(took[0], took[1] - took[0], took[2] - took[1] - (took[1] - took[0]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
