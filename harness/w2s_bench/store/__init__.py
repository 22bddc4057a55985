"""Content-addressed results: what a stage wrote, under a key of all it depends on, checked on every read.

    <root>/<stage>/<key>/manifest.json   what made it, from what, with what, and the SHA-256 of every file
    <root>/<stage>/<key>/...             the files of the result
    <root>/.partial/<stage>-<key>/       a result in the making, owned by whoever holds its lock
    <root>/.locks/  <root>/.logs/        one lock a key; what failed stages printed

A result enters by one rename, under a lock a key: a reader sees all of it or nothing, and of two runs on one store the
second finds what the first one made. Nothing is believed without its digest, so a crash costs a recomputation at worst.
"""

from __future__ import annotations

from pathlib import Path

from w2s_bench.store.local import Store
from w2s_bench.store.manifest import Damage, Result, key_of

__all__ = ["Damage", "Result", "Store", "key_of", "open_store"]


def open_store(location: str | Path) -> Store:
    """The store at a place."""
    return Store(Path(location))
