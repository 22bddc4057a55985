"""The documents of an lm-eval task from files of a folder that the user named: nothing is fetched, no code is run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_bench.domains.file_faults import FORMATS, absence, fault_of, rows_of_csv, rows_of_lines
from w2s_bench.errors import PluginError
from w2s_bench.names import DATA_VARIABLE
from w2s_bench.types import JSON

#: Suffixes of files that are read, in the order in which they are looked for.
SUFFIXES = (".jsonl", ".json", ".parquet", ".arrow", ".csv")
_INDEX, _STATE = "dataset_dict.json", "state.json"  # what `datasets` writes by `save_to_disk`
#: What a `data` parameter may be: split → file or files, or one folder.
Mapped = Mapping[str, Any] | str | None


def data_folder() -> Path | None:
    """The folder of `--data`, or of its environment variable; None where neither is given."""
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser().absolute()
    if not folder.is_dir():
        raise PluginError(f"data folder {str(folder)!r} is no folder; give --data DIR, or set {DATA_VARIABLE}, to one")
    return folder


def check_mapping(value: JSON, who: str) -> Mapped:
    """A `data` parameter as it must be: paths below the data folder, and nothing else."""
    if value is None:
        return None
    paths: list[Any] = [value]
    if isinstance(value, Mapping):
        paths = [part for part in value.values() for part in (part if isinstance(part, list) else [part])]
    for path in paths:
        plain = isinstance(path, str) and bool(path) and not path.startswith(("/", "~")) and "\\" not in path
        if not plain or ".." in Path(path).parts:
            raise PluginError(
                f"{who}: data {path!r} must be a path below the data folder (--data DIR), without `..`; write a folder, or "
                "a mapping such as {train: arc/train.jsonl, test: arc/test.jsonl}"
            )
    return value if isinstance(value, str) else dict(value)


def files_of(task: str, mapped: Mapped, splits: Sequence[str], who: str) -> dict[str, list[Path]] | None:
    """Split → its files, for each of `splits`; None where no data folder is given, and nothing is mapped.

    Without a mapping they are `DIR/TASK/SPLIT.jsonl`, `DIR/TASK_SPLIT.jsonl`, `DIR/TASK-SPLIT.jsonl` or another suffix of
    `SUFFIXES`, or the folder `DIR/TASK` that `DatasetDict.save_to_disk` wrote.
    """
    folder = data_folder()
    if folder is None:
        if mapped is not None:
            raise PluginError(
                f"{who}: its data are files of a folder that the suite does not name; give --data DIR, or set {DATA_VARIABLE}"
            )
        return None
    if isinstance(mapped, Mapping):
        return {split: _mapped(folder, mapped, split, who) for split in splits}
    below = folder / (mapped or task)
    files = {split: _in_folder(below, split, who) for split in splits}
    if mapped is None:
        for split in splits:
            files[split] = files[split] or _first(folder / f"{task}{sign}{split}" for sign in "_-")
    missing = [split for split in splits if not files[split]]
    if missing:
        tried = f"{below / missing[0]}.jsonl" + ("" if mapped else f", {folder / f'{task}_{missing[0]}'}.jsonl")
        raise PluginError(
            f"{who}: no file for split {', '.join(map(repr, missing))} in the data folder {folder}; looked for {tried} (or "
            f"{', '.join(SUFFIXES[1:])}); put it there, or say in the suite where it is: "
            f"parameters: {{data: {{{', '.join(f'{split}: FILE' for split in splits)}}}}}"
        )
    return files


def _mapped(folder: Path, mapped: Mapping[str, Any], split: str, who: str) -> list[Path]:
    given = mapped.get(split)
    if given is None:
        raise PluginError(
            f"{who}: its data have no files for split {split!r} (they have: {', '.join(mapped) or 'none'}); add {split}: FILE"
        )
    paths = [folder / path for path in (given if isinstance(given, list) else [given])]
    for path in paths:
        if (why := absence(path)) is not None:
            also = "; patterns are not read here: name each file, in a list" if "*" in path.name else ""
            raise PluginError(
                f"{who}: its data name {path}, where there is no file: {why}; look at --data and at the mapping{also}"
            )
        if path.suffix not in SUFFIXES:
            raise PluginError(f"{who}: {path.name} is none of {', '.join(SUFFIXES)}; convert it to one of them")
    return paths


def _in_folder(folder: Path, split: str, who: str) -> list[Path]:
    if (folder / _INDEX).is_file():
        return _saved(folder / split, who) if (folder / split / _STATE).is_file() else []
    return _first([folder / split])


def _first(stems: Iterable[Path]) -> list[Path]:
    for stem in stems:
        for suffix in SUFFIXES:
            path = stem.with_name(stem.name + suffix)
            if path.is_file():
                return [path]
    return []


def _saved(folder: Path, who: str) -> list[Path]:
    """The arrow files that the index of a saved data set names; one outside of its folder is refused."""
    index = folder / _STATE
    try:
        names = [str(part["filename"]) for part in json.loads(index.read_text(encoding="utf-8"))["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PluginError(
            f"{who}: cannot read {index} ({type(error).__name__}: {error}); save the data set again with save_to_disk"
        ) from error
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise PluginError(
                f"{who}: {index} points to {name!r}, outside of its folder; nothing there is read: save the data set again"
            )
        if not (folder / name).is_file():
            raise PluginError(f"{who}: {index} names {name!r}, which is not there; save the data set again")
    return [folder / name for name in names]


def read_splits(files: Mapping[str, Sequence[Path]], who: str) -> Any:
    """The files as a `datasets.DatasetDict`."""
    from datasets import DatasetDict, concatenate_datasets

    splits = {}
    for split, paths in files.items():
        parts = [_read(path, who) for path in paths]
        splits[split] = parts[0] if len(parts) == 1 else concatenate_datasets(parts)
        if len(splits[split]) == 0:
            raise PluginError(f"{who}: {', '.join(map(str, paths))} has no rows; split {split!r} needs some")
    return DatasetDict(splits)


def _read(path: Path, who: str) -> Any:
    from datasets import Dataset

    try:
        if path.suffix == ".parquet":
            from pyarrow import parquet

            return Dataset(parquet.read_table(path))
        if path.suffix == ".arrow":
            return Dataset(_arrow(path))
        rows = _rows(path)
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("a row is no object of named fields")
        return Dataset.from_list(rows)
    except (OSError, ValueError, TypeError) as error:  # pyarrow's errors are of these kinds
        found = absence(path) or fault_of(path, FORMATS.get(path.suffix, ""))
        fault = found or f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise PluginError(
            f"{who}: cannot read {path} ({fault}); a {path.suffix} file of rows with the same fields is expected"
        ) from error


def _rows(path: Path) -> list[Any]:
    if path.suffix == ".csv":
        return list(rows_of_csv(path))
    if path.suffix == ".jsonl":
        return list(rows_of_lines(path))
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(content, dict):  # {"data": [...]}, as some are published
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else None
    if not isinstance(content, list):
        raise ValueError("neither a list of rows nor an object with one list of them")
    return content


def _arrow(path: Path) -> Any:
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        try:
            return pa.ipc.open_stream(mapped).read_all()
        except pa.ArrowInvalid:
            mapped.seek(0)
            return pa.ipc.open_file(mapped).read_all()
