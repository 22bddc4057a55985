"""A leaderboard on a terminal: columns that do not fit beside each other stand below, so that no figure is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from w2s_bench._cli.causes import likely_cause
from w2s_bench._cli.output import console
from w2s_bench.controls import of_role
from w2s_bench.names import README
from w2s_bench.results.board import DomainChains, Leaderboard, Row
from w2s_bench.results.pages import columns
from w2s_bench.results.pages.column import Column, in_domain
from w2s_bench.results.pages.standing import gain_in_words, standing
from w2s_bench.results.pages.style import TRACKS, count, difference, number
from w2s_bench.results.pages.warnings import few_seeds
from w2s_bench.results.statistics import Estimate
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

_NARROWEST_ARM = 16  # characters: longer names are folded where there is no room
_WIDEST_HEAD = 20  # about as wide as a figure with its interval


def print_board(board: Leaderboard) -> None:
    """PGR of every arm in every domain with its 95 % interval, ranked within tracks; controls below.

    A domain whose gap is not resolved shows accuracies instead, and below the table the likely cause.
    """
    screen = console()
    title = f"{board.suite.name} {board.suite.version} · PGR [95 % interval] · {count(len(board.seeds), 'seed')}"
    title += " · on DEV items" if board.suite.evaluate_on == "dev" else ""
    screen.print(Text(one_line(title), style="bold"))
    (track, *others), domains = _columns(board)
    for block in _blocks(board, [track, *domains, *others], [track, *others, *domains], screen):
        screen.print(_table(board, block, screen.width))
    screen.print(_references(board))
    screen.print("PGR: 0 = the weak teacher, 1 = the student trained on ground truth", highlight=False)
    if (few := few_seeds(board)) is not None:
        screen.print(Text(f"{few.title} {few.text}"))
    for sentence in standing(board, one_line):
        screen.print(Text(sentence))
    parted = [words for gain in board.gains if (words := gain_in_words(gain, one_line)) is not None]
    for words in parted:
        screen.print(Text(words))
    if parted:
        screen.print(f"The parts have intervals on the page, {README}.", highlight=False)
    for chains in board.chains:
        screen.print(_chains(chains))
    for domain in board.domains:
        if not domain.resolved:
            told = f"{domain.name}: gap unresolved, so accuracies and no PGR. {likely_cause(domain)}"
            screen.print(Text(one_line(told)))
        elif domain.left_out:
            screen.print(Text(one_line(f"{domain.name}: means leave it out: {domain.left_out}.")))


def _blocks(
    board: Leaderboard, whole: list[Column[Row]], parted: list[Column[Row]], screen: Console
) -> list[list[Column[Row]]]:
    """All columns in one table where they fit, else tables one below the other, each with as many as fit."""
    if _width(board, whole, screen) <= screen.width:
        return [whole]
    blocks: list[list[Column[Row]]] = [[]]
    for column in parted:
        if blocks[-1] and _width(board, [*blocks[-1], column], screen, folded=True) > screen.width:
            blocks.append([])
        blocks[-1].append(column)
    return blocks


def _width(board: Leaderboard, shown: Sequence[Column[Row]], screen: Console, *, folded: bool = False) -> int:
    """Characters that the columns take beside the arms' names, which may be folded."""
    arms = max((len(one_line(row.arm)) for row in board.rows), default=0)
    spare = max(arms - max(_NARROWEST_ARM, screen.width // 4), 0) if folded else 0
    wide = screen.options.update(max_width=100_000)
    return screen.measure(_table(board, shown, 100_000), options=wide).maximum - spare


def _table(board: Leaderboard, shown: Sequence[Column[Row]], width: int) -> Table:
    # Names and stand-ins for figures come from plugins and cells: `Text`, in which no brackets mean anything.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    heads = [textwrap.wrap(one_line(_head(column)), min(_WIDEST_HEAD, width)) for column in shown]
    height = max(map(len, heads), default=1)
    table.add_column("\n" * (height - 1) + "arm", overflow="fold")
    for column, head in zip(shown, heads, strict=True):
        lines = [""] * (height - len(head)) + head  # heads end, rows begin on one line
        table.add_column(Text("\n".join(lines)), justify="left" if column.left else "right", no_wrap=True)
    was_control = False
    for row in board.rows:
        if row.is_control and not was_control:
            table.add_section()
        was_control = row.is_control
        table.add_row(
            Text(one_line(row.arm)),
            *(_figure(column, row) for column in shown),
            style=TRACKS[row.track].terminal,
        )
    return table


def _columns(board: Leaderboard) -> tuple[list[Column[Row]], list[Column[Row]]]:
    """Those of all domains, and one a domain."""
    names = ("track", *(("places",) if board.ranks else ()), "mean_pgr", "purity", "coverage")
    general = [columns.ROW[name] for name in names]
    figures = {True: columns.ENTRY["pgr"], False: columns.ENTRY["accuracy"]}
    return general, [in_domain(figures[domain.resolved], domain.name) for domain in board.domains]


def _head(column: Column[Row]) -> str:
    """The title says that figures are PGRs; those of a domain that are not say what they are."""
    if not column.domain:
        return column.header
    return column.domain if column.name == "pgr" else f"{column.domain} ({column.header})"


def _figure(column: Column[Row], row: Row) -> Text:
    """A figure, and what stands in small print after it on a line of its own, so that columns stay narrow."""
    text = Text(one_line(column.text(row)), style="bold" if column.strong(row) else "")
    return text.append(f"\n{aside}", style="not bold") if (aside := column.aside(row)) else text


def _chains(chains: DomainChains) -> Table:
    """PGR of each arm's one hop and of the last generation of its chain, and what lies between the two."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=Text(f"{one_line(chains.domain)}: chains"), title_justify="left"
    )
    table.add_column("arm", overflow="fold")
    for head in ("one hop", "chain", "chain − one hop"):
        table.add_column(head, justify="right", no_wrap=head != "chain − one hop")
    for chain in chains.arms:
        reached = [entry.pgr if entry else None for entry in (chain.one_hop, chain.generations[-1])]
        figures = [number(pgr.value if isinstance(pgr, Estimate) else None) for pgr in reached]
        holds = isinstance(chain.minus_one_hop, Estimate) and chain.minus_one_hop.holds
        gained = Text(difference(chain.minus_one_hop), style="bold" if holds else "")
        table.add_row(Text(one_line(chain.arm)), *figures, gained, style=TRACKS[chain.track].terminal)
    return table


def _references(board: Leaderboard) -> Table:
    """The accuracies that a PGR is measured between."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("accuracy", overflow="fold")
    references = of_role("reference")
    for reference in references:
        table.add_column(reference.name, justify="right", no_wrap=True)
    for domain in board.domains:
        entries = [domain.references.get(reference.name) for reference in references]
        figures = [entry.accuracy.value if entry and entry.accuracy else None for entry in entries]
        table.add_row(Text(one_line(domain.name)), *(number(figure, 3) for figure in figures))
    return table
