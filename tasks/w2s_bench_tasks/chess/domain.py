"""The domain `chess` for the harness."""

from __future__ import annotations

from pathlib import Path

from w2s_bench import TaskDomain


def domain() -> TaskDomain:
    """Choice among four verdicts on one white move, proved by exact search."""
    return TaskDomain(
        name="chess",
        version="1",
        kind="choice",
        yaml=Path(__file__).parent / "data" / "chess.yaml",
        task_name="w2s_chess",
        files=("items.jsonl", "loader.py"),
    )
