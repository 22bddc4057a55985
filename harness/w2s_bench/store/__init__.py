"""Content-addressed results: what a stage wrote, under a key of all it depends on, checked on every read.

    <root>/<stage>/<key>/manifest.json   what made it, from what, with what, and the SHA-256 of every file
    <root>/<stage>/<key>/...             the files of the result
    <root>/.partial/<stage>-<key>/       a result in the making, owned by whoever holds its lock
    <root>/.uses/                        what living processes read, which nobody removes
    <root>/.locks/  <root>/.logs/        one lock a key; what failed stages printed

A result enters by one rename, under a lock a key: a reader sees all of it or nothing, and of two runs on one store the
second finds what the first one made. Nothing is believed without its digest, so a crash costs a recomputation at worst.

No plugin, model or executor may enter: a result is files, whatever made them.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from w2s_bench.store.eviction import limit_from_environment
from w2s_bench.store.local import Store
from w2s_bench.store.manifest import Damage, Result, key_of

__all__ = ["Damage", "Result", "Store", "default_location", "key_of", "open_store"]

LOCATION_VARIABLE = "W2S_BENCH_STORE"


def default_location() -> str:
    """What `W2S_BENCH_STORE` names, or a folder in the user's cache."""
    from platformdirs import user_cache_path

    return os.environ.get(LOCATION_VARIABLE) or str(user_cache_path("w2s-bench") / "store")


def open_store(location: str | Path, *, limited: bool = True) -> Store:
    """The store at a place: a folder, or a URL that fsspec knows, with a cache on this machine. Nothing is read yet.

    `limited`: within the limit that the environment sets, which is the cache's if the store is elsewhere.
    """
    limit = limit_from_environment() if limited else None
    if isinstance(location, Path) or "://" not in location:
        return Store(Path(location), limit)
    if location.startswith("file://"):
        return Store(Path(unquote(urlsplit(location).path)), limit)
    from w2s_bench.store.remote import RemoteStore

    return RemoteStore(location, limit)
