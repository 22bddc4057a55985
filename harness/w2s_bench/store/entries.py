"""What a store holds, result by result, without reading the results themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from w2s_bench.store.manifest import MANIFEST, parse
from w2s_bench.types import JSON


@dataclass(frozen=True)
class Entry:
    """One stored result, as its manifest describes it; without a sound manifest there are no `facts`."""

    stage: str
    key: str
    bytes: int
    used: float  # when it was last found or made, in seconds, by the clock of the disk
    facts: dict[str, JSON] | None

    @property
    def place(self) -> str:
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
    size = sum(one["bytes"] for one in facts["files"].values()) if facts else 0
    return Entry(stage, key, len(manifest) + size, used, facts)


def entries_below(root: Path) -> Iterator[Entry]:
    """Every result in a folder, by stage and key. One that is removed meanwhile is passed over."""
    for stage in _folders(root):
        if not stage.name.startswith("."):
            for folder in _folders(stage):
                with contextlib.suppress(FileNotFoundError):
                    yield _entry_at(folder)


def _entry_at(folder: Path) -> Entry:
    manifest = folder / MANIFEST
    came = folder.stat().st_mtime  # files that were copied here may say when they were used elsewhere
    try:
        used = max(came, manifest.stat().st_mtime)
        found = entry_of(folder.parent.name, folder.name, manifest.read_bytes(), used)
    except FileNotFoundError:
        found = Entry(folder.parent.name, folder.name, 0, came, None)
    if found.facts is not None:
        return found
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    return Entry(found.stage, found.key, size, found.used, None)


def _folders(below: Path) -> list[Path]:
    try:
        with os.scandir(below) as entries:
            return sorted(below / entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
