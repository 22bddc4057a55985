"""The store in a folder: results enter by one rename, under a lock a key, and are checked on every read."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from w2s_bench.errors import NoStoreError, StoreError, W2SBenchError
from w2s_bench.names import MANIFEST
from w2s_bench.record import digest_of, write_atomically
from w2s_bench.store.entries import Entry, entries_below
from w2s_bench.store.eviction import LIMIT_VARIABLE, LOW_WATER, Total, collect, size_of
from w2s_bench.store.faults import explained, machine_fault, store_error, tried
from w2s_bench.store.layout import Layout, address_of, has_manifest, remove, touch
from w2s_bench.store.leases import Living, Uses, bury
from w2s_bench.store.locks import held
from w2s_bench.store.manifest import Damage, Result, check, identity, result_of, seal
from w2s_bench.store.sizes import size_text
from w2s_bench.store.stage import Stage


class Store:
    """Results under one folder; safe for several threads and processes at once. Reads need no write permission.

    What is found or made stays until `close`, or until this object is gone: neither `limit` (bytes) nor a clean-up by
    another process removes it.
    """

    def __init__(self, root: Path, limit: int | None = None) -> None:
        self.root = root.absolute()
        self.limit = limit
        self.layout = Layout(self.root)
        #: Every damaged result met so far, oldest first.
        self.damages: list[Damage] = []
        self._uses = Uses(self.layout.uses)
        self._total = Total(self.root)
        self._tolerated = limit or 0  # bytes up to which a search for removable results does not pay

    @property
    def location(self) -> str:
        """What `open_store` makes the same store of, in another process."""
        return str(self.root)

    def exists(self) -> bool:
        """Whether anything was ever stored here, in a store or before somebody put other things beside it."""
        if not self.root.is_dir():
            return False
        try:
            self.require()
        except NoStoreError:
            return next(self.entries(), None) is not None
        return True

    def require(self) -> None:
        """Raise `NoStoreError` unless this is a store or may become one; writes nothing."""
        self.layout.mark.require()

    def works(self) -> bool:
        """Whether this process can write to it, as far as a try can tell."""
        return tried(self.root) is None

    def close(self) -> None:
        """Nothing that was found or made here is in use any more."""
        self._uses.close()

    def folder(self, stage: Stage | str, key: str) -> Path:
        return self.layout.folder(stage if isinstance(stage, str) else stage.name, key)

    def holds(self, stage: Stage, key: str) -> bool:
        """Whether anything is stored under this key; only `find` says that it is sound."""
        folder = self.folder(stage, key)
        with explained(folder):
            return folder.exists()

    def look(self, stage: Stage | str, key: str, *, whole: bool = True) -> Result | Damage | None:
        """What `find` would find, but nothing is fetched, removed, recorded or kept in use.

        Not `whole`: as the manifest and the sizes of files tell it. That is enough to plan by, and not to read the result.
        """
        folder = self.folder(stage, key)
        with explained(folder):
            return check(folder, whole=whole)

    def inspect(self, stage: Stage | str, key: str) -> Result | Damage | None:
        """Read every byte of a result where it is stored, and change nothing."""
        folder = self.folder(stage, key)
        with explained(folder):
            return check(folder)

    def use(self, stage: Stage | str, key: str) -> None:
        """Say that this process needs a result that another one found or made: it stays from now on."""
        self._note_use(self.folder(stage, key))

    def find(self, stage: Stage | str, key: str) -> Result | None:
        """The stored result, all of it checked; None if there is none, or if it was damaged (see `damages`)."""
        folder = self.folder(stage, key)
        with explained(folder):
            if not os.path.lexists(folder):
                return None
            self._note_use(folder)
            checked = check(folder)
        # A remover that comes from now on sees the use noted above. One that came before has announced itself, or has
        # removed the folder since the check. An announcement goes with its folder, so the folder is looked for last.
        if isinstance(checked, Damage) or self.layout.is_leaving(folder) or not os.path.lexists(folder):
            # Without the lock, a result that another process is replacing or removing is neither sound nor damaged.
            with self.layout.lock(folder):
                checked = self._check_or_remove(folder)
        if checked is not None:
            touch(folder)
        return checked

    def put(self, stage: Stage, input_contents: Mapping[str, str], produce: Callable[[Path], None]) -> Result:
        """Run `produce` on an empty folder and store what it wrote, unless the result is there by now.

        Waits while another process makes the same result. Whatever `produce` raises is passed on and leaves nothing
        behind, except that a full or read-only disk is a `StoreError`.
        """
        what = identity(stage, input_contents)
        folder = self.folder(stage, digest_of(what))

        def make(scratch: Path) -> Result:
            clock, cpu = time.perf_counter(), time.process_time()
            try:
                produce(scratch)
            except Exception as error:
                if (fault := machine_fault(error, scratch)) is not None:
                    raise store_error(scratch, fault) from error
                raise
            seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cpu
            with explained(scratch):
                return result_of(scratch, folder.name, seal(scratch, what, seconds, cpu_seconds))

        return self._enter(folder, make)

    def take(self, stage: str, result: Result) -> Result:
        """Store a copy of another store's result, checked on the way, unless it is there by now."""

        def copy(scratch: Path) -> Result:
            with explained(scratch):
                shutil.copytree(result.path, scratch, dirs_exist_ok=True)
                copied = check(scratch, result.key)
            if not isinstance(copied, Result):
                raise W2SBenchError(f"{result.path} changed while it was copied; verify the store that it is in")
            return copied

        return self._enter(self.folder(stage, result.key), copy)

    def clean(self) -> None:
        """Remove what dead processes left half made; what a living one is making is locked, and stays."""
        from filelock import Timeout

        self.require()
        if not self.layout.mark.is_there():
            return  # a new folder has nothing to remove
        with explained(self.root):
            leftovers = self.layout.leftovers()
            bury(self.layout.uses)
            self.layout.bury_locks()
        for scratch in leftovers:
            try:
                with self.layout.lock(scratch, timeout=0), explained(scratch):
                    remove(scratch)
            except Timeout:
                continue

    def write_log(self, name: str, text: str) -> Path:
        """Keep what a failed stage printed; a later failure of the same stage replaces it."""
        path = self.layout.logs / f"{name}.log"
        self.layout.mark.claim()
        with explained(path):
            self.layout.make(path.parent)
            if path.is_dir():
                self.layout.move_aside(path, unless=Path.is_file)
            write_atomically(path, text, errors="backslashreplace")
        return path

    # The verbs of `w2s-bench store` call what follows: see `eviction` and `upkeep`.

    def entries(self) -> Iterator[Entry]:
        """Everything that is stored, by stage and key."""
        with explained(self.root):
            yield from entries_below(self.root)

    def now(self) -> float:
        """The time by the clock that says when results were used: the disk's, which may be another machine's."""
        with explained(self.root), tempfile.NamedTemporaryFile(dir=self.root, prefix=".now-") as file:
            return Path(file.name).stat().st_mtime

    def in_use(self) -> Living:
        self.require()
        with explained(self.root):
            return Living(self.layout.uses)

    def repair(self, stage: str, key: str) -> Damage | None:
        """Remove a result if it is damaged, and say what was."""
        folder = self.folder(stage, key)
        with self.layout.lock(folder):
            before = len(self.damages)
            return None if self._check_or_remove(folder) else next(iter(self.damages[before:]), None)

    def discard(self, stage: str, key: str, living: Living) -> bool:
        """Remove a result, unless it is in use."""
        from filelock import Timeout

        folder = self.folder(stage, key)
        try:
            with self.layout.lock(folder, timeout=0), explained(folder):
                if not has_manifest(folder):
                    return False  # another process was faster, or the folder never held a result
                scratch = self.layout.announce(folder)
                if address_of(folder) in living.look_again():
                    scratch.rmdir()
                    return False
                folder.rename(scratch / "gone")
                remove(scratch)
        except Timeout:  # another process makes the result, or reads it
            return False
        return True

    def shrink(self) -> None:
        """Remove what was not used for longest and is not in use, until the store is well within its limit."""
        from filelock import Timeout

        if self.limit is None:
            return
        self.layout.mark.require()
        try:
            with held(self.layout.locks / "shrink.lock", timeout=0):
                left = collect(Store(self.root), limit=int(self.limit * LOW_WATER)).bytes_left
                self._total.set(left)
        except Timeout:  # another process holds the lock
            return
        self._tolerated = max(self.limit, left + self.limit // 20)

    def excess(self) -> str | None:
        """What to tell the user if the store is larger than its limit allows, with all that could be removed gone."""
        if self.limit is None or not self.layout.mark.is_there():
            return None
        self.shrink()
        if (size := size_of(self.root)) <= self.limit:
            return None
        return (
            f"the store {self.root} holds {size_text(size)}, more than the {size_text(self.limit)} that {LIMIT_VARIABLE} "
            "allows: what a running process needs is never removed. Give a limit above what one run needs"
        )

    def _note_use(self, folder: Path) -> None:
        """Where there is no store yet, there are no notes; what is found there may go, and is then computed again."""
        if self.layout.mark.is_there():
            self._uses.add(address_of(folder))

    def _enter(self, folder: Path, make: Callable[[Path], Result]) -> Result:
        """The result in this folder, or else what `make` writes to a folder beside, sealed and moved here."""
        with self.layout.lock(folder):
            self._uses.add(address_of(folder))
            if (stored := self._there(folder)) is not None:
                touch(folder)
                return stored
            scratch = self.layout.scratch(folder)
            try:
                with explained(scratch):
                    self.layout.cleared(scratch)
                made = self._move_in(scratch, folder, make(scratch))
            except BaseException:
                with contextlib.suppress(OSError):
                    remove(scratch)  # `clean` removes later what cannot be removed now
                raise
        self._grown(made)
        return made

    def _there(self, folder: Path) -> Result | None:
        """The result if it exists by now, wherever. Called with the lock held."""
        return self._check_or_remove(folder)

    def _move_in(self, scratch: Path, folder: Path, result: Result) -> Result:
        """The one moment at which a result comes to be. Called with the lock held."""
        with explained(folder):
            self.layout.make(folder.parent)
            scratch.rename(folder)
        return replace(result, path=folder)

    def _check_or_remove(self, folder: Path) -> Result | None:
        """Called with the lock held, so that damage is damage."""
        with explained(folder):
            checked = check(folder)
            if not isinstance(checked, Damage):
                return checked
            if has_manifest(folder):
                remove(self.layout.hide(folder))
            elif (aside := self.layout.move_aside(folder, unless=has_manifest)) is not None:
                checked = replace(checked, reason=f"{checked.reason}, and what lies there instead was moved to {aside}")
        self.damages.append(checked)
        return None

    def _grown(self, made: Result) -> None:
        """Keep within the limit. The total is kept for others too, once there has been a limit."""
        if self.limit is None and not self._total.path.exists():
            return
        with contextlib.suppress(OSError, StoreError):  # the result is stored; the next `put` tries again
            size = sum((made.path / name).stat().st_size for name in (MANIFEST, *made.files))
            if self._total.add(size) > self._tolerated and self.limit is not None:
                self.shrink()
