"""A results folder for people to look at: what is wrong with one cell is told, and the others are shown all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from w2s_bench.errors import CellError
from w2s_bench.results.attestations import read_attestations
from w2s_bench.results.belief import contradictions, suite_of
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.cells import Cell
from w2s_bench.results.files import below_in_words, found_paths, read_placed
from w2s_bench.results.leaderboard import attested, build, claimed
from w2s_bench.results.report.pool import Pools
from w2s_bench.results.signatures import read_signatures
from w2s_bench.suite import Suite


@dataclass(frozen=True)
class Folder:
    """What a results folder holds: its suite, the cells that are believed, their board, and why others are left out.

    `pools`: of rows, what the store of their run knows item by item, where somebody has read it.
    """

    path: Path
    suite: Suite
    cells: tuple[Cell, ...]
    board: Leaderboard
    faults: tuple[str, ...]
    pools: Pools = field(default_factory=dict)


def read_folder(results: Path) -> Folder:
    """Every cell that can be believed. Raises `CellError` where there is none, `SuiteError` where there is no suite."""
    paths, faults = found_paths(results)
    if not results.is_dir():
        raise CellError(
            f"no folder {results}; give a results folder, which holds suite.yaml and results/DOMAIN/ARM.json"
        )
    if not paths and not faults:
        where = "give the folder that holds suite.yaml and results/" + below_in_words(results)
        raise CellError(f"no cell files in {results / 'results'}; {where}")
    cells = []
    for path in paths:
        try:
            cells.append(read_placed(path, results))
        except CellError as error:
            faults.append(error)
    suite = suite_of(results, cells)
    cells = _of_suite(cells, suite, results, faults)
    cells, board = _believed(cells, suite, results, faults)
    told = tuple(str(fault) for fault in faults)
    if board is None:
        raise CellError(f"no cell of {results} can be shown. {told[0] if told else ''}".rstrip())
    return Folder(results, suite, tuple(cells), board, told)


def _of_suite(cells: Sequence[Cell], suite: Suite, results: Path, faults: list[CellError]) -> list[Cell]:
    """The cells that are of this suite; the others become faults."""
    own = []
    for cell in cells:
        if cell.body.suite.digest == suite.digest:
            own.append(cell)
            continue
        path = cell.path(results)
        told = (
            f"{path} was made with another suite ({cell.body.suite.digest[:12]}) than suite.yaml ({suite.digest[:12]})"
        )
        faults.append(CellError(f"{told}; keep each suite in a folder of its own", path))
    return own


def _believed(
    cells: list[Cell], suite: Suite, results: Path, faults: list[CellError]
) -> tuple[list[Cell], Leaderboard | None]:
    """The cells that neither the suite nor each other contradict, and their board."""
    contradicted = [*contradictions(cells, suite, results)]
    faults += contradicted
    left = [cell for cell in cells if not any(fault.cell is cell for fault in contradicted)]
    while left:
        try:
            return left, _with_claims(build(left, results, suite.description), left, results, faults)
        except CellError as error:
            faults.append(error)
            without = [cell for cell in left if cell.path(results) != error.path]
            if len(without) == len(left):
                raise
            left = without
    return left, None


def _with_claims(board: Leaderboard, cells: Sequence[Cell], results: Path, faults: list[CellError]) -> Leaderboard:
    """The board with what others say of its cells; a file of theirs that cannot be believed is a fault, and costs no cell."""
    try:
        board = attested(board, cells, read_attestations(results))
    except CellError as error:
        faults.append(error)
    try:
        return claimed(board, cells, read_signatures(results))
    except CellError as error:
        faults.append(error)
        return board
