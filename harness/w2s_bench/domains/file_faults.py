"""What is wrong with a file of documents, with the line or row where it is: libraries that read files say that they cannot."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_SHOWN: Final = 60  # characters of a file that a message quotes
_MOST: Final = 64 << 20  # bytes of a file that is read again to find what is wrong with it
_BOM: Final = b"\xef\xbb\xbf"
#: Suffix → how its files are written, where nothing says it otherwise.
FORMATS: Final[Mapping[str, str]] = {
    ".jsonl": "json", ".json": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "csv", ".txt": "text", ".parquet": "parquet"
}  # fmt: skip


def absence(path: Path, folders: bool = False) -> str | None:
    """Why no file can be read at a path, or a folder where these will do; None where one can."""
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {path.readlink()}, which is not there"
    if not path.exists():
        return f"there is no {path if path.parent.is_dir() else f'folder {path.parent}'}"
    if path.is_dir():
        return None if folders else f"{path} is a folder; name the files in it"
    if not path.is_file():
        return f"{path} is no regular file"
    return None if os.access(path, os.R_OK) else f"{path} may not be read by this user; see its permissions"


def rows_of_lines(path: Path) -> Iterator[Any]:
    """What each line of a .jsonl file holds. Raises ValueError with the line's number for one that is not JSON."""
    for number, text in _lines(path.read_bytes()):
        try:
            yield json.loads(text)
        except (ValueError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise ValueError(f"line {number} is no JSON: {what}, in {_quoted(text)}") from error


def rows_of_csv(path: Path) -> Iterator[dict[str, str]]:
    """What each row of a .csv file holds, or of a .tsv. Raises ValueError with the line's number for one that has no row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True, delimiter="\t" if path.suffix == ".tsv" else ",")
        try:
            for row in rows:
                if None in row:
                    named = len(rows.fieldnames or ())
                    raise ValueError(f"line {rows.line_num} has more fields than the first line, which names {named}")
                yield row
        except csv.Error as error:
            raise ValueError(f"line {rows.line_num} is no row of a csv: {error}") from error


def other_type(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The first row with a field of another type than in the rows before it; None where fields have one type each."""
    first: dict[str, tuple[int, str]] = {}
    for number, row in enumerate(rows, 1):
        for name, value in row.items():
            if value is None:
                continue
            kind = _kind(value)
            where, before = first.setdefault(name, (number, kind))
            if kind != before:
                shown = _quoted(str(value))
                return f"row {number} has {kind} in field {name!r}, {shown}, where row {where} has {before}"
    return None


def fault_of(path: Path, written: str) -> str | None:
    """What is wrong in a file that could not be loaded, `written` as json, csv, text or parquet; None where nothing is found."""
    if path.stat().st_size > _MOST:
        return None
    readers = {"json": _fault_of_json, "csv": _fault_of_csv, "text": other_encoding, "parquet": _fault_of_parquet}
    try:
        return readers[written](path) if written in readers else None
    except (OSError, ValueError) as error:
        return " ".join(str(error).split())


def other_encoding(path: Path) -> str | None:
    """The first line that is not UTF-8; None where all are, and of a file so large that nobody looks."""
    if path.stat().st_size > _MOST:
        return None
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        shown = content[max(0, error.start - 10) : error.start + 10].decode("utf-8", "backslashreplace")
        return f"line {line} is not UTF-8 (…{' '.join(shown.split())}…); save the file as UTF-8"
    return None


def _fault_of_json(path: Path) -> str | None:
    if (fault := other_encoding(path)) is not None:
        return fault
    content = path.read_bytes().removeprefix(_BOM).lstrip()
    if content.startswith(b"["):
        try:
            rows = json.loads(content)
        except json.JSONDecodeError as error:
            return f"line {error.lineno}, column {error.colno}: {error.msg}"
    else:
        try:
            rows = list(rows_of_lines(path))
        except ValueError:
            if _is_json(content):  # one object over several lines
                return None
            raise
    if not rows:
        return "it has no rows"
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            return f"row {number} is {_quoted(json.dumps(row))}, no object of named fields"
    return other_type(rows)


def _fault_of_csv(path: Path) -> str | None:
    if (fault := other_encoding(path)) is not None:
        return fault
    for _ in rows_of_csv(path):
        pass
    return None


def _fault_of_parquet(path: Path) -> str | None:
    from pyarrow import ArrowException, parquet

    try:
        parquet.read_table(path)
    except ArrowException as error:
        return " ".join(str(error).split()).replace(f"Could not open Parquet input source '{path}': ", "")
    return None


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    for number, line in enumerate(content.removeprefix(_BOM).decode("utf-8").split("\n"), 1):
        if line.strip():
            yield number, line


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    names: Mapping[type, str] = {str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _quoted(text: str) -> str:
    text = text.strip()
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
