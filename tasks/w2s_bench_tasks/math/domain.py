"""The domain `math` as the harness takes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_bench import TaskDomain


def first_verb(document: Mapping[str, Any]) -> str:
    """What an item's first event does, in the infinitive: who misreads a verb errs in all items that have it.

    >>> first_verb({"key": "37; drop 19; multiply 2"})
    'drop'
    """
    return str(document["key"]).split("; ")[1].split()[0]


def domain() -> TaskDomain:
    """Word problems; the longest solution has 19 tokens, and `<eos>` closes it."""
    return TaskDomain(
        name="math",
        version="1",
        kind="generate",
        yaml=Path(__file__).parent / "data" / "math.yaml",
        task_name="w2s_math",
        cluster=first_verb,
        files=("items.jsonl", "loader.py"),
        max_new_tokens=24,
    )
