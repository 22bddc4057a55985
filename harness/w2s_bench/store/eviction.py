"""What leaves a store that holds more than it may, or what nobody has used for long; how much it holds.

A running total beside the results is cheap enough for every put.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from w2s_bench.record import write_atomically
from w2s_bench.store.entries import Entry, entries_below
from w2s_bench.store.leases import Living
from w2s_bench.store.locks import held
from w2s_bench.store.sizes import parse_size

LIMIT_VARIABLE = "W2S_BENCH_STORE_LIMIT"
#: Removing goes on down to this share of the limit, so that it is not every put that removes something.
LOW_WATER = 0.9


def limit_from_environment() -> int | None:
    """Bytes, or None where nothing limits a store."""
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    return parse_size(text, LIMIT_VARIABLE) if text else None


def size_of(root: Path) -> int:
    """Bytes of all results below a folder."""
    return sum(entry.bytes for entry in entries_below(root))


class Total:
    """Bytes of all results below a folder, kept by everybody who adds or removes one; counted anew where nobody has yet.

    The total may drift when processes die; each removal counts anew and sets it right.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / ".size"
        self._lock = root / ".locks" / "size.lock"

    def add(self, size: int) -> int:
        """Count `size` bytes more (or less); the new total."""
        return self._change(lambda before: before + size)

    def set(self, total: int) -> None:
        self._change(lambda before: total)

    def _change(self, change: Callable[[int], int]) -> int:
        with held(self._lock):
            try:
                total = change(int(self.path.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                total = size_of(self.root)  # the sum holds what is being added already
            try:
                write_atomically(self.path, f"{total}\n")
            except OSError:  # the next call counts a total that this one could not write
                with contextlib.suppress(OSError):
                    self.path.unlink(missing_ok=True)
        return total


class Removable(Protocol):
    """What of a store removing needs: see `Store`."""

    def require(self) -> None: ...
    def entries(self) -> Iterator[Entry]: ...
    def now(self) -> float: ...
    def in_use(self) -> Living: ...
    def discard(self, stage: str, key: str, living: Living) -> bool: ...


@dataclass
class Collected:
    """What was removed (or would be), what could not be because a process uses it, and the bytes of what is left."""

    removed: list[Entry] = field(default_factory=list)
    spared: list[Entry] = field(default_factory=list)
    bytes_left: int = 0


def collect(
    store: Removable, *, older_than: float | None = None, limit: int | None = None, dry_run: bool = False
) -> Collected:
    """Remove results not used for `older_than` seconds; then the longest unused, until all take at most `limit` bytes.

    What has no manifest, or bears no result's name, is never removed. A result that was used after now, by a clock that has
    since been set back, counts as just used.
    """
    store.require()
    everything = sorted(store.entries(), key=lambda entry: entry.used)
    entries = [entry for entry in everything if entry.described]
    done = Collected(bytes_left=sum(entry.bytes for entry in everything))
    if not entries:
        return done
    living = store.in_use()
    oldest = store.now() - older_than if older_than is not None else float("-inf")
    for entry in entries:
        if entry.used >= oldest and (limit is None or done.bytes_left <= limit):
            continue
        used = entry.address in living.addresses
        if used or not (dry_run or store.discard(entry.stage, entry.key, living)):
            done.spared.append(entry)
        else:
            done.removed.append(entry)
            done.bytes_left -= entry.bytes
    return done
