"""Lines and columns of a table: chosen by name, as text for people or as plain values for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Generic, TypeVar

from w2s_bench.errors import UnknownNameError
from w2s_bench.results.board import Entry, Leaderboard, Row
from w2s_bench.results.pages import columns
from w2s_bench.results.pages.column import Column, had, in_domain
from w2s_bench.results.statistics import Estimate, Unresolved

Subject = TypeVar("Subject")
#: A value as any format of data has it.
Plain = str | int | float | bool | None
#: What stands between a column of one domain and the domain.
_OF: Final = "@"


@dataclass(frozen=True)
class Table(Generic[Subject]):
    """Subjects with the text that names each of them (`names`, one a line, under `heads`), and columns of figures by key."""

    heads: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    subjects: tuple[Subject, ...]
    columns: Mapping[str, Column[Subject]]

    def text(self) -> tuple[list[str], list[list[tuple[str, bool]]]]:
        """Heads, and lines of (text, whether it is emphasised): figures with their intervals, as pages show them."""
        heads = [*self.heads, *(f"{c.header} {c.domain}" if c.domain else c.header for c in self.columns.values())]
        lines = []
        for names, subject in zip(self.names, self.subjects, strict=True):
            figures = [(_shown(column, subject), column.strong(subject)) for column in self.columns.values()]
            lines.append([*((name, False) for name in names), *figures])
        return heads, lines

    def data(self) -> dict[str, list[Plain]]:
        """Column → values, a line each. A figure with an interval has three columns, `NAME`, `NAME_low` and `NAME_high`, and
        `NAME_why` where some line has none and says why; a difference has `NAME_p` and, corrected, `NAME_p_holm`."""
        out: dict[str, list[Plain]] = {head: [] for head in self.heads}
        for names in self.names:
            for head, name in zip(self.heads, names, strict=True):
                out[head].append(name)
        for key, column in self.columns.items():
            out |= _flat(key, [column.value(subject) for subject in self.subjects])
        return out


def arms_table(board: Leaderboard, arms: Sequence[str] = (), wanted: Sequence[str] = ()) -> Table[Row]:
    """One line an arm over all domains. `arms` are names or patterns of any of the board's arms (default: those of the page's
    first table), `wanted` keys of columns (default: the same table's); `pgr@math` is a column of one domain.

    Where arms are among them that the board has beside the ranked ones, a line says in which of its tables its arm stands
    and which arm it goes back to, and columns have the difference to that one.
    """
    tables = {row.arm: table for table, rows in board.tables.items() for row in rows}
    rows = {row.arm: row for table in board.tables.values() for row in table}
    named = _chosen("arm", arms, rows) if arms else [row.arm for row in board.rows]
    chosen = [rows[arm] for arm in named]
    by_key = {_key(column): column for column in _row_columns(board)}
    beside = {_key(column): column for column in had(columns.BESIDE.values(), chosen)}
    shown = {_key(column): column for column in columns.headline(board)} | beside
    picked = {name: by_key[name] for name in _chosen("column", wanted, by_key)} if wanted else shown
    if all(tables[arm] == "rows" for arm in named):
        return Table(("arm",), tuple((arm,) for arm in named), tuple(chosen), picked)
    names = tuple((row.arm, tables[row.arm], row.of) for row in chosen)
    return Table(("arm", "table", "of"), names, tuple(chosen), picked)


def cells_table(board: Leaderboard, arms: Sequence[str] = (), wanted: Sequence[str] = ()) -> Table[Entry]:
    """One line a cell of one hop, domain by domain, references and the arms of all the board's tables; `arms` and `wanted` as in
    `arms_table`.

    `table` says where its arm stands: `references`, or the field of the board. `of` is the arm that one of another selection
    or objective, or one that explains, goes back to.
    """
    rows = {row.arm: (table, row) for table, of_table in board.tables.items() for row in of_table}
    references = [reference for domain in board.domains for reference in domain.references]
    by_key = {_key(column): column for column in (*columns.ENTRY.values(), *columns.differences())}
    lines: list[tuple[tuple[str, ...], Entry]] = []
    chosen = _chosen("arm", arms, dict.fromkeys([*references, *rows]))
    for domain in board.domains:
        for arm in chosen:
            if (entry := domain.references.get(arm)) is not None:
                lines.append(((domain.name, arm, "reference", "references", ""), entry))
            elif arm in rows and (entry := rows[arm][1].entries.get(domain.name)) is not None:
                table, row = rows[arm]
                lines.append(((domain.name, arm, row.track, table, row.of), entry))
    picked = {name: by_key[name] for name in _chosen("column", wanted, by_key)}
    heads = ("domain", "arm", "track", "table", "of")
    return Table(heads, tuple(name for name, _ in lines), tuple(entry for _, entry in lines), picked)


def column_names(board: Leaderboard, *, cells: bool) -> list[str]:
    """Every key that a table's columns may be named by."""
    every = (*columns.ENTRY.values(), *columns.differences())
    return [_key(column) for column in every] if cells else [_key(column) for column in _row_columns(board)]


def _row_columns(board: Leaderboard) -> list[Column[Row]]:
    """Every column that a line of an arm may have."""
    of_entries = [*columns.ENTRY.values(), *columns.differences()]
    each = [in_domain(column, domain.name) for domain in board.domains for column in of_entries]
    return [*columns.ROW.values(), *columns.BESIDE.values(), *columns.mean_differences(), *each]


def _key(column: Column[Any]) -> str:
    return f"{column.name}{_OF}{column.domain}" if column.domain else column.name


def _chosen(what: str, wanted: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those named, or that fit a pattern such as `gold_*`, each once and in their order; all, where nothing is wanted."""
    names = list(names)
    if not wanted:
        return names
    out: dict[str, None] = {}
    for name in wanted:
        fitting = [name] if name in names else [candidate for candidate in names if fnmatchcase(candidate, name)]
        if not fitting:
            raise UnknownNameError(what, name, names, "A pattern such as `gold_*` takes several.")
        out |= dict.fromkeys(fitting)
    return list(out)


def _shown(column: Column[Subject], subject: Subject) -> str:
    aside = column.aside(subject)
    return f"{column.text(subject)} {aside}" if aside else column.text(subject)


def _flat(key: str, values: Sequence[Any]) -> dict[str, list[Plain]]:
    """A column of figures as columns of plain values, which hang on what is there: an interval, a range, a number, text."""
    if any(isinstance(value, Estimate | Unresolved) for value in values):
        return _ratios(key, values)
    if any(isinstance(value, tuple) for value in values) and key.partition(_OF)[0] != "seeds":
        low, _, domain = key.partition(_OF)
        after = f"{_OF}{domain}" if domain else ""
        ends = [value or (None, None) for value in values]
        return {f"{low}_low{after}": [end[0] for end in ends], f"{low}_high{after}": [end[-1] for end in ends]}
    return {key: [len(value) if isinstance(value, tuple) else value for value in values]}


def _ratios(key: str, values: Sequence[Any]) -> dict[str, list[Plain]]:
    name, _, domain = key.partition(_OF)
    after = f"{_OF}{domain}" if domain else ""
    ratios = [value if isinstance(value, Estimate) else None for value in values]

    def each(of: Callable[[Estimate], Plain]) -> list[Plain]:
        return [None if ratio is None else of(ratio) for ratio in ratios]

    out: dict[str, list[Plain]] = {
        f"{name}{after}": each(lambda ratio: ratio.value),
        f"{name}_low{after}": each(lambda ratio: ratio.low),
        f"{name}_high{after}": each(lambda ratio: ratio.high),
    }
    if any(ratio is not None and ratio.p is not None for ratio in ratios):
        out[f"{name}_p{after}"] = each(lambda ratio: ratio.p)
    if any(ratio is not None and ratio.adjusted is not None for ratio in ratios):
        out[f"{name}_p_holm{after}"] = each(lambda ratio: ratio.adjusted)
    if any(isinstance(value, Unresolved) for value in values):
        out[f"{name}_why{after}"] = [value.reason if isinstance(value, Unresolved) else None for value in values]
    return out
