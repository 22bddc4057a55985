"""A copy of the files in which a domain's documents lie, with gold dealt out anew: for who wants to see what hangs on it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from w2s_bench.runs.dealt import Gold

_SUFFIXES: Final = (".jsonl", ".json", ".csv")
#: Files beyond this size hold no documents of a test: weights, tokenizers.
_LARGEST: Final = 256 << 20
#: A link leads back to the folder of the original, for whoever resolves it, as lm-eval does with YAML files and their Python.
_LINKED_FROM: Final = 1 << 20
_NEVER_LINKED: Final = (".py", ".yaml", ".yml")
#: Texts that files are searched for, and the share of them that stands in a text about the domain as an example.
_SAMPLED: Final = 50
_A_FEW: Final = 0.1


@dataclass(frozen=True)
class Altered:
    """How many records were given other gold, the files that are as they were, and those that are not there."""

    records: int = 0
    as_before: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()

    def __add__(self, other: Altered) -> Altered:
        return Altered(self.records + other.records, self.as_before + other.as_before, self.left_out + other.left_out)


def altered_copy(folder: Path, to: Path, gold: Gold, needed: Collection[Path] | None = None) -> Altered:
    """`folder` again at `to`, the files with documents with other gold; of others those alone that are `needed`, where it is given.

    Large files without are links, never code: it would find the originals beside itself.
    """
    count, as_before, left_out = 0, [], []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        here = to / Path(root).relative_to(folder)
        here.mkdir(parents=True, exist_ok=True)
        for name in files:
            original, copy = Path(root, name), here / name
            size, changed = original.stat().st_size if original.is_file() else _LARGEST, 0
            if original.suffix in _SUFFIXES and size < _LARGEST:
                text, changed = _rewritten(original, gold)
            if changed:
                copy.write_text(text, encoding="utf-8")
            elif needed is not None and original not in needed:
                left_out.append(original)
                continue
            elif size < _LINKED_FROM or (original.suffix in _NEVER_LINKED and size < _LARGEST):
                shutil.copyfile(original, copy)
            else:
                copy.symlink_to(original.absolute())
            count += changed
            as_before += [original] if not changed and size < _LARGEST else []
    return Altered(count, tuple(as_before), tuple(left_out))


def documents_in(files: Sequence[Path], texts: Sequence[str]) -> Path | None:
    """The first of the files that has not just a few of the texts, as they are or as JSON has them, in whatever format."""
    some = texts[:: max(1, len(texts) // _SAMPLED)]
    written = [{text.encode(), json.dumps(text)[1:-1].encode()} for text in some]
    for path in files:
        content = path.read_bytes()
        if sum(any(form in content for form in forms) for forms in written) > _A_FEW * len(written):
            return path
    return None


def _rewritten(path: Path, gold: Gold) -> tuple[str, int]:
    """A file's text with other gold, and how many of its records have it; what is no such file has none."""
    write: Mapping[str, Callable[[str], tuple[str, int]]] = {
        ".jsonl": lambda text: _lines(text, gold),
        ".json": lambda text: _tree(text, gold),
        ".csv": lambda text: _table(text, gold),
    }
    try:
        return write[path.suffix](path.read_text(encoding="utf-8-sig"))
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
