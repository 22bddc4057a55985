"""The cell files of a results folder, which may be a stranger's: found, read and checked one by one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from w2s_bench.errors import CellError
from w2s_bench.record import canonical_json, digest_of
from w2s_bench.results.cells import SCHEMA, Cell
from w2s_bench.text import one_line, shortened
from w2s_bench.types import JSON
from w2s_bench.untrusted import UnreadableError, parse_json, read_text

#: Bytes of a cell file: a million items over fifty seeds have 13 MiB of bits.
LARGEST: Final = 32 << 20


def cell_paths(results: Path) -> list[Path]:
    """Every cell file under a suite's results folder: named as cells are, which no line of a message can be parted by, and
    not reached by a link, which could lead to anybody's files."""
    paths, faults = found_paths(results)
    if faults:
        raise faults[0]
    return paths


def found_paths(results: Path) -> tuple[list[Path], list[CellError]]:
    """The same, with the fault of everything that is passed over because it is none of them."""
    root = results / "results"
    linked = [path for path in (root, *sorted(root.glob("*"))) if path.is_symlink()]
    faults = [
        CellError(f"{one_line(str(path))} is a link, where a folder of cells belongs; copy the folder itself", path)
        for path in linked
    ]
    paths = []
    for path in sorted(root.glob("*/*.json")):
        if root in linked or path.parent in linked:
            continue
        if re.fullmatch(r"[\w.@=,+~-]+/[\w.@=,+~-]+", f"{path.parent.name}/{path.name}", re.ASCII):
            paths.append(path)
        else:
            faults.append(CellError(f"{one_line(str(path))} has a name that no cell has; move it elsewhere", path))
    return paths, faults


def boards_below(folder: Path) -> list[Path]:
    """The results folders right below a folder, sorted; empty where it is a results folder itself.

    A link is none, nor is a folder whose suite.yaml is no regular file: they could lead to anybody's files.
    """
    if os.path.lexists(folder / "suite.yaml") or not folder.is_dir():
        return []
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return [path for path in below if (path / "suite.yaml").is_file() and not (path / "suite.yaml").is_symlink()]


def below_in_words(folder: Path) -> str:
    """Of a folder of boards, as the end of a message to whoever should have named one of them; else empty."""
    boards = boards_below(folder)
    return f". It holds {len(boards)} such: give one of them, such as {one_line(str(boards[0]))}" if boards else ""


def read_cell(path: Path) -> Cell:
    """One cell file, checked: a regular file, the schema, every field, and that the digest is the body's."""
    try:
        content = parse_json(read_text(path, LARGEST, follow=False))
        _refuse_other_schema(content, path)
        cell = Cell.model_validate(content)
    except ValidationError as error:
        faults = [(".".join(map(str, e["loc"])) or "the file", e["msg"]) for e in error.errors()[:3]]
        told = "; ".join(f"{field}: {said.removeprefix('Value error, ')}" for field, said in faults)
        raise CellError(f"{path} is no cell of schema {SCHEMA}: {shortened(told, 600)}") from error
    except UnreadableError as error:
        raise CellError(f"{path} cannot be read as a cell of schema {SCHEMA}: {error}") from error
    if digest_of(content["body"]) != cell.digest:
        raise CellError(
            f"{path} was altered after it was written: its body does not give its digest {cell.digest[:12]}; run the row again"
        )
    return cell


def _refuse_other_schema(content: JSON, path: Path) -> None:
    """A cell of another version has faults without number: one sentence says why."""
    said = content.get("schema") if isinstance(content, dict) else None
    if isinstance(said, str) and said != SCHEMA:
        raise CellError(
            f"{path} is no cell of schema {SCHEMA}: schema is {shortened(repr(said), 60)}, which this version of w2s-bench does not "
            "read; install the version that wrote it, or run the row again"
        )


def read_placed(path: Path, results: Path) -> Cell:
    """One cell file of a results folder, which must lie where its row says: then no row has two files."""
    cell = read_cell(path)
    if path != (own := cell.path(results)):
        raise CellError(f"{path} holds the cell of row {cell.row}, which belongs in {own}; move it there, or remove it")
    return cell


def read_cells(results: Path) -> list[Cell]:
    """All cells under a suite's results folder, sorted by domain and arm; at least one, all of one suite, each in its place."""
    paths = cell_paths(results)
    if not paths:
        told = "give the folder that holds suite.yaml and results/" + below_in_words(results)
        raise CellError(f"no cell files in {results / 'results'}; {told}")
    cells = [read_placed(path, results) for path in paths]
    suites: dict[str, Cell] = {}
    for cell in cells:
        suites.setdefault(canonical_json(cell.body.suite.model_dump()), cell)
    if len(suites) > 1:
        shown = "; ".join(f"{cell.path(results)} is of {suite}" for suite, cell in list(suites.items())[:2])
        raise CellError(
            f"{results} mixes cells of {len(suites)} suites: {shown}; keep each suite in a folder of its own"
        )
    return cells
