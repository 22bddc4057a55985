"""A stored result's manifest: what a stage's result depends on, what its files are, and whether they still are that."""

from __future__ import annotations

import errno
import functools
import importlib.metadata
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from w2s_bench.errors import W2SBenchError
from w2s_bench.machine import described
from w2s_bench.names import MANIFEST
from w2s_bench.record import canonical_json, digest_of, file_digest, indented_json
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON

#: Part of every key: raised when the layout of a result changes, so that old results are passed by, not called damaged.
LAYOUT = 1
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_LARGEST = 256 << 20  # bytes of a manifest: a million files


@dataclass(frozen=True)
class Result:
    """What one stage wrote: a folder whose every file was just checked, and what it cost to make."""

    path: Path
    key: str
    content: str  # digest over (relative path, SHA-256) of the files: equal contents are interchangeable
    files: Mapping[str, str]  # relative path → SHA-256
    seconds: float
    cpu_seconds: float
    created: str  # ISO 8601, UTC
    # The kind of machine that made the result (`machine.described`); no part of the key; old results have "".
    machine: str = ""


@dataclass(frozen=True)
class Damage:
    """A stored result that is not what was written; it was removed."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"stored result {self.path} is damaged: {self.reason}; it was removed and is computed again"


@functools.cache
def installed_version(distribution: str) -> str:
    """The version of a library that results depend on."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise W2SBenchError(
            f"a stage depends on the library {distribution!r}, which is not installed; pip install {distribution}"
        ) from None


def identity(stage: Stage, input_contents: Mapping[str, str]) -> dict[str, JSON]:
    return {
        "layout": LAYOUT,
        "stage": stage.name,
        "version": stage.version,
        "params": stage.params,
        "libraries": {name: installed_version(name) for name in stage.libraries},
        "inputs": dict(input_contents),
    }


def key_of(stage: Stage, input_contents: Mapping[str, str]) -> str:
    """Everything a result depends on, as one digest; `input_contents` holds the content digest of each input.

    Inputs count by content, not by how they were made: stages that keep the same rows share what is computed from them.
    """
    return digest_of(identity(stage, input_contents))


def read_manifest(folder: Path) -> bytes:
    """The bytes of a result's manifest. A link, a pipe or a device in its place, or one without end, is a `_NotPlainError`."""
    path = folder / MANIFEST
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _NotPlainError(f"{MANIFEST} is no plain file")
    if status.st_size > _LARGEST:
        raise _NotPlainError(f"{MANIFEST} has {status.st_size} bytes, more than any that was written")
    return path.read_bytes()


def parse(text: bytes, key: str) -> dict[str, JSON] | None:
    """The facts that a manifest states; None where it is not what was written for `key`, byte for byte."""
    try:
        manifest = json.loads(text)
        facts = {name: value for name, value in manifest.items() if name != "manifest"}
        intact = text == _render(facts) and digest_of(facts["identity"]) == key and _is_whole(facts)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
    return facts if intact else None


def _is_whole(facts: Mapping[str, JSON]) -> bool:
    """Whether all that a reader asks of a manifest is there; raises, as Python does, where something else is."""
    datetime.fromisoformat(facts["created"])
    sizes = [file["bytes"] for file in facts["files"].values()]
    return all(size >= 0 for size in (facts["seconds"], facts["cpu_seconds"], *sizes)) and (
        facts["content"] == _content_of(facts["files"])
    )


def _content_of(files: Mapping[str, Mapping[str, JSON]]) -> str:
    return digest_of([[name, files[name]["sha256"]] for name in sorted(files)])


def check(folder: Path, key: str | None = None, *, whole: bool = True) -> Result | Damage | None:
    """Read every byte of a result and compare it with the manifest; None if there is no such folder.

    `key` is the result's, where its folder is named otherwise. Not `whole`: the manifest is read, and of the files their sizes.
    """
    try:
        text = read_manifest(folder)
    except _NotPlainError as error:
        return Damage(folder, str(error))
    except OSError as error:
        if error.errno not in _NOTHING_THERE:
            raise
        return Damage(folder, f"{MANIFEST} is missing") if os.path.lexists(folder) else None
    key = key or folder.name
    facts = parse(text, key)
    if facts is None:
        return Damage(folder, f"{MANIFEST} is not what was written ({len(text)} bytes)")
    try:
        wrong = _difference(folder, facts["files"], whole=whole)
    except _NotPlainError as error:
        wrong = str(error)
    except FileNotFoundError as error:
        wrong = f"{error.filename} vanished while it was read"
    return result_of(folder, key, facts) if wrong is None else Damage(folder, wrong)


def _difference(folder: Path, expected: Mapping[str, Mapping[str, JSON]], *, whole: bool) -> str | None:
    """What is other than the manifest says, if anything."""
    present = _files(folder) - {MANIFEST}
    if present != expected.keys():
        name = min(present ^ expected.keys())
        return f"{name} is missing" if name in expected else f"{name} was added"
    for name, facts in expected.items():
        path = folder / name
        if (size := path.stat().st_size) != facts["bytes"]:
            return f"{name} has {size} bytes, not {facts['bytes']}"
        if whole and (digest := file_digest(path)) != facts["sha256"]:
            return f"{name} has SHA-256 {digest[:12]}…, not {facts['sha256'][:12]}…"
    return None


def seal(folder: Path, what: Mapping[str, JSON], seconds: float, cpu_seconds: float) -> dict[str, JSON]:
    """Write the manifest of a finished result.

    Nothing is forced to the disk: that costs several times what everything else here does, and what a power cut takes
    is found missing on the next read, and computed again.
    """
    names = _files(folder)
    if MANIFEST in names:
        raise W2SBenchError(f"stage {what['stage']!r} wrote {MANIFEST}, which is the store's own; use another name")
    files = {
        name: {"sha256": file_digest(folder / name), "bytes": (folder / name).stat().st_size} for name in sorted(names)
    }
    facts: dict[str, JSON] = {
        "identity": what,
        "files": files,
        "content": _content_of(files),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 6),
        "cpu_seconds": round(cpu_seconds, 6),
        "machine": described(),
    }
    facts = dict(json.loads(canonical_json(facts)))  # as a reader of the file will see the facts
    (folder / MANIFEST).write_bytes(_render(facts))
    return facts


def _render(facts: Mapping[str, JSON]) -> bytes:
    """A manifest's only valid bytes: sorted, and closed by its own digest, so that no byte of it can change unseen."""
    closed = {**facts, "manifest": digest_of(facts)}
    return (indented_json(closed) + "\n").encode()


def result_of(folder: Path, key: str, facts: Mapping[str, JSON]) -> Result:
    return Result(
        path=folder,
        key=key,
        content=facts["content"],
        files={name: entry["sha256"] for name, entry in facts["files"].items()},
        seconds=facts["seconds"],
        cpu_seconds=facts["cpu_seconds"],
        created=facts["created"],
        machine=str(facts.get("machine", "")),
    )


class _NotPlainError(W2SBenchError):
    """A link, a pipe or a device where a result's files are: its content would not be what was stored."""


def _files(folder: Path) -> set[str]:
    """Relative paths of all files below, with forward slashes. Empty folders do not count."""
    names: set[str] = set()
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(f"{folder}/{below}") as entries:
            for entry in entries:
                name = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    names.add(name)
                else:
                    raise _NotPlainError(f"{name} is neither a plain file nor a folder: write plain files")
    return names
