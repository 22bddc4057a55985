"""Files of weak labels, read a row at a time from the start as often as one likes: JSON lines, CSV, Parquet, `datasets`."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from w2s_bench.errors import LabelsError, said

#: Rows that are taken out of a Parquet file or a `datasets` folder at once.
_AT_ONCE = 1024
#: Bytes of a column that are read at once: without, all of a row group are, and a file may be one.
_BUFFER = 1 << 20
#: Bytes a line of JSON may have: a row with every layer of a large model has some tens of MB.
_LONGEST = 1 << 28


class LabelTable(Protocol):
    """Rows as their file has them. `is_text`: cells are text, and lists are JSON within them."""

    @property
    def name(self) -> str: ...
    @property
    def is_text(self) -> bool: ...
    def rows(self) -> Iterator[Mapping[str, Any]]: ...
    def stamp(self) -> Any:
        """What changes when the file does."""


def table_of(given: Any, *, split: str | None = None) -> LabelTable:
    """The table that a path, a `datasets.Dataset` or a list of mappings is."""
    if isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        if not path.exists():
            raise LabelsError(
                f"there is no file {str(path)!r}; give a .jsonl, .csv or .parquet file, or a folder of `datasets`"
            )
        if path.is_dir():
            return _Hugging(str(path), _loaded(path, split))
        if split is not None:
            raise LabelsError(f"--split goes with a folder of `datasets`, and {str(path)!r} is a file; leave it out")
        if not path.is_file():
            raise LabelsError(f"{str(path)!r} is no regular file, and labels are read three times; save them to one")
        opened = _BY_SUFFIX.get(path.suffix.lower())
        if opened is None:
            raise LabelsError(
                f"{str(path)!r} ends in {path.suffix!r}; a .jsonl, .csv, .tsv or .parquet file is read, or a folder that "
                "`Dataset.save_to_disk` wrote"
            )
        return opened(path)
    if isinstance(given, Sequence):
        return _Memory("the rows", given)
    if hasattr(given, "column_names") and hasattr(given, "select"):
        return _Hugging("the dataset", given)
    raise LabelsError(
        f"labels are of type {type(given).__name__}; give a path, a datasets.Dataset or a list of mappings"
    )


@dataclass(frozen=True)
class _File:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def is_text(self) -> bool:
        return False

    def stamp(self) -> Any:
        facts = self.path.stat()
        return facts.st_ino, facts.st_size, facts.st_mtime_ns


@dataclass(frozen=True)
class _Lines(_File):
    """One JSON object a line; empty lines are passed over."""

    def rows(self) -> Iterator[Mapping[str, Any]]:
        with self.path.open("rb") as file:
            number = 0
            for at_line, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
                text = _decoded(line, self.path, at_line)
                if not text.strip():
                    continue
                number += 1
                where = f"{self.name}, row {number} (line {at_line})"
                try:
                    yield json.loads(text, parse_constant=_refuse_constant)
                except json.JSONDecodeError as error:
                    cut = not text.endswith("\n")
                    hint = (
                        "the file ends in the middle of a row, as a copy that was cut off does; copy it again"
                        if cut
                        else "one JSON object a line is expected"
                    )
                    raise LabelsError(f"{where}: {error.msg} at character {error.pos + 1}; {hint}") from None
                except (ValueError, RecursionError) as error:
                    raise LabelsError(f"{where}: {said(error)}; one JSON object a line is expected") from None


@dataclass(frozen=True)
class _Csv(_File):
    """With a line of names first; parted by commas, in a .tsv file by tabs. Quoted cells may hold line breaks."""

    @property
    def is_text(self) -> bool:
        return True

    def rows(self) -> Iterator[Mapping[str, Any]]:
        csv.field_size_limit(min(sys.maxsize, _LONGEST))
        delimiter = "\t" if self.path.suffix.lower() == ".tsv" else ","
        with self.path.open("rb") as file:
            lines = (_decoded(line, self.path, at_line) for at_line, line in enumerate(file, 1))
            parsed = csv.reader(lines, delimiter=delimiter, strict=True)
            try:
                header = next(parsed, None)
                if header is None:
                    return
                if twice := [name for name in header if header.count(name) > 1]:
                    raise LabelsError(f"{self.name}: column {twice[0]!r} stands twice in the first line; rename one")
                for number, cells in enumerate((cells for cells in parsed if cells), 1):
                    if len(cells) != len(header):
                        raise LabelsError(
                            f"{self.name}, row {number} (line {parsed.line_num}) has {len(cells)} cells, the first line has "
                            f"{len(header)}; put text that holds commas or line breaks in quotes"
                        )
                    yield dict(zip(header, cells, strict=True))
            except csv.Error as error:
                hint = (
                    "a quote is not closed, as in a file that was cut off" if "end of data" in str(error) else "mend it"
                )
                raise LabelsError(f"{self.name}, line {parsed.line_num}: {error}; {hint}") from None


@dataclass(frozen=True)
class _Parquet(_File):
    def rows(self) -> Iterator[Mapping[str, Any]]:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(self.path, buffer_size=_BUFFER) as file:
                for batch in file.iter_batches(batch_size=_AT_ONCE):
                    yield from batch.to_pylist()
        except (ArrowException, OSError) as error:
            raise LabelsError(
                f"{self.name} is no whole Parquet file: {' '.join(said(error).split())}; copy it again, or write it anew"
            ) from error


@dataclass(frozen=True)
class _Hugging:
    """A `datasets.Dataset`."""

    name: str
    dataset: Any
    is_text: bool = False

    def rows(self) -> Iterator[Mapping[str, Any]]:
        for start in range(0, len(self.dataset), _AT_ONCE):
            part = self.dataset[start : start + _AT_ONCE]
            names = list(part)
            yield from (dict(zip(names, cells, strict=True)) for cells in zip(*part.values(), strict=True))

    def stamp(self) -> Any:
        return len(self.dataset)


@dataclass(frozen=True)
class _Memory:
    name: str
    given: Sequence[Mapping[str, Any]]
    is_text: bool = False

    def rows(self) -> Iterator[Mapping[str, Any]]:
        yield from self.given

    def stamp(self) -> Any:
        return len(self.given)


#: Of a file, by what its name ends in.
_BY_SUFFIX: Final[Mapping[str, Callable[[Path], LabelTable]]] = MappingProxyType(
    {".jsonl": _Lines, ".ndjson": _Lines, ".csv": _Csv, ".tsv": _Csv, ".parquet": _Parquet}
)


def _loaded(folder: Path, split: str | None) -> Any:
    from datasets import Dataset, DatasetDict, load_from_disk

    try:
        loaded = load_from_disk(str(folder))
    except Exception as error:  # `datasets` raises many kinds on what is no folder of its own
        raise LabelsError(
            f"{str(folder)!r} cannot be read as a folder of `datasets`: {said(error)}; give one that `save_to_disk` wrote, or a file"
        ) from error
    if isinstance(loaded, DatasetDict):
        if split in loaded:
            return loaded[split]
        if split is None and len(loaded) == 1:
            return next(iter(loaded.values()))
        asked = f"no split {split!r}" if split is not None else f"{len(loaded)} splits"
        raise LabelsError(f"{str(folder)!r} has {asked}; name one with --split: {', '.join(map(str, loaded))}")
    if split is not None:
        raise LabelsError(f"{str(folder)!r} has no splits, and --split {split!r} was given; leave it out")
    assert isinstance(loaded, Dataset)
    return loaded


def _decoded(line: bytes, path: Path, number: int) -> str:
    if number == 1:
        if line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise LabelsError(f"{path} is UTF-16 text; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")
        line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise LabelsError(
            f"{path}, line {number}: byte {error.start + 1} is no UTF-8 text; save the file as UTF-8 (iconv -f LATIN1 -t UTF-8)"
        ) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON; give finite numbers, or null where there is none")
