"""How much a store holds against how much it may: a running total beside the results, cheap enough for every put."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from w2s_bench.record import write_atomically
from w2s_bench.store.entries import entries_below
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
                total = size_of(self.root)  # it has what is being added already
            try:
                write_atomically(self.path, f"{total}\n")
            except OSError:  # a total that cannot be written is counted the next time
                with contextlib.suppress(OSError):
                    self.path.unlink(missing_ok=True)
        return total
