"""The domain `knowledge` as the harness takes it in."""

from __future__ import annotations

from pathlib import Path

from w2s_bench import TaskDomain


def domain() -> TaskDomain:
    """Four-option questions on real facts; `id`, `group`, `key`, `stratum` and `cluster` are fields of the documents."""
    return TaskDomain(
        name="knowledge",
        version="2",
        kind="choice",
        yaml=Path(__file__).parent / "data" / "knowledge.yaml",
        task_name="w2s_knowledge",
        cluster="cluster",
        files=("items.jsonl", "loader.py"),
    )
