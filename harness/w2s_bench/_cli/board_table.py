"""A leaderboard on a terminal: columns that do not fit beside each other stand below, so that no figure is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from w2s_bench._cli.causes import likely_cause
from w2s_bench._cli.output import console
from w2s_bench.results.board import DomainSummary, Leaderboard, Row
from w2s_bench.results.statistics import Estimate, Ratio
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

_TRACK_STYLE = {"none": "cyan", "trust_set": "green", "privileged": "magenta", "control": "dim"}
_NARROWEST_ARM = 16  # characters: longer names are folded where there is no room
_WIDEST_HEAD = 20  # about as wide as a figure with its interval


@dataclass(frozen=True)
class _Column:
    head: str
    of: Callable[[Row], str]
    justify: str = "right"
    bold: bool = False


def print_board(board: Leaderboard) -> None:
    """PGR of every arm in every domain with its 95 % interval, ranked within tracks; controls below.

    A domain whose gap is not resolved shows accuracies instead, and below the table the likely cause.
    """
    screen = console()
    title = f"{board.suite.name} {board.suite.version} · PGR [95 % interval] · {_seeds(board)}"
    title += " · on DEV items" if board.suite.evaluate_on == "dev" else ""
    screen.print(Text(one_line(title), style="bold"))
    track, mean = (
        _Column("track", lambda row: row.track, "left"),
        _Column("mean", lambda row: _ratio(row.mean_pgr), bold=True),
    )
    shares = [_Column("purity", lambda row: _share(row.purity)), _Column("coverage", lambda row: _share(row.coverage))]
    domains = [_domain_column(domain) for domain in board.domains]
    for columns in _blocks(board, [track, *domains, mean, *shares], [track, mean, *shares, *domains], screen):
        screen.print(_table(board, columns, screen.width))
    screen.print(_references(board, screen))
    screen.print("PGR: 0 = the weak teacher, 1 = the student trained on ground truth", highlight=False)
    for domain in board.domains:
        if not domain.resolved:
            told = f"{domain.name}: gap unresolved, so accuracies and no PGR. {likely_cause(domain)}"
            screen.print(Text(one_line(told)))


def _blocks(board: Leaderboard, whole: list[_Column], parted: list[_Column], screen: Console) -> list[list[_Column]]:
    """All columns in one table where they fit, else tables one below the other, each with as many as fit."""
    if _width(board, whole, screen) <= screen.width:
        return [whole]
    blocks: list[list[_Column]] = [[]]
    for column in parted:
        if blocks[-1] and _width(board, [*blocks[-1], column], screen, folded=True) > screen.width:
            blocks.append([])
        blocks[-1].append(column)
    return blocks


def _width(board: Leaderboard, columns: Sequence[_Column], screen: Console, *, folded: bool = False) -> int:
    """Characters that the columns take beside the arms' names, which may be folded."""
    arms = max((len(one_line(row.arm)) for row in board.rows), default=0)
    spare = max(arms - max(_NARROWEST_ARM, screen.width // 4), 0) if folded else 0
    wide = screen.options.update(max_width=100_000)
    return screen.measure(_table(board, columns, 100_000), options=wide).maximum - spare


def _table(board: Leaderboard, columns: Sequence[_Column], width: int) -> Table:
    # Names and stand-ins for figures come from plugins and cells: `Text`, in which no brackets mean anything.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("arm", overflow="fold", vertical="bottom")
    for column in columns:
        head = "\n".join(textwrap.wrap(one_line(column.head), min(_WIDEST_HEAD, width)))
        style = "bold" if column.bold else None
        table.add_column(Text(head), justify=column.justify, style=style, no_wrap=True, vertical="bottom")  # type: ignore[arg-type]
    was_control = False
    for row in board.rows:
        if row.is_control and not was_control:
            table.add_section()
        was_control = row.is_control
        table.add_row(
            Text(one_line(row.arm)),
            *(Text(one_line(column.of(row))) for column in columns),
            style=_TRACK_STYLE[row.track],
        )
    return table


def _domain_column(domain: DomainSummary) -> _Column:
    def pgr(row: Row) -> str:
        return _ratio(row.entries[domain.name].pgr) if domain.name in row.entries else "–"

    def accuracy(row: Row) -> str:
        accuracy = row.entries[domain.name].accuracy if domain.name in row.entries else None
        return f"{accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]" if accuracy else "–"

    return _Column(domain.name, pgr) if domain.resolved else _Column(f"{domain.name} (accuracy)", accuracy)


def _references(board: Leaderboard, screen: Console) -> Table:
    """The accuracies that a PGR is measured between."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("accuracy", overflow="fold")
    names = ("weak", "base", "ceiling")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for domain in board.domains:
        accuracies = [domain.references[name].accuracy if name in domain.references else None for name in names]
        table.add_row(
            Text(one_line(domain.name)), *(f"{accuracy.value:.3f}" if accuracy else "–" for accuracy in accuracies)
        )
    return table


def _seeds(board: Leaderboard) -> str:
    return f"{len(board.seeds)} seed{'s' if len(board.seeds) > 1 else ''}"


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if isinstance(ratio, Estimate) else ratio.brief


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}"
