"""A copy of the files in which a domain's documents lie, with gold dealt out anew: for who wants to see what hangs on it."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from w2s_bench.types import JSON, Answer, Item

_SUFFIXES: Final = (".jsonl", ".json", ".csv")
#: Files beyond this size hold no documents of a test: weights, tokenizers.
_LARGEST: Final = 256 << 20


@dataclass(frozen=True)
class Gold:
    """The gold of documents, and another for each of them. `fields` are those that hold what no item shows.

    `documents` by every text of theirs that is of one document alone; `dealt` is another document's values of `fields`.
    """

    fields: tuple[str, ...]
    documents: Mapping[str, int]
    dealt: Sequence[Mapping[str, JSON]]

    @classmethod
    def of(cls, items: Sequence[Item], answers: Sequence[Answer], seed: int = 0) -> Gold:
        """A document's fields that show in fewer than half of the items as prompt, options, id, group, key or stratum are gold.

        So is a solution, a hint, or whatever else an item does not tell. They go to another document with as many options.
        """
        by_id = {item.id: item for item in items}
        pairs = [(by_id[answer.id], dict(answer.document)) for answer in answers if answer.id in by_id]
        names = sorted({name for _, document in pairs for name in document})
        shown = Counter(name for item, document in pairs for name in document if _is_shown(item, document[name]))
        fields = tuple(name for name in names if 2 * shown[name] < sum(name in document for _, document in pairs))
        classes: dict[int, list[int]] = defaultdict(list)
        for index, (item, _) in enumerate(pairs):
            classes[len(item.choices or ())].append(index)
        partner, rng = list(range(len(pairs))), np.random.default_rng(seed)
        for places in classes.values():
            order = [places[i] for i in rng.permutation(len(places))]
            for index, other in zip(order, [*order[1:], *order[:1]], strict=True):
                partner[index] = other
        texts = Counter(value for _, document in pairs for value in _texts(document))
        documents = {
            value: index for index, (_, document) in enumerate(pairs) for value in _texts(document) if texts[value] == 1
        }
        dealt = [{name: pairs[other][1][name] for name in fields if name in pairs[other][1]} for other in partner]
        return cls(fields, documents, dealt)

    def altered(self, record: dict[str, Any]) -> bool:
        """Give a record, if it is of one of the documents, the gold of another; whether it was."""
        indices = (self.documents.get(value) for value in _texts(record))
        index = next((at for at in indices if at is not None), None)
        changed = {} if index is None else {name: v for name, v in self.dealt[index].items() if name in record}
        record.update(changed)
        return bool(changed)


def _is_shown(item: Item, value: JSON) -> bool:
    if isinstance(value, list):
        return [str(option_text).strip() for option_text in value] == [option.strip() for option in item.choices or ()]
    text = str(value).strip()
    return not text or text in (item.id, item.group, item.key, item.stratum) or (len(text) > 2 and text in item.prompt)


def _texts(record: Mapping[str, JSON]) -> list[str]:
    return [value for value in record.values() if isinstance(value, str) and value]


def altered_copy(folder: Path, to: Path, gold: Gold) -> int:
    """`folder` again at `to`: links, but for the files with documents, which are written with other gold; how many records were."""
    count = 0
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        here = to / Path(root).relative_to(folder)
        here.mkdir(parents=True, exist_ok=True)
        for name in files:
            original, copy = Path(root, name), here / name
            changed = 0
            if original.suffix in _SUFFIXES and original.stat().st_size <= _LARGEST:
                text, changed = _rewritten(original, gold)
            if changed:
                copy.write_text(text, encoding="utf-8")
            else:
                copy.symlink_to(original.absolute())
            count += changed
    return count


def _rewritten(path: Path, gold: Gold) -> tuple[str, int]:
    """A file's text with other gold, and how many of its records have it; what is no such file has none."""
    write: Mapping[str, Callable[[str], tuple[str, int]]] = {
        ".jsonl": lambda text: _lines(text, gold),
        ".json": lambda text: _tree(text, gold),
        ".csv": lambda text: _table(text, gold),
    }
    try:
        return write[path.suffix](path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError, csv.Error):
        return "", 0  # something else under this suffix: no reader of documents reads it either


def _lines(text: str, gold: Gold) -> tuple[str, int]:
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    count = sum(gold.altered(row) for row in rows if isinstance(row, dict))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), count


def _tree(text: str, gold: Gold) -> tuple[str, int]:
    whole = json.loads(text)
    count, waiting = 0, [whole]
    while waiting:
        node = waiting.pop()
        inner: Iterable[Any] = ()
        if isinstance(node, dict):
            count += gold.altered(node)
            inner = node.values()
        elif isinstance(node, list):
            inner = node
        waiting += [part for part in inner if isinstance(part, dict | list)]
    return json.dumps(whole, ensure_ascii=False), count


def _table(text: str, gold: Gold) -> tuple[str, int]:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    rows, count = list(reader), 0
    for row in rows:
        before = dict(row)
        count += gold.altered(row)
        row.update({name: str(value) for name, value in row.items() if value != before[name]})
    out = io.StringIO()
    writer = csv.DictWriter(out, reader.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue(), count
