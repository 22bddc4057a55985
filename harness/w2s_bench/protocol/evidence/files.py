"""The evidence on one split, from the files of the stages before it: whole, or so many rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from w2s_bench.protocol.evidence.readings.base import Arrays, part_of
from w2s_bench.protocol.evidence.view import EvidenceView, ShownAs, opaque_id, shown_as_of
from w2s_bench.protocol.files import ANSWERS, ITEMS, PREDICTIONS, READING
from w2s_bench.record import iter_records
from w2s_bench.types import Answer, Form, Item, Need, Prediction


def view(
    inputs: Mapping[str, Path],
    split: str,
    needs: Sequence[Need],
    *,
    salt: str,
    fitting: bool,
    shown_as: Mapping[str, ShownAs] = MappingProxyType({}),
) -> EvidenceView:
    """All rows of a split. `inputs` are a stage's: `trust.Labelled.inputs` names them."""
    return next(views(inputs, split, needs, salt=salt, fitting=fitting, rows=None, shown_as=shown_as))


def views(
    inputs: Mapping[str, Path],
    split: str,
    needs: Sequence[Need],
    *,
    salt: str,
    fitting: bool,
    rows: int | None,
    shown_as: Mapping[str, ShownAs] = MappingProxyType({}),
) -> Iterator[EvidenceView]:
    """The rows of a split in the order of its labels' file, `rows` in a view (the last has fewer); None: all in one.

    Views are made as they are asked for and hold nothing of each other: a caller that lets go of one has the memory of
    one view in use, however many rows there are. `shown_as` as for `EvidenceView`.
    """
    items = _ById(iter_records(inputs[f"{split}:items"] / ITEMS, Item))
    labels = iter_records(inputs[f"{split}:labels"] / PREDICTIONS, Prediction)
    answers = _ById(iter_records(folder / ANSWERS, Answer)) if (folder := inputs.get(f"{split}:gold")) else None
    readings = {need: path / READING for need in needs if (path := inputs.get(f"{split}:{need}"))}

    def made(start: int) -> EvidenceView:
        # The frame of this function is gone before a plugin looks. So no label with an item's id waits in the frame of `views`.
        shown = list(islice(labels, rows))
        end = start + len(shown)
        return EvidenceView(
            [items.take(label.id) for label in shown],
            shown,
            salt=_salt_of(salt, split),
            declared=needs,
            arrays={need: _rows(path, shown_as_of(need, shown_as).form, start, end) for need, path in readings.items()},
            shown_as=shown_as,
            fitting=fitting,
            gold={label.id: answers.take(label.id).completion for label in shown} if answers else None,
        )

    start, waiting = 0, [made(0)]
    while True:
        count = len(waiting[0])
        start += count
        yield waiting.pop()  # the caller alone keeps it
        if rows is None or count < rows:
            return
        waiting.append(made(start))
        if not len(waiting[0]):
            return


def item_ids(inputs: Mapping[str, Path], split: str, *, salt: str, rows: int | None) -> Iterator[tuple[str, ...]]:
    """The items behind the rows of each of `views`, in the same order, read anew from the labels' file.

    They are made when no plugin's code runs, so that nothing it can reach holds them meanwhile.
    """
    labels, salt = iter_records(inputs[f"{split}:labels"] / PREDICTIONS, Prediction), _salt_of(salt, split)
    first = True
    while (names := [label.id for label in islice(labels, rows)]) or first:
        yield tuple(sorted(names, key=lambda name: opaque_id(salt, name)))
        first = False


def _salt_of(salt: str, split: str) -> str:
    """Of a split's own: trust set and pool are shown under unrelated ids."""
    return f"{salt} {split}"


def _rows(path: Path, form: Form, start: int, end: int) -> Arrays:
    """Rows of a reading, one a label; nothing else of the file is read."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return part_of(form, file, start, end)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Record = TypeVar("Record", bound=_Identified)


class _ById(Generic[Record]):
    """Records by id, from a file that is read once and forwards: one that comes before it is asked for waits in memory.

    The files of a split have one order, so that none waits for long. Any other order gives the same, for more memory.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._records, self._waiting = iter(records), dict[str, Record]()

    def take(self, name: str) -> Record:
        while name not in self._waiting:
            record = next(self._records, None)
            if record is None:
                raise KeyError(f"no record has the id {name!r}")
            self._waiting[record.id] = record
        return self._waiting.pop(name)
