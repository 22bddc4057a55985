"""Two results folders cell by cell: whether bodies are equal, and by how much accuracies and PGRs are apart, paired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from w2s_bench.controls import CEILING, WEAK
from w2s_bench.names import row_name, short
from w2s_bench.results import statistics
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.findings import Finding
from w2s_bench.results.checking.folder import Folder, read_folder
from w2s_bench.results.compared import Verdict, compare
from w2s_bench.results.statistics import Ratio, Unresolved
from w2s_bench.types import JSON, BoolArray

_NOT_PAIRED = Unresolved("the two were asked other items, or share no seed", "not paired")


@dataclass(frozen=True)
class Difference:
    """One row in two folders A and B.

    `accuracy` and `pgr` are B − A with 95 % intervals, paired by seed and item; PGR in units of A's gap. They are `Unresolved`
    where the two cannot be paired, have one seed of several in common, or there is no gap, and None where one folder lacks the
    row.
    """

    row: str
    verdict: Verdict | Literal["only in A", "only in B"]
    why: str = ""
    accuracy: Ratio | None = None
    pgr: Ratio | None = None

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


@dataclass(frozen=True)
class Compared:
    """All rows of two folders, and what could not be read of either."""

    differences: tuple[Difference, ...]
    refused: tuple[tuple[Path, Finding], ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs, or nothing by more than the tolerance."""
        return not self.refused and all(d.verdict in ("identical", "within tolerance") for d in self.differences)


def differences(a: Path, b: Path, tolerance: float | None = None) -> Compared:
    """Compare two results folders, row by row in their order. `tolerance` is that of accuracies, as a suite has it; without one,
    bodies that are not equal differ.

    Raises CellError where one of them is no folder of a board.
    """
    first, second = read_folder(a), read_folder(b)
    old, new = _by_row(first), _by_row(second)
    differing = [
        _difference(row, old.get(row), new.get(row), old, tolerance) for row in sorted(old.keys() | new.keys())
    ]
    refused = [(folder.path, finding) for folder in (first, second) for finding in folder.refused]
    return Compared(tuple(differing), tuple(refused))


def _by_row(folder: Folder) -> dict[str, Cell]:
    return {cell.row: cell for cell in folder.cells}


def _difference(
    row: str, old: Cell | None, new: Cell | None, cells: Mapping[str, Cell], tolerance: float | None
) -> Difference:
    if old is None or new is None:
        return Difference(row, "only in B" if old is None else "only in A")
    told = compare(old, new, tolerance or 0.0)
    verdict: Verdict = "DIFFERS" if tolerance is None and told.verdict != "identical" else told.verdict
    domain = old.body.domain.name
    weak, ceiling = (cells.get(row_name(domain, name)) for name in (WEAK, CEILING))
    own = short(old.body.arm.name)
    pgr = None if own in (WEAK, CEILING) else _pgr(old, new, weak, ceiling)
    return Difference(row, verdict, told.why, _accuracy(old, new), pgr)


def _accuracy(old: Cell, new: Cell) -> Ratio:
    stacked = _stacked(old, new)
    if isinstance(stacked, Unresolved):
        return stacked
    before, after = stacked
    return statistics.accuracy_difference(after, before, clusters=old.body.cluster_codes)


def _pgr(old: Cell, new: Cell, weak: Cell | None, ceiling: Cell | None) -> Ratio:
    if weak is None or ceiling is None:
        return Unresolved(f"A has no cell of {WEAK} or {CEILING}", "–")
    stacked = _stacked(old, new, weak, ceiling)
    if isinstance(stacked, Unresolved):
        return stacked
    before, after, low, high = stacked
    return statistics.pgr_difference(after, before, low, high, clusters=old.body.cluster_codes)


def _stacked(*cells: Cell) -> list[BoolArray] | Unresolved:
    """(seeds, items) correctness of each cell on the seeds that all have; unresolved where they cannot be paired, and, as on a
    board, where that is one seed of several, which says nothing of how much seeds differ."""
    if len({(cell.body.items, cell.body.items_digest) for cell in cells}) > 1:
        return _NOT_PAIRED
    correct = [cell.body.correctness() for cell in cells]
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in correct)))
    if not seeds:
        return _NOT_PAIRED
    if len(seeds) == 1 and (asked := max(len(cell.body.seeds) for cell in cells)) > 1:
        return Unresolved(f"one seed of {asked} that all of them have", "one seed")
    return [np.stack([by_seed[seed] for seed in seeds]) for by_seed in correct]
