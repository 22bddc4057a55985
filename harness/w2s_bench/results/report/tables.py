"""Tables of the page: what stands in each cell as people read it, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from w2s_bench.results.board import Entry, Leaderboard, Row
from w2s_bench.results.pages import columns
from w2s_bench.results.pages.column import Column, Subject, had, in_domain, notes_of
from w2s_bench.results.pages.columns import ENTRY, ROW
from w2s_bench.results.pages.style import NONE
from w2s_bench.results.report.arms import Arm
from w2s_bench.results.statistics import Estimate, Unresolved

#: Which columns of `ENTRY` the domains' columns of the first table can show, one at a time.
METRICS: Final = ("pgr", "recovery", "accuracy", "purity", "auroc", "seconds")


@dataclass(frozen=True)
class Head:
    """A column's head. `domain` and `metric` say what it is of, where the reader can choose among these."""

    text: str
    domain: str = ""
    metric: str = ""
    note: str = ""


@dataclass(frozen=True)
class Value:
    """One figure of a table: its text, its interval, what it is sorted by (None: last, whichever way), and what else is told."""

    text: str
    interval: str = ""
    sort: float | None = None
    strong: bool = False
    aside: str = ""
    why: str = ""
    domain: str = ""
    metric: str = ""


@dataclass(frozen=True)
class Line:
    arm: Arm
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Table:
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    notes: str = ""


def main_table(board: Leaderboard, arms: Sequence[Arm]) -> Table:
    """Every arm over all domains; each metric has its own columns."""
    domains = [domain.name for domain in board.domains]
    shown = [(_head(ROW["places"]), ROW["places"])]
    if board.wide:
        kin = [(Head(f"{c.header} {c.domain}", metric="pgr"), c) for c in columns.of_families(board)]
        mean = columns.first(board)[3]
        shown += [(Head(mean.header, metric="pgr", note=mean.note), mean), *kin]
    for metric in METRICS:
        column = ENTRY[metric]
        if metric == "pgr" and not board.wide:
            mean = next(c for c in columns.headline(board) if c.name == "mean_pgr")
            shown.append((Head(mean.header, metric=metric, note=mean.note), mean))
        for domain in domains:
            shown.append((Head(column.header, domain, metric, column.note), in_domain(column, domain)))
    shown += [(_head(ROW[name]), ROW[name]) for name in ("purity", "coverage")]
    lines = [Line(arm, tuple(_of_arm(arm, head, column) for head, column in shown)) for arm in arms]
    return Table(tuple(head for head, _ in shown), tuple(lines), " ".join([notes_of(columns.headline(board))]))


def _head(column: Column[Any]) -> Head:
    return Head(column.header, note=column.note)


def _of_arm(arm: Arm, head: Head, column: Column[Row]) -> Value:
    """One figure of an arm. Where there is none, words say why."""
    if head.domain and (absent := _absent(arm, head.domain)):
        return Value(absent, domain=head.domain, metric=head.metric)
    value = value_of(column, arm.row, head)
    if column is ROW["places"]:
        first = arm.row.places is not None and arm.row.places[0] == 1
        alone = arm.row.places == (1, 1)
        told = "" if not first else "first" if alone else "tied for first"
        return Value(value.text if arm.row.places else NONE, sort=value.sort, strong=first, aside=told)
    return value


def _absent(arm: Arm, domain: str) -> str:
    entry = arm.row.entries.get(domain)
    if entry is None:
        return "no cell"
    return "all seeds failed" if not entry.seeds and len(arm.cells[domain].body.failed) == entry.of_seeds else ""


def value_of(column: Column[Subject], subject: Subject, head: Head | None = None) -> Value:
    """What a column shows of a subject."""
    given, text = column.value(subject), column.text(subject)
    value, bracket, interval = text.partition(" [")
    return Value(
        text=value,
        interval=bracket.strip() + interval,
        sort=_sorted_by(given),
        strong=column.strong(subject),
        aside=column.aside(subject),
        why=given.reason if isinstance(given, Unresolved) else "",
        domain=head.domain if head else "",
        metric=head.metric if head else "",
    )


def _sorted_by(value: Any) -> float | None:
    if isinstance(value, Estimate):
        return value.value
    if isinstance(value, tuple) and value and isinstance(value[0], int):
        return float(value[0]) + float(value[-1]) / 1e6
    return float(value) if isinstance(value, int | float) else None


def of_domains(arm: Arm, board: Leaderboard) -> Table:
    """One arm: a line for every domain that has it."""
    shown = [ENTRY["accuracy"], ENTRY["pgr"], *columns.of_domain()[1:]]
    subjects = {d.name: arm.row.entries[d.name] for d in board.domains if d.name in arm.row.entries}
    return _by_name(arm, had(shown, subjects.values()), subjects)


def of_differences(arm: Arm, board: Leaderboard) -> Table | None:
    """One arm against the controls: in every domain, and the mean over those that enter means."""
    entries: dict[str, Entry] = {d.name: arm.row.entries[d.name] for d in board.domains if d.name in arm.row.entries}
    in_domains = columns.differences()
    lines = [(name, [value_of(column, entry) for column in in_domains]) for name, entry in entries.items()]
    lines.append(("mean", [value_of(column, arm.row) for column in columns.mean_differences()]))
    used = [i for i, c in enumerate(in_domains) if any(line[i].text != NONE for _, line in lines)]
    if not used:
        return None
    heads = [Head(in_domains[i].header) for i in used]
    return _named(arm, heads, [(name, [values[i] for i in used]) for name, values in lines])


def _by_name(arm: Arm, shown: Iterable[Column[Entry]], subjects: Mapping[str, Entry]) -> Table:
    shown = list(shown)
    lines = [(name, [value_of(column, entry) for column in shown]) for name, entry in subjects.items()]
    return _named(arm, [_head(column) for column in shown], lines, notes_of(shown))


def _named(arm: Arm, heads: Sequence[Head], lines: Iterable[tuple[str, Sequence[Value]]], notes: str = "") -> Table:
    """A table whose lines are of other things than arms: their name stands in the first column."""
    named = tuple(Line(arm, (Value(name), *values)) for name, values in lines)
    return Table((Head("domain"), *heads), named, notes)
