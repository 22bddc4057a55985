"""The arms of a board, each with all that its cells say: what every part of the page is made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from w2s_bench.controls import OWN_ARMS
from w2s_bench.names import file_name, short
from w2s_bench.results import statistics
from w2s_bench.results.board import Entry, Row
from w2s_bench.results.cells import ArmRef, Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.pages.style import REFERENCE, TRACKS, Look
from w2s_bench.results.report.reading import Folder
from w2s_bench.types import JSON

#: Track → how it looks; references are in none, and look like nothing else.
LOOKS: Final[Mapping[str, Look]] = MappingProxyType({**TRACKS, "reference": REFERENCE})


@dataclass(frozen=True)
class Arm:
    """One arm: `key` names it in links, `group` is its track, or `reference`. `cells` and `row.entries` are by domain."""

    key: str
    group: str
    row: Row
    cells: Mapping[str, Cell]
    other_selection: bool = False

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
    def kind(self) -> str:
        """What it is, in words for its badge."""
        if self.group in ("reference", "control"):
            return self.look.word
        return f"track {self.look.word}" + (f", selection {self.row.selection}" if self.other_selection else "")

    @property
    def says(self) -> str:
        """What the student trains on, where the harness knows it: a sentence without its full stop."""
        own = OWN_ARMS.get(self.name)
        if own is None:
            return ""
        return f"A student that trains on {own.words}" if own.kind == "control" else own.words.capitalize()

    def seconds(self, domain: str) -> float | None:
        """What the stages of its cell took, those that other arms share included; None where the cell does not say."""
        cost: JSON = self.cells[domain].provenance.get("cost") if domain in self.cells else None
        seconds: JSON = cost.get("seconds") if isinstance(cost, Mapping) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return None
        return float(seconds) if math.isfinite(seconds) and seconds >= 0 else None


def arms_of(folder: Folder) -> tuple[Arm, ...]:
    """All arms: the board's rows in its order, other selections, then the references."""
    board = folder.board
    cells: dict[str, dict[str, Cell]] = {}
    for cell in folder.cells:
        cells.setdefault(short(cell.body.arm.name), {})[short(cell.body.domain.name)] = cell
    arms = [Arm(_key(cells[row.arm]), row.track, row, cells[row.arm]) for row in board.rows]
    arms += [Arm(_key(cells[r.arm]), r.track, r, cells[r.arm], True) for r in board.other_selections]
    names = dict.fromkeys(name for domain in board.domains for name in domain.references)
    for name in names:
        entries = {d.name: d.references[name] for d in board.domains if name in d.references}
        arms.append(Arm(_key(cells[name]), "reference", _reference(name, entries, board.mean_domains), cells[name]))
    return tuple(arms)


def comparisons(folder: Folder) -> dict[str, Comparison]:
    """Domain → its cells side by side, as the board compares them."""
    by_domain: dict[str, dict[str, Cell]] = {domain.name: {} for domain in folder.board.domains}
    for cell in folder.cells:
        by_domain[short(cell.body.domain.name)][short(cell.body.arm.name)] = cell
    return {name: Comparison(cells) for name, cells in by_domain.items()}


def _key(cells: Mapping[str, Cell]) -> str:
    return file_name(next(iter(cells.values())).body.arm.name)


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
