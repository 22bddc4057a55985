"""What a store holds, result by result, without reading the results themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from w2s_bench.names import MANIFEST
from w2s_bench.store.layout import has_manifest
from w2s_bench.store.manifest import parse
from w2s_bench.store.mark import is_key, is_stage
from w2s_bench.types import JSON


@dataclass(frozen=True)
class Entry:
    """One stored result, as its manifest describes it; without a sound manifest there are no `facts`."""

    stage: str
    key: str
    bytes: int
    used: float  # when a run last found or made the result, in seconds, by the disk's clock
    facts: dict[str, JSON] | None
    described: bool = True  # whether the folder has a manifest, sound or not

    @property
    def address(self) -> str:
        return f"{self.stage}/{self.key}"

    @property
    def seconds(self) -> float:
        """What it took to make."""
        return float(self.facts["seconds"]) if self.facts else 0.0

    @property
    def created(self) -> datetime | None:
        return datetime.fromisoformat(self.facts["created"]) if self.facts else None


def entry_of(stage: str, key: str, manifest: bytes, used: float) -> Entry:
    facts = parse(manifest, key)
    size = sum(file["bytes"] for file in facts["files"].values()) if facts else 0
    return Entry(stage, key, len(manifest) + size, used, facts)


def entries_below(root: Path) -> Iterator[Entry]:
    """Whatever lies in a folder where results do, by stage and key. What is removed meanwhile is passed over."""
    for stage in _names(root, folders=True):
        if is_stage(stage):
            for key in _names(root / stage):
                if is_key(key):
                    with contextlib.suppress(FileNotFoundError):
                        yield _entry_at(root / stage / key)


def _entry_at(folder: Path) -> Entry:
    stage, key, came = folder.parent.name, folder.name, folder.lstat().st_mtime
    if has_manifest(folder):
        manifest = folder / MANIFEST
        with contextlib.suppress(FileNotFoundError):
            # A copied file may carry the time of its use elsewhere.
            used = max(came, manifest.stat().st_mtime)
            entry = entry_of(stage, key, manifest.read_bytes(), used)
            return entry if entry.facts is not None else replace(entry, bytes=_size_of(folder))
    return Entry(stage, key, _size_of(folder), came, None, described=False)


def _size_of(folder: Path) -> int:
    """Bytes of all below, or of what lies in a folder's place."""
    if folder.is_symlink() or not folder.is_dir():
        return folder.lstat().st_size
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _names(below: Path, *, folders: bool = False) -> list[str]:
    try:
        with os.scandir(below) as entries:
            return sorted(entry.name for entry in entries if not folders or entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
