"""What a column of a board's tables is, and the ways of making one; `columns` says which there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from w2s_bench.results.board import Entry, Row
from w2s_bench.results.pages.style import NONE, difference, figure, number, p_value
from w2s_bench.results.statistics import Estimate, Ratio

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Column(Generic[Subject]):
    """One column over subjects: rows (an arm over all domains) or entries (an arm on one domain).

    `value` is the figure as programs get it, `text` as people read it: no name from outside stands in it. `strong` says
    which are emphasised, `aside` what stands after one in small print. `name` is its key in JSON, `note` a sentence on how to
    read it, `domain` the one it is of where a table has one such column a domain. A `rare` one is left out where no subject of
    a table has its figure.
    """

    name: str
    header: str
    value: Callable[[Subject], Any]
    text: Callable[[Subject], str]
    strong: Callable[[Subject], bool] = lambda _: False
    aside: Callable[[Subject], str] = lambda _: ""
    note: str = ""
    domain: str = ""
    left: bool = False
    rare: bool = False


def ratio_column(
    name: str,
    header: str,
    of: Callable[[Subject], Ratio | None],
    digits: int = 2,
    **more: Any,
) -> Column[Subject]:
    """A figure with its interval."""
    return Column(name, header, of, lambda subject: figure(of(subject), digits), **more)


def number_column(
    name: str, header: str, of: Callable[[Subject], float | None], digits: int = 2, **more: Any
) -> Column[Subject]:
    return Column(name, header, of, lambda subject: number(of(subject), digits), **more)


def minus_column(rival: str, of: Callable[[Subject], Mapping[str, Ratio]]) -> Column[Subject]:
    """A paired difference to one control."""
    return difference_column(f"minus_{rival}", f"− {rival}", lambda subject: of(subject).get(rival))


def difference_column(name: str, header: str, ratio: Callable[[Subject], Ratio | None]) -> Column[Subject]:
    """A paired difference, emphasised where it holds among all of its table; p is corrected likewise."""

    def strong(subject: Subject) -> bool:
        return isinstance(minus := ratio(subject), Estimate) and minus.holds

    def p(subject: Subject) -> str:
        minus = ratio(subject)
        if not isinstance(minus, Estimate):
            return ""
        if minus.adjusted is None:
            return f"p {NONE}: nothing varies" if minus.nothing_varies else ""
        return p_value(minus.adjusted)

    return Column(name, header, ratio, lambda subject: difference(ratio(subject)), strong, p)


def by_name(*columns: Column[Subject]) -> Mapping[str, Column[Subject]]:
    return MappingProxyType({column.name: column for column in columns})


def in_domain(column: Column[Entry], domain: str) -> Column[Row]:
    """A column of entries as one of rows: what it is in this domain, a dash where a row lacks the domain."""

    def here(of: Callable[[Entry], Any], absent: Any) -> Callable[[Row], Any]:
        return lambda row: of(entry) if (entry := row.entries.get(domain)) else absent

    return Column(
        column.name,
        column.header,
        here(column.value, None),
        here(column.text, NONE),
        here(column.strong, False),
        here(column.aside, ""),
        column.note,
        domain,
        column.left,
    )


def had(columns: Iterable[Column[Subject]], subjects: Iterable[Subject]) -> list[Column[Subject]]:
    """Those that some subject has a figure of, but for the `rare` ones all of them."""
    subjects = list(subjects)
    return [c for c in columns if not c.rare or any(c.value(subject) is not None for subject in subjects)]


def notes_of(columns: Iterable[Column[Any]]) -> str:
    """How to read these columns: their notes, each once."""
    return " ".join(dict.fromkeys(column.note for column in columns if column.note))
