"""The domain `chess` for the harness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_bench import TaskDomain


def question_of_pieces(document: Mapping[str, Any]) -> str:
    """The question and the kinds of the two pieces, as in `strike Qr`: who has not learned one errs in all items that ask it.

    >>> question_of_pieces({"stratum": "strike", "pair": "Qd8 rc7"})
    'strike Qr'
    """
    return f"{document['stratum']} {''.join(piece[0] for piece in document['pair'].split())}"


def domain() -> TaskDomain:
    """Choice among four verdicts on one white move, proved by exact search."""
    return TaskDomain(
        name="chess",
        version="1",
        kind="choice",
        yaml=Path(__file__).parent / "data" / "chess.yaml",
        task_name="w2s_chess",
        cluster=question_of_pieces,
        files=("items.jsonl", "loader.py"),
    )
