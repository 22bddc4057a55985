"""The arms of a board, each with all that its cells say: what every part of the page is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from w2s_bench.names import file_name
from w2s_bench.results import statistics
from w2s_bench.results.board import Entry, Leaderboard, Row
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.pages.arm_words import arm_in_words
from w2s_bench.results.pages.style import REFERENCE, TRACKS, Look
from w2s_bench.results.references import ArmRef
from w2s_bench.results.report.reading import Folder

#: Track → how it looks; references are in none, and look like nothing else.
LOOKS: Final[Mapping[str, Look]] = MappingProxyType({**TRACKS, "reference": REFERENCE})


@dataclass(frozen=True)
class Arm:
    """One arm: `key` names it in links, `group` is its track, or `reference`. `cells` and `row.entries` are by domain.

    `beside` says of an arm that the board has in no ranking why that is: "other selection" and whatever else there is.
    """

    key: str
    group: str
    row: Row
    cells: Mapping[str, Cell]
    beside: str = ""

    @property
    def name(self) -> str:
        return self.row.arm

    @property
    def ref(self) -> ArmRef:
        return next(iter(self.cells.values())).body.arm

    @property
    def look(self) -> Look:
        return LOOKS[self.group]

    @property
    def badge(self) -> str:
        """What it is, in words."""
        is_own = self.group in ("reference", "control")
        return (self.look.word if is_own else f"track {self.look.word}") + (f", {self.beside}" if self.beside else "")

    @property
    def says(self) -> str:
        """What the student trains on: a sentence without its full stop, names between backticks."""
        return arm_in_words(self.ref)


def arms_of(folder: Folder) -> tuple[Arm, ...]:
    """All arms: the board's rows in its order, those that it has beside its ranking, then the references."""
    board = folder.board
    cells = {cell.row: cell for cell in folder.cells}
    arms = [_arm(row.track, row, cells) for row in board.rows]
    for table, rows in board.tables.items():
        if table != "rows":
            # `other_selections` holds rows that are each an "other selection".
            said = table.removesuffix("s").replace("_", " ")
            arms += [_arm(row.track, row, cells, _beside(row, said)) for row in rows]
    for name in dict.fromkeys(name for domain in board.domains for name in domain.references):
        entries = {d.name: d.references[name] for d in board.domains if name in d.references}
        arms.append(_arm("reference", _reference(name, entries, board.mean_domains), cells))
    return tuple(arms)


def comparisons(board: Leaderboard, arms: Sequence[Arm]) -> dict[str, Comparison]:
    """Domain → the cells of its arms side by side, as the board compares them."""
    return {
        domain.name: Comparison({arm.name: arm.cells[domain.name] for arm in arms if domain.name in arm.cells})
        for domain in board.domains
    }


def without_arm(folder: Folder, arms: Sequence[Arm]) -> tuple[Cell, ...]:
    """The cells that no arm shows: of what the board has in tables of its own."""
    shown = {cell.row for arm in arms for cell in arm.cells.values()}
    return tuple(cell for cell in folder.cells if cell.row not in shown)


def _arm(group: str, row: Row, cells: Mapping[str, Cell], beside: str = "") -> Arm:
    own = {domain: cells[entry.row] for domain, entry in row.entries.items()}
    return Arm(file_name(next(iter(own.values())).body.arm.name), group, row, own, beside)


def _beside(row: Row, said: str) -> str:
    if row.objective:
        return f"objective {row.objective}"
    if row.selection != "top":
        return f"selection {row.selection}"
    return "explains another arm" if said == "explaining" else said


def _reference(name: str, entries: Mapping[str, Entry], domains: tuple[str, ...]) -> Row:
    """A reference as a row beside those that are ranked."""
    missing = statistics.Unresolved("no cell", "–")
    figures = {domain: entries[domain].pgr if domain in entries else missing for domain in domains}
    return Row(
        arm=name,
        track="reference",
        plugins=(),
        rank=None,
        entries=entries,
        mean_pgr=statistics.mean_over_domains(figures),
        mean_minus={},
        purity=None,
        coverage=None,
    )
