"""A user's weak labels, checked whole before anything is computed: how many, of which kind, with which signals, which trusted.

A file is read three times: checked, scored and written. What is held of it are ids (packed), counts, and the trust set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from w2s_bench.errors import LabelsError
from w2s_bench.protocol.scores import PackedIds
from w2s_bench.scoring.label_tables import LabelTable
from w2s_bench.scoring.rows import Row, RowParser, shapes_of
from w2s_bench.scoring.schema import CORRECT, GOLD, ID, LABEL, PROMPT, Columns
from w2s_bench.text import shortened
from w2s_bench.types import Kind

#: Rows that are scored at once: as in the protocol (`trust.ROWS_AT_ONCE`).
ROWS_AT_ONCE = 4096
#: Classes of labels that are counted; where there are more, labels are no classes.
MOST_CLASSES = 24
_MOST_SHOWN = 60  # characters of a prompt in a message
_NUMBERED = (
    "the labels have no ids and are called by their number, from 1; give both files the same ids, or rows beside the pool none "
    "(--column id=)"
)
#: What is called with a phase, rows done and rows in all (None: not known yet).
Progress = Callable[[str, int, int | None], None]


@dataclass
class Labels:
    """n weak labels. `trust` are the rows with gold, `outside` says whether they lie beside the pool and not in it."""

    table: LabelTable
    columns: Columns
    count: int
    kind: Kind
    #: Shape of each signal, the options left out, by its key.
    shapes: dict[str, tuple[int, ...]]
    trust: tuple[Row, ...]
    outside: bool
    #: Place in the file → whether the label is right, of the trust set where it lies in the pool.
    right: dict[int, bool]
    classes: Counter[str] | None
    unused: tuple[str, ...]
    #: Rows of the pool whose prompt is one of the trust set's as well, their own left out.
    same_prompts: int = 0
    _stamp: Any = field(default=None, repr=False)

    def parts(self) -> Iterator[list[Row]]:
        """All rows in their order, `ROWS_AT_ONCE` at a time; gold is not among what they hold."""
        if self.table.stamp() != self._stamp:
            raise LabelsError(f"{self.table.name} changed while it was read; run again")
        parser = RowParser(self.columns, self.table.name, self.table.is_text)
        rows = (replace(parser.parse(raw, n), right=None) for n, raw in enumerate(self.table.rows(), 1))
        done = 0
        while part := list(islice(rows, ROWS_AT_ONCE)):
            done += len(part)
            yield part
        if done != self.count:
            raise LabelsError(f"{self.table.name} changed while it was read; run again")


def checked(table: LabelTable, columns: Columns, gold: LabelTable | None, progress: Progress) -> Labels:
    """The labels of a file, each row looked at; `gold` is the file of the trust set where it is one of its own."""
    own = _Gold.read(gold, columns) if gold is not None else None
    parser = RowParser(columns, table.name, table.is_text)
    ids, stamp = _Ids(), table.stamp()
    trust, right, classes = list[Row](), dict[int, bool](), _Classes()
    prompts = {row.prompt for row in own.rows} if own and own.rows else set[str]()
    same = 0
    for index, raw in enumerate(table.rows()):
        row = parser.parse(raw, index + 1)
        ids.add(row.id)
        classes.add(row)
        if index % ROWS_AT_ONCE == 0:
            progress("checking", index, None)
        if own is not None:
            if row.right is not None:
                raise LabelsError(
                    f"{table.name}, row {index + 1} has gold of its own and --trust-set gives {own.name!r}; give gold once: "
                    f"leave --trust-set out, or the column (--column {CORRECT}= --column {GOLD}=)"
                )
            same += row.prompt in prompts
            row = own.joined(row, index + 1, numbered=not parser.has_id(raw))
        if row.right is not None:
            right[index] = row.right
            trust.append(row)
    if not len(ids):
        raise LabelsError(f"{table.name} has no rows; give a file with weak labels")
    ids.refuse_twice(table.name)
    assert parser.kind is not None
    if own is not None:
        own.refuse_unknown(table.name)
        if own.rows:
            own.refuse_other_signals(parser, table.name)
            trust = [replace(row, id=f"\0trust {row.id}") for row in own.rows]  # never that of a row of the pool
    progress("checking", len(ids), len(ids))
    first = trust[0] if trust else None
    shapes = shapes_of([first]) if first else {}
    if not shapes:
        shapes = shapes_of([parser.parse(next(iter(table.rows())), 1)])
    outside = bool(own and own.rows)
    return Labels(
        table,
        columns,
        len(ids),
        parser.kind,
        shapes,
        tuple(trust),
        outside,
        right,
        classes.found,
        parser.unused,
        same if outside else 0,
        stamp,
    )


class _Gold:
    """A trust set in a file of its own: gold by the id of a row of the pool, or whole rows beside the pool."""

    def __init__(self, name: str, by_id: dict[str, tuple[Any, int]], rows: Sequence[Row], parser: RowParser) -> None:
        self.name, self.rows, self.parser = name, tuple(rows), parser
        self._by_id = by_id
        self._met, self._twice = 0, ""
        self._pairs = {(row.prompt, row.label): number for number, row in enumerate(rows, 1)}

    @classmethod
    def read(cls, table: LabelTable, columns: Columns) -> _Gold:
        parser, rows = RowParser(columns, table.name, table.is_text), list[Row]()
        by_id = dict[str, tuple[Any, int]]()
        whole: bool | None = None
        for number, raw in enumerate(table.rows(), 1):
            where = f"{table.name}, row {number}"
            if not hasattr(raw, "get"):
                raise LabelsError(f"{where} is no object of columns; expected one a row")
            correct, gold = columns.take(raw, CORRECT), columns.take(raw, GOLD)
            if correct in (None, "") and gold in (None, ""):
                raise LabelsError(f"{where} has neither 'correct' nor 'gold'; give one of them, or take the row out")
            has_all = columns.take(raw, PROMPT) is not None and columns.take(raw, LABEL) is not None
            if whole is None:
                whole = has_all
            if whole != has_all:
                raise LabelsError(
                    f"{where} has {'' if has_all else 'no '}prompt and label, unlike row 1; give them in every row or in none"
                )
            if has_all:
                row = parser.parse(raw, number)
                rows.append(row)
            name = columns.take(raw, ID)
            if not has_all and name is None:
                raise LabelsError(
                    f"{where} has no 'id'; give that of a row of the labels, or whole rows with prompt and label"
                )
            if name is not None:
                if str(name) in by_id:
                    raise LabelsError(
                        f"{where}: the id {str(name)!r} stands in row {by_id[str(name)][1]} already; ids must differ"
                    )
                by_id[str(name)] = (raw, number)
        if whole is None:
            raise LabelsError(f"{table.name} has no rows; give a trust set with gold, or leave --trust-set out")
        return cls(table.name, by_id, rows, parser)

    def joined(self, row: Row, number: int, *, numbered: bool) -> Row:
        """Row `number` of the labels with the gold that this file has for its id.

        Raises LabelsError where the two are not shown to be one row: another prompt or label, or, where the labels have no ids
        and are `numbered`, no prompt at all (numbers that begin at 0 would join each gold to the row before).
        """
        own_gold = self._by_id.get(row.id)
        if own_gold is None:
            pair = self._pairs.get((row.prompt, row.label))
            if pair is not None and not self._twice:
                self._twice = f"row {pair} of {self.name} and row {number} of the labels (id {row.id!r})"
            return row
        raw, at = own_gold
        columns = self.parser.columns
        prompt, has_label = columns.take(raw, PROMPT) or None, columns.take(raw, LABEL) not in (None, "")
        if prompt is not None and str(prompt).split() != row.prompt.split():
            raise LabelsError(
                f"{self.name}, row {at}: the id {row.id!r} has another prompt here than row {number} of the labels, "
                f"{shortened(str(prompt), _MOST_SHOWN)!r} and {shortened(row.prompt, _MOST_SHOWN)!r}; "
                + (
                    _NUMBERED
                    if numbered
                    else "give that row's own gold, or, of a row beside the pool, an id that no row of it has"
                )
            )
        if has_label and not self.parser.same_label(raw, row, at):
            raise LabelsError(
                f"{self.name}, row {at}: the id {row.id!r} has another label here than in the labels; give that row's own "
                "gold, or call the row otherwise"
            )
        if numbered and prompt is None:
            raise LabelsError(
                f"{self.name}, row {at}: whether its id {row.id!r} is row {number} of the labels cannot be told, since "
                f"{_NUMBERED}; or give the prompts beside the gold"
            )
        self._met += 1
        right = self.parser.right_of(raw, row, at)
        if right is None:
            raise LabelsError(f"{self.name}, row {at} has no gold; fill it, or take the row out")
        return replace(row, right=right)

    def refuse_unknown(self, labels: str) -> None:
        """Gold is all of rows of the pool, or all of rows beside it."""
        if self._met == len(self._by_id) and self._met:
            if len(self.rows) > self._met:
                raise LabelsError(
                    f"{self.name}: {self._met} of its {len(self.rows)} rows have the id of a row of {labels}, and the others "
                    "none; give all of them such an id, or none"
                )
            self.rows = ()  # gold by id: the labels' own rows are the trust set
        elif self._met or not self.rows:
            raise LabelsError(
                f"{self.name}: {len(self._by_id) - self._met} of its {len(self._by_id)} ids are in no row of {labels}; a trust set "
                "has ids of the labels alone, or whole rows (prompt, label, signals) with no id of theirs"
            )
        elif self._twice:
            raise LabelsError(
                f"{self._twice} hold the same prompt and label; a trust set beside the pool shares no row with it. Take one out, or "
                "give gold by the ids of the labels"
            )

    def refuse_other_signals(self, parser: RowParser, labels: str) -> None:
        """A trust set beside the pool has what the pool has."""
        mine, theirs = set(self.parser.signals or {}), set(parser.signals or {})
        if self.parser.kind != parser.kind or mine != theirs:
            odd = sorted(mine ^ theirs) or ["options"]
            raise LabelsError(
                f"{self.name} and {labels} do not have the same columns: {', '.join(map(repr, odd))} in one alone; give both the same, "
                f"or leave it out: --column {odd[0]}="
            )


class _Ids(PackedIds):
    """Ids, no two of which may be equal."""

    def refuse_twice(self, name: str) -> None:
        """Equal ids stand for one row twice."""
        hashes = np.fromiter((hash(self.at(row)) for row in range(len(self))), dtype=np.int64, count=len(self))
        order = np.argsort(hashes, kind="stable")
        near = np.flatnonzero(np.diff(hashes[order]) == 0)
        for at in near.tolist():
            first, second = int(order[at]), int(order[at + 1])
            if self.at(first) == self.at(second):
                raise LabelsError(
                    f"{name}: rows {first + 1} and {second + 1} have the same id {self.at(first)!r}; ids must differ. Rename one, or "
                    "leave the column out (--column id=), so that rows are called by their number"
                )


class _Classes:
    """How often each label occurs, as long as there are few."""

    def __init__(self) -> None:
        self.found: Counter[str] | None = Counter()

    def add(self, row: Row) -> None:
        if self.found is not None:
            self.found[row.label.strip()] += 1
            if len(self.found) > MOST_CLASSES:
                self.found = None
