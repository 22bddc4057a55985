"""A results folder as pandas frames: what `w2s_bench.results(DIR)` gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.errors import CellError
from w2s_bench.names import short
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.folder import board_of
from w2s_bench.results.tables.formats import as_html, frame
from w2s_bench.results.tables.lines import Plain, arms_table, cells_table

if TYPE_CHECKING:
    import pandas

    from w2s_bench.results.board import Leaderboard


@dataclass(frozen=True)
class Frames:
    """A board at three depths, each a tidy frame; a figure with an interval has columns `NAME`, `NAME_low` and `NAME_high`.

    `rows`: one line an arm over all domains, as the board ranks them. `cells`: one line an arm and domain, references and arms
    beside the ranked ones too (`table` says where they stand), with every figure. `seeds`: one line an arm, domain and seed:
    `accuracy` (of the evaluated items, 0 to 1), `kept` (rows), `purity` and `coverage` (0 to 1), `shortfall` (rows), `auroc` (of
    the trust scores), `error` where the seed failed.
    """

    rows: pandas.DataFrame
    cells: pandas.DataFrame
    seeds: pandas.DataFrame
    board: Leaderboard

    def __repr__(self) -> str:
        """A line: the frames and the board have tens of thousands of characters."""
        frames = {"rows": self.rows, "cells": self.cells, "seeds": self.seeds}
        shapes = (f"{name} {len(one)} × {one.shape[1]}" for name, one in frames.items())
        return f"Frames of suite {self.board.suite.name} {self.board.suite.version}: {', '.join(shapes)}"

    def _repr_html_(self) -> str:
        """The first table of the board, as a notebook shows it."""
        return as_html(arms_table(self.board))


def sound_board(results: Path) -> Leaderboard:
    """The board of a folder whose every cell can be believed; CellError names the first that cannot."""
    board, refused = board_of(results)
    if refused:
        raise CellError(f"{results}: {refused[0].file}: {refused[0].found}; `w2s-bench check` lists all")
    return board


def frames(results: Path | str) -> Frames:
    """The frames of a results folder. Raises CellError where it is none, or a cell of it cannot be believed."""
    board = sound_board(Path(results))
    _, cells = read_results(Path(results))
    rows, by_cell = frame(arms_table(board).data()), frame(cells_table(board).data())
    return Frames(rows, by_cell, frame(_by_seed(cells)), board)


def _by_seed(cells: list[Cell]) -> dict[str, list[Plain]]:
    lines: list[dict[str, Plain]] = []
    for cell in cells:
        body = cell.body
        whose: dict[str, Plain] = {
            "domain": short(body.domain.name),
            "generation": body.generation,
            "arm": short(body.arm.name),
            "track": "reference" if body.arm.role == "reference" else body.arm.supervision,
        }
        for seed in body.seeds:
            area = seed.diagnostics.get("auroc")
            lines.append(
                whose
                | {"seed": seed.seed, "accuracy": seed.accuracy, "kept": seed.kept, "purity": seed.purity}
                | {"coverage": seed.coverage, "shortfall": seed.shortfall}
                | {"auroc": area if isinstance(area, float) else None, "error": seed.error}
            )
    return {name: [line[name] for line in lines] for name in lines[0]}
