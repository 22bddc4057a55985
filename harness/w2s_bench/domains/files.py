"""The files that an lm-eval task stands on: its YAML with all that it includes, the code these name, what lies beside."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from w2s_bench.domains.file_faults import absence
from w2s_bench.errors import PluginError
from w2s_bench.record import file_digest

_CACHES = {"__pycache__", "node_modules"}
_COMPILED = {".pyc", ".pyo"}
_A_DIGEST = re.compile(r"[0-9a-f]{64}")  # how a store calls the folders of its results
_MANY = 4096  # files whose digests a process remembers
#: Above it a file is data, told by the documents that come out of it; hashing it for every stage would take seconds.
LARGEST_HASHED = 64 << 20
_FILE_NAME = re.compile(r"[\w.-]+\.\w+")
_PATTERN = re.compile(r"[*?\[\]]|://")


@dataclass(frozen=True)
class TaskFile:
    """One YAML file of a task: its path and its own keys; functions are the text that names them."""

    path: Path
    keys: Mapping[str, Any]
    functions: tuple[str, ...]

    def named(self) -> Iterator[Path]:
        """The files that it names: Python beside it for its `!function` keys, and the YAML of `use_prompt: FILE.yaml:NAME`."""
        for name in self.functions:
            path = self.path.parent / f"{name.rpartition('.')[0].replace('.', '/')}.py"
            if path.is_file():
                yield path
        # lm-eval opens it from where the process stands.
        prompts = Path(str(self.keys.get("use_prompt", "")).partition(":")[0])
        if ".yaml" in prompts.name and prompts.is_file():
            yield prompts


def task_files(path: Path, who: str) -> list[TaskFile]:
    """The task's YAML and all that it includes, in the order in which lm-eval merges them: a later one's keys win."""
    return list(_with_includes(path, who, f"there is no {path.name} in {path.parent}", ()))


def _with_includes(path: Path, who: str, missing: str, above: tuple[Path, ...]) -> Iterator[TaskFile]:
    path = path.expanduser()
    if not path.is_file():
        raise PluginError(f"{who}: {missing if path.parent.is_dir() else f'there is no folder {path.parent}'}")
    if path.resolve() in above:
        raise PluginError(f"{who}: {path} includes itself; remove that include")
    functions: list[str] = []

    class Loader(_Plain):
        pass

    Loader.add_constructor("!function", lambda loader, node: functions.append(str(node.value)) or str(node.value))  # type: ignore[func-returns-value]
    try:
        keys = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise PluginError(f"{who}: cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(keys, dict):
        raise PluginError(
            f"{who}: {path} holds {type(keys).__name__}, an lm-eval task is a mapping: task, output_type, …"
        )
    included = keys.pop("include", [])
    for name in included if isinstance(included, list) else [included]:
        where = path.parent / str(name)
        yield from _with_includes(
            where, who, f"{path.name} includes {name}, which does not lie in {path.parent}", (*above, path.resolve())
        )
    yield TaskFile(path, keys, tuple(functions))


class _Plain(yaml.SafeLoader):
    """Plain values alone."""


def with_paths_resolved(files: list[TaskFile], who: str) -> dict[str, Any]:
    """What to override of the task, so that its data is found wherever the process stands.

    Relative `data_files` and `data_dir` are relative to the file that names them, and so is a `dataset_path` that is a
    folder there; a file that is not there is an error.
    """
    out: dict[str, Any] = {}
    merged = {key: (value, file) for file in files for key, value in file.keys.items()}
    options, at = merged.get("dataset_kwargs", ({}, files[-1]))
    if "custom_dataset" not in merged and isinstance(options, dict):  # a loader may mean anything by its keywords
        folder, changed = at.path.parent.absolute(), {}
        if options.get("data_dir") is not None:
            changed["data_dir"] = _resolved(options["data_dir"], folder, at, who)
            folder = Path(changed["data_dir"])
        if options.get("data_files") is not None:
            changed["data_files"] = _resolved(options["data_files"], folder, at, who)
        if changed:
            out["dataset_kwargs"] = {**options, **changed}
    path, at = merged.get("dataset_path", (None, files[-1]))
    if isinstance(path, str):
        beside = at.path.parent / path
        if beside.is_dir():
            out["dataset_path"] = str(beside.absolute())
        elif path.startswith((".", "/", "~")) and not Path(path).expanduser().exists():
            raise PluginError(f"{who}: dataset_path {path!r} of {at.path.name} is missing: there is no {beside}")
    return out


def _resolved(value: Any, folder: Path, at: TaskFile, who: str) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(inner, folder, at, who) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, folder, at, who) for inner in value]
    if not isinstance(value, str) or "://" in value:
        return value
    path = folder / Path(value).expanduser()
    if not _PATTERN.search(value) and (why := absence(path, folders=True)) is not None:
        raise PluginError(
            f"{who}: {at.path.name} names data that is missing: {why}; relative paths are relative to that file"
        )
    return str(path)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, sorted; no caches, no names with a leading dot, no results and stores of the harness."""
    for where, folders, names in os.walk(folder):
        if "suite.yaml" in names and "results" in folders:  # a run wrote this folder
            folders[:], names = [], []
        folders[:] = sorted(
            name for name in folders if name not in _CACHES and name[0] != "." and not _A_DIGEST.fullmatch(name)
        )
        for name in sorted(names):
            path = Path(where, name)
            if name[0] != "." and path.suffix not in _COMPILED and path.is_file():
                yield path


def read_by(code: Sequence[Path]) -> Iterator[Path]:
    """The files that Python files read, as the text of a prompt: those below their folders whose names stand in their code."""
    names = frozenset[str]().union(*(_names_in(str(path), *_state(path)) for path in code))
    folders = {path.parent for path in code}
    for folder in sorted(folder for folder in folders if not folders.intersection(folder.parents)):
        for path in files_below(folder):
            if path.name in names and path.stat().st_size <= LARGEST_HASHED:
                yield path


def names_and_paths(paths: Iterable[Path], folder: Path) -> list[tuple[str, Path]]:
    """What files are called in a fingerprint, each once, sorted: by their way from `folder`, which is absolute.

    One that a task names by its way from where the process stands has that name, wherever that is.
    """
    called = {(Path(os.path.relpath(path, folder)) if path.is_absolute() else path).as_posix(): path for path in paths}
    return sorted(called.items())


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file, computed again where its size or time of change is another."""
    return _digest(str(path), *_state(path))


def _state(path: Path) -> tuple[int, int, int, int]:
    """Another one wherever the file's bytes may be others."""
    at = path.stat()
    return at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns


@lru_cache(_MANY)
def _digest(path: str, *_: int) -> str:
    return file_digest(Path(path))


@lru_cache(_MANY)
def _names_in(path: str, *_: int) -> frozenset[str]:
    """Whatever in a file's text may be the name of a file."""
    return frozenset(_FILE_NAME.findall(Path(path).read_text(encoding="utf-8", errors="replace")))
