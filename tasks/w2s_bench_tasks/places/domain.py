"""The domain `places` as the harness takes it in."""

from __future__ import annotations

from pathlib import Path

from w2s_bench import TaskDomain


def domain() -> TaskDomain:
    """Four regions of a city's country, one of them its own; a cluster is a region."""
    return TaskDomain(
        name="places",
        version="1",
        kind="choice",
        yaml=Path(__file__).parent / "data" / "places.yaml",
        task_name="w2s_places",
        cluster="cluster",
        files=("items.jsonl", "loader.py"),
    )
