"""A board as JSON values, for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from w2s_bench.results.across import AGAINST, Across
from w2s_bench.results.board import Entry, Leaderboard
from w2s_bench.results.pages.column import Column
from w2s_bench.results.pages.columns import ENTRY, ROW
from w2s_bench.types import JSON


def board_as_json(board: Leaderboard) -> dict[str, JSON]:
    """The whole board with every column; an unresolved ratio is `{"reason": …, "brief": …}`, a missing figure null."""
    content = asdict(board)
    if board.budget is None:
        del content["budget"]
    content["suite"] = board.suite.model_dump(mode="json")
    for table, rows in board.tables.items():
        for shown, row in zip(content[table], rows, strict=True):
            shown |= {"entries": _entries(row.entries)}
    for shown, row in zip(content["rows"], board.rows, strict=True):
        shown |= _columns(ROW, row)
    for shown, domain in zip(content["domains"], board.domains, strict=True):
        shown["references"] = _entries(domain.references)
    return content


def across_as_json(across: Across) -> dict[str, JSON]:
    """All that the page over several boards says: every board, and every trust function with its figure on each setting."""
    content = asdict(across)
    for shown, board in zip(content["boards"], across.boards, strict=True):
        shown["mean_domains"] = list(board.mean_domains)
    for shown, function in zip(content["functions"], across.functions, strict=True):
        counts = {
            rival: {
                "above": function.above(rival),
                "below": function.below(rival),
                "of": len(function.minus(rival)),
            }
            for rival in AGAINST
        }
        held = bool(function.results)
        shown |= {
            "counts": counts,
            "median": function.median if held else None,
            "range": function.range if held else None,
        }
    return content | {"settings": across.settings}


def _entries(entries: Mapping[str, Entry]) -> dict[str, JSON]:
    return {name: asdict(entry) | _columns(ENTRY, entry) for name, entry in entries.items()}


def _columns(columns: Mapping[str, Column[Any]], subject: Any) -> dict[str, JSON]:
    values = {name: column.value(subject) for name, column in columns.items()}
    return {name: asdict(value) if is_dataclass(value) else value for name, value in values.items()}  # type: ignore[arg-type]
