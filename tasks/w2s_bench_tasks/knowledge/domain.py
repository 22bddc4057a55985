"""The domain `knowledge` as the harness takes it in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from w2s_bench.domains.task import TaskDomain


def domain() -> TaskDomain:
    """Four-option questions on real facts; `id`, `group`, `key` and `stratum` are fields of the documents."""
    from w2s_bench.domains.task import TaskDomain

    return TaskDomain(
        name="knowledge",
        version="1",
        kind="choice",
        yaml=Path(__file__).parent / "data" / "knowledge.yaml",
        task_name="w2s_knowledge",
        files=("items.jsonl", "loader.py"),
    )
