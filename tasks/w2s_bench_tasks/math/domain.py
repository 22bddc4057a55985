"""The domain `math` as the harness takes it."""

from __future__ import annotations

from pathlib import Path

from w2s_bench import TaskDomain


def domain() -> TaskDomain:
    """Word problems; the longest solution has 19 tokens, and `<eos>` closes it."""
    return TaskDomain(
        name="math",
        version="1",
        kind="generate",
        yaml=Path(__file__).parent / "data" / "math.yaml",
        task_name="w2s_math",
        files=("items.jsonl", "loader.py"),
        max_new_tokens=24,
    )
