"""The domain `chess-depth` for the harness."""

from __future__ import annotations

from functools import partial

from w2s_bench import PluginError, TaskDomain
from w2s_bench_tasks.chess.domain import domain as chess
from w2s_bench_tasks.chess_depth.shallow import WHOLE_BOARD, training_document


def domain(label_depth: int | None = None) -> TaskDomain:
    """The items of `chess`, graded by exact search, and learned from by a search that looks `label_depth` squares far.

    `label_depth`: 1 to 7; at 7, as without it, it sees the whole board, and training gold is what grades.
    """
    if label_depth is not None and (type(label_depth) is not int or not 1 <= label_depth <= WHOLE_BOARD):
        raise PluginError(
            f"domain 'chess-depth': label_depth must be a whole number of squares from 1 to {WHOLE_BOARD}, got {label_depth!r}; "
            "leave it out for exact labels"
        )
    exact = chess()
    near = None if label_depth is None or label_depth == WHOLE_BOARD else partial(training_document, depth=label_depth)
    return TaskDomain(
        name="chess-depth",
        version="1",
        kind=exact.kind,
        yaml=exact.yaml,
        task_name=exact.task_name,
        cluster=exact.cluster,
        files=exact.files,
        training_document=near,
    )
