"""The domain `verbs` as the harness takes it."""

from __future__ import annotations

from pathlib import Path

from w2s_bench import TaskDomain


def domain() -> TaskDomain:
    """Word problems with invented verbs; the longest solution has 19 tokens, and `<eos>` closes it.

    Group and cluster are the invented verb: what is known of it must not pass from one split to another, and who misreads it
    errs in all items that have it.
    """
    return TaskDomain(
        name="verbs",
        version="1",
        kind="generate",
        yaml=Path(__file__).parent / "data" / "verbs.yaml",
        task_name="w2s_verbs",
        cluster="group",
        files=("items.jsonl", "loader.py"),
        max_new_tokens=24,
    )
