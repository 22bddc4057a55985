"""What a long file takes: rows pass by in parts, and of each there remain its id and its scores."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from w2s_bench.scoring import labels
from w2s_bench.scoring import rows as parsing
from w2s_bench.scoring.outcome import Asked
from w2s_bench.scoring.rows import Row
from w2s_bench.scoring.schema import Columns
from w2s_bench.scoring.score import score_labels, silent

AT_ONCE, GOLD = 16, 40


class Counted(Row):
    """A row that is counted while it is there."""

    there = most = 0

    def __init__(self, *fields: Any, **named: Any) -> None:
        super().__init__(*fields, **named)
        Counted.there += 1
        Counted.most = max(Counted.most, Counted.there)

    def __del__(self) -> None:
        Counted.there -= 1


def written(path: Path, n: int) -> Path:
    """A file of n rows with long prompts, gold in the first of them."""
    with path.open("w") as lines:
        for i in range(n):
            p = (i * 7919 % 1000 + 0.5) / 1000
            row: dict[str, Any] = {"id": f"r{i}", "prompt": f"{i}: " + "words " * 100, "label": "ab"[i % 2]}
            row |= {"options": ["a", "b"], "probs": [p, 1 - p] if i % 2 == 0 else [1 - p, p]}
            lines.write(json.dumps(row | ({"correct": i % 3 > 0} if i < GOLD else {})) + "\n")
    return path


def most_held(folder: Path, n: int, trust: Sequence[str]) -> int:
    """Rows that are there at once, at most, while a file of n is scored and everything is written."""
    Counted.there = Counted.most = 0
    score_labels(
        Asked(str(written(folder / f"{n}.jsonl", n)), Columns.of({}), trust),
        folder / f"out-{n}",
        force=True,
        progress=silent,
    )
    return Counted.most


@pytest.mark.slow
def test_rows_pass_by_in_parts_and_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "ROWS_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(parsing, "Row", Counted)
    few, many = (most_held(tmp_path, n, ("confidence", "calibrated")) for n in (200, 800))
    assert min(few, many) > GOLD and max(few, many) <= GOLD + 4 * AT_ONCE, "the trust set, and a few parts"
    # One that looks at the pool as a whole has it as a whole; so what is counted is there.
    assert most_held(tmp_path, 800, ("confidence", "batch_calibrated")) >= 800


@pytest.mark.slow
def test_a_row_leaves_its_id_and_its_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, by what a longer file takes more at its peak; a row of this file has 800."""
    monkeypatch.setattr(labels, "ROWS_AT_ONCE", AT_ONCE)
    peaks = []
    for n in (500, 500, 4500):  # once before, for what is loaded and kept for good
        asked = Asked(str(written(tmp_path / f"{n}.jsonl", n)), Columns.of({}), ("confidence", "option_margin"))
        tracemalloc.start()
        score_labels(asked, tmp_path / f"out {len(peaks)}", force=True, progress=silent, all_files=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[2] - peaks[1]) / 4000 < 250
