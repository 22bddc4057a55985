"""A store elsewhere, with a cache on this machine: what is computed is uploaded, what others computed is downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from w2s_bench.names import MANIFEST
from w2s_bench.store.bucket import Bucket
from w2s_bench.store.entries import Entry, entry_of
from w2s_bench.store.faults import explained
from w2s_bench.store.layout import address_of, remove
from w2s_bench.store.leases import Living
from w2s_bench.store.local import Store
from w2s_bench.store.manifest import Damage, Result, check, parse, result_of
from w2s_bench.store.stage import Stage

CACHE_VARIABLE = "W2S_BENCH_CACHE"
_PAUSE = 0.5  # seconds; another machine may still be writing what looks damaged


class RemoteStore(Store):
    """The folder at `root` holds nothing but copies of what is at `url`, and what could not be uploaded yet."""

    def __init__(self, url: str, limit: int | None = None) -> None:
        self.bucket = Bucket(url)
        super().__init__(cache_of(self.bucket.url), limit)
        self._unpublished = self.root / ".unpublished"
        self._listed: dict[str, set[str]] = {}

    @property
    def location(self) -> str:
        return self.bucket.url

    def exists(self) -> bool:
        return True  # nobody can tell more without asking the bucket

    def require(self) -> None:
        super().require()
        self.bucket.require_own()

    def works(self) -> bool:
        return False  # one try proves nothing: networks fail now and then

    def holds(self, stage: Stage, key: str) -> bool:
        """As of the first question about a stage: one that came later is found when it is to be made."""
        if super().holds(stage, key):
            return True
        if stage.name not in self._listed:
            self._listed[stage.name] = set(self.bucket.names(stage.name))
        return key in self._listed[stage.name]

    def look(self, stage: Stage | str, key: str, *, whole: bool = True) -> Result | Damage | None:
        """Of what is not on this machine yet, the manifest alone is read."""
        if isinstance(copy := super().look(stage, key, whole=whole), Result):
            return copy
        folder = self.folder(stage, key)
        if (text := self.bucket.manifest(address_of(folder))) is None:
            return None
        facts = parse(text, key)
        return (
            Damage(folder, f"{MANIFEST} at {self.url_of(folder)}") if facts is None else result_of(folder, key, facts)
        )

    def inspect(self, stage: Stage | str, key: str) -> Result | Damage | None:
        folder = self.folder(stage, key)
        with self.layout.lock(folder):
            scratch = self.layout.scratch(folder)
            try:
                return self._download(folder, scratch)
            finally:
                _remove_if_possible(scratch)

    def find(self, stage: Stage | str, key: str) -> Result | None:
        if (copy := super().find(stage, key)) is not None:
            return copy
        folder = self.folder(stage, key)
        with self.layout.lock(folder):
            self._note_use(folder)
            return self._there(folder)

    def entries(self) -> Iterator[Entry]:
        """What is elsewhere, copied to this machine or not. Nobody records uses there: `used` is when it was made."""
        for stage in self.bucket.names():
            for key, text in self.bucket.manifests(stage, self.bucket.names(stage)):
                entry = entry_of(stage, key, text, 0.0)
                yield replace(entry, used=entry.created.timestamp() if entry.created else time.time())

    def clean(self) -> None:
        """Of what is here: elsewhere nobody leaves anything half made that would be seen."""
        self.bucket.require_own()
        super().clean()

    def now(self) -> float:
        return time.time()

    def repair(self, stage: str, key: str) -> Damage | None:
        folder = self.folder(stage, key)
        with self.layout.lock(folder):
            before = len(self.damages)
            self._check_or_remove(folder)
            return None if self._fetched(folder) else next(iter(self.damages[before:]), None)

    def discard(self, stage: str, key: str, living: Living) -> bool:
        """Remove it there and here, unless a process on this machine uses it; others make again what they miss."""
        folder = self.folder(stage, key)
        if address_of(folder) in living.look_again() or (folder.exists() and not super().discard(stage, key, living)):
            return False
        self.bucket.remove(address_of(folder))
        return True

    def url_of(self, folder: Path) -> str:
        return f"{self.bucket.url}/{address_of(folder)}"

    def _enter(self, folder: Path, make: Callable[[Path], Result]) -> Result:
        self.bucket.require_writable()
        return super()._enter(folder, lambda scratch: self._made_before(folder, scratch) or make(scratch))

    def _made_before(self, folder: Path, scratch: Path) -> Result | None:
        """A result that an earlier run made, and could not upload."""
        kept = self._unpublished / scratch.name
        with explained(kept):
            self.layout.make(self._unpublished)
            if not isinstance(check(kept, folder.name), Result):
                remove(kept)
                return None
            remove(scratch)
            kept.rename(scratch)
            checked = check(scratch, folder.name)
        return checked if isinstance(checked, Result) else None

    def _move_in(self, scratch: Path, folder: Path, result: Result) -> Result:
        """Upload it, and only then move it in: what is in the cache is what everybody else finds."""
        kept = self._unpublished / scratch.name
        with explained(kept):
            remove(kept)
            self.layout.make(kept.parent)
            scratch.rename(kept)  # if the upload fails, the next `put` finds the result here
        while not self.bucket.publish(address_of(folder), kept):
            # Another machine was first. If its result has other bytes, everybody goes on from those.
            if (theirs := self._fetched(folder)) is not None:
                return theirs
        return super()._move_in(kept, folder, result)

    def _there(self, folder: Path) -> Result | None:
        return super()._there(folder) or self._fetched(folder)

    def _fetched(self, folder: Path) -> Result | None:
        """The result from elsewhere, moved into the cache; damaged, it is removed there. Called with the lock held."""
        scratch = self.layout.scratch(folder)
        try:
            fetched = self._download(folder, scratch)
            if isinstance(fetched, Damage):
                time.sleep(_PAUSE)
                fetched = self._download(folder, scratch)
            if isinstance(fetched, Result):
                fetched = super()._move_in(scratch, folder, fetched)
                with explained(self._unpublished):
                    remove(self._unpublished / scratch.name)  # this machine's result, where another was first
                self._grown(fetched)
                return fetched
        finally:
            _remove_if_possible(scratch)
        if isinstance(fetched, Damage):
            self.bucket.remove(address_of(folder))
            self.damages.append(fetched)
        return None

    def _download(self, folder: Path, scratch: Path) -> Result | Damage | None:
        with explained(scratch):
            self.layout.cleared(scratch)
        fetched = self.bucket.fetch(address_of(folder), scratch)
        if isinstance(fetched, Damage):
            return Damage(folder, f"{fetched.reason} at {self.url_of(folder)}")
        return fetched


def _remove_if_possible(scratch: Path) -> None:
    with contextlib.suppress(OSError):  # the next download, or `clean`, removes what stays
        remove(scratch)


def cache_of(url: str) -> Path:
    """Where copies of what is at a URL lie: in the user's cache folder, or where `W2S_BENCH_CACHE` says."""
    from platformdirs import user_cache_path

    parent = os.environ.get(CACHE_VARIABLE)
    name = re.sub(r"[^A-Za-z0-9]+", "-", url).strip("-")[:40]
    return (Path(parent) if parent else user_cache_path("w2s-bench") / "remote") / (
        f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    )
