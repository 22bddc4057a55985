"""Cells of a results folder that a run leaves as they are, since it has nothing better to put in their place.

Two rules, told in docs/protocol.md: a domain that cannot be used now keeps what the folder has of it, and a row that fails
where it had a result of the same inputs keeps that result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2s_bench.errors import CellError, NotApplicableError, SuiteError
from w2s_bench.names import short
from w2s_bench.results.belief import refuse_contradictions
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.files import cell_paths, read_placed
from w2s_bench.results.leaderboard import refuse_mixture

if TYPE_CHECKING:
    from w2s_bench.executors import Failed
    from w2s_bench.suite import Suite

_MOST_NAMED = 3


@dataclass(frozen=True)
class Standing:
    """What a results folder keeps of an earlier run. `domains`: those that cannot be used now and of which it has results."""

    folder: Path
    suite: Suite
    domains: frozenset[str]

    @classmethod
    def of(cls, suite: Suite, folder: Path, unusable: Mapping[str, Failed]) -> Standing:
        """Raises SuiteError where results are of fewer seeds than the suite has now: they could not stay beside the new ones."""
        held = _results_of(unusable, folder)
        for cell in held:
            if cell.body.suite.digest != suite.digest:
                failed = unusable[cell.body.domain.name]
                raise SuiteError(
                    f"{failed.stage} failed: {failed.reason}\n{folder} holds results of {short(cell.body.domain.name)} for fewer "
                    "seeds, which cannot be extended so; it is left as it is: mend that, and run again"
                )
        return cls(folder, suite, frozenset(cell.body.domain.name for cell in held))

    def waits(self, cell: Cell) -> bool:
        """Whether a cell that has just come may not be written after all: the end of the run decides."""
        return cell.body.domain.name in self.domains or (bool(cell.body.failed) and cell.path(self.folder).exists())

    def rows(self, cells: Sequence[Cell]) -> tuple[frozenset[str], frozenset[str]]:
        """Of all cells of a run the rows that it does not write: those of `domains`, and others that failed where they had not."""
        idle = frozenset(cell.row for cell in cells if cell.body.domain.name in self.domains)
        better = [before for cell in cells if cell.row not in idle and (before := self._better(cell)) is not None]
        kept = set[str]()
        for domain in {cell.body.domain.name for cell in better}:
            here = {cell.row: cell for cell in better if cell.body.domain.name == domain}
            others = [cell for cell in cells if cell.body.domain.name == domain and cell.row not in here]
            if self._agree([*here.values(), *others]):
                kept |= here.keys()
        return idle, frozenset(kept)

    def _better(self, now: Cell) -> Cell | None:
        """The cell of the same inputs that is there and has results for more seeds; one that is not applicable is no failure."""
        lost = {one.seed for one in now.body.failed if not NotApplicableError.is_behind(one.error)}
        if not lost or (before := _there(now.path(self.folder), self.folder)) is None:
            return None
        fewer = {one.seed for one in before.body.failed} < lost
        return before if fewer and _inputs(before.body) == _inputs(now.body) else None

    def _agree(self, cells: Sequence[Cell]) -> bool:
        """Whether old and new cells of a domain can stand on one board: another machine may have made other weak labels."""
        try:
            refuse_contradictions(cells, self.suite, self.folder)
            refuse_mixture(cells, self.folder)
        except CellError:
            return False
        return True


def in_words(idle: Iterable[str], kept: Iterable[str], folder: Path) -> tuple[str, ...]:
    """What a run says of the rows that it has not written; nothing where there are none."""
    reasons = (
        (idle, "their domain could not be used this time"),
        (kept, "they failed this time, and lay there with results of the same suite, models and code"),
    )
    return tuple(f"{_named(sorted(rows))} in {folder} left as found: {why}" for rows, why in reasons if rows)


def _named(rows: Sequence[str]) -> str:
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return f"{len(rows)} row{'' if len(rows) == 1 else 's'} ({', '.join(rows[:_MOST_NAMED])}{more})"


def _results_of(domains: Iterable[str], folder: Path) -> list[Cell]:
    """The cells of these domains in a results folder that have a result for at least one seed."""
    if not (wanted := set(domains)):
        return []
    there = [cell for path in cell_paths(folder) if (cell := _there(path, folder)) is not None]
    return [cell for cell in there if cell.body.domain.name in wanted and len(cell.body.failed) < len(cell.body.seeds)]


def _there(path: Path, folder: Path) -> Cell | None:
    try:
        return read_placed(path, folder)
    except CellError:
        return None  # there is none, or nobody would believe it


def _inputs(body: CellBody) -> dict[str, Any]:
    """All that a cell's seeds are made of, as far as a cell whose seeds all failed can tell."""
    return body.model_dump(exclude={"items", "items_digest", "clusters", "seeds"})
