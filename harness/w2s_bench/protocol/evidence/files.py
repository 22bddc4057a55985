"""The evidence on one split, from the files of the stages before it: whole, or so many rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from w2s_bench.protocol.evidence.readings.base import Arrays, part_of
from w2s_bench.protocol.evidence.view import EvidenceView, ShownAs, shown_as_of
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
    start = 0
    while (shown := list(islice(labels, rows))) or not start:
        end = start + len(shown)
        yield EvidenceView(
            [items.take(label.id) for label in shown],
            shown,
            salt=f"{salt} {split}",
            declared=needs,
            arrays={need: _rows(path, shown_as_of(need, shown_as).form, start, end) for need, path in readings.items()},
            shown_as=shown_as,
            fitting=fitting,
            gold={label.id: answers.take(label.id).completion for label in shown} if answers else None,
        )
        if not shown:
            return
        start = end


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
