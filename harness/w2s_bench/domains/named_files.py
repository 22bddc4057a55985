"""The files that a task's YAML names in `data_files`: looked at before they are loaded, and for the fault where that fails.

`datasets` passes over a pattern that no file fits, and says of most other faults that it could not make a data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from w2s_bench.domains.file_faults import FORMATS, absence, fault_of, other_encoding
from w2s_bench.errors import PluginError

_TEXT = {"json", "csv", "text"}


def refuse_absent(options: Mapping[str, Any], who: str) -> None:
    """Raise for a pattern that no file fits, and for what is no file or may not be read; no library is loaded for it, and no file."""
    for split, pattern in _patterns(options):
        if "**" not in pattern:  # which libraries understand in several ways
            _refuse_absent(split, pattern, _found(pattern), who)


def refuse_unreadable(options: Mapping[str, Any], who: str) -> None:
    """The same as `datasets` finds files; and raise where a pattern has empty ones alone, or one that is no UTF-8."""
    for split, pattern in _patterns(options):
        files = _fitting(pattern) or _found(pattern)
        _refuse_absent(split, pattern, files, who)
        whys = [_other_text(path, options) for path in files]
        if all(path.stat().st_size == 0 for path in files):  # of many, some may be
            whys = [f"{path} is empty" for path in files]
        _refuse_first(whys, split, who)


def _refuse_absent(split: str, pattern: str, files: Sequence[Path], who: str) -> None:
    if not files:
        where = Path(pattern).parent
        while not where.is_dir():
            where = where.parent
        raise PluginError(
            f"{who}: no file fits {pattern!r}, which its YAML names in data_files for split {split!r} (the folder {where} has "
            f"{_content(where)}); put the file there, or mend the pattern"
        )
    _refuse_first([absence(path) for path in files], split, who)


def _refuse_first(whys: Iterable[str | None], split: str, who: str) -> None:
    if (why := next(filter(None, whys), None)) is not None:
        raise PluginError(
            f"{who}: {why}; its YAML names it in data_files for split {split!r}: mend the file, or name another"
        )


def _other_text(path: Path, options: Mapping[str, Any]) -> str | None:
    """Where a file is no UTF-8, which `datasets` loads, and falls over when its documents are read."""
    if FORMATS.get(path.suffix) in _TEXT and not options.get("encoding") and (why := other_encoding(path)) is not None:
        return f"cannot read {path}: {why}"
    return None


def fault_in(options: Mapping[str, Any], written: Any, who: str) -> PluginError | None:
    """The first file in which something is wrong, of those that could not be loaded; None where nothing is found.

    `written` is the task's `dataset_path`, which is a format; for any other the suffix tells it.
    """
    for split, pattern in _patterns(options):
        for path in _fitting(pattern):
            form = written if written in _TEXT | {"parquet"} else FORMATS.get(path.suffix)
            if form is None or path.suffix not in FORMATS:  # it may be packed
                continue
            if (fault := fault_of(path, form)) is not None:
                return PluginError(
                    f"{who}: cannot read {path}, of split {split!r} ({fault}); a {path.suffix} file of rows with the same fields is "
                    "expected"
                )
    return None


def _patterns(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Split and pattern of all that lies in folders."""
    named = options.get("data_files")
    for split, patterns in (named if isinstance(named, Mapping) else {"train": named}).items():
        for pattern in patterns if isinstance(patterns, list | tuple) else [patterns]:
            if isinstance(pattern, str) and "://" not in pattern:
                yield str(split), pattern


def _fitting(pattern: str) -> list[Path]:
    """The files as `datasets` finds them; a path that is no pattern stands for itself."""
    from datasets.data_files import resolve_pattern

    if not has_magic(pattern):
        return [Path(pattern)]
    try:
        return [Path(file) for file in resolve_pattern(pattern, base_path="")]
    except FileNotFoundError:
        return []


def _found(pattern: str) -> list[Path]:
    """The files that lie there, and links that lead nowhere; folders where there is nothing else."""
    if not has_magic(pattern):
        return [Path(pattern)]
    found = [Path(name) for name in sorted(glob(pattern))]  # noqa: PTH207 - the pattern has its folder
    return [path for path in found if not path.is_dir()] or found


def _content(folder: Path, most: int = 5) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" if names else "nothing"
