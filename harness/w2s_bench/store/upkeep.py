"""Looking after a store: check all of it, remove what is old or too much, copy it elsewhere."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from w2s_bench.errors import UnknownNameError, W2SBenchError
from w2s_bench.record import replacing
from w2s_bench.store.entries import Entry
from w2s_bench.store.faults import explained
from w2s_bench.store.local import Store
from w2s_bench.store.manifest import Damage, Result


def check_all(store: Store, entries: Sequence[Entry], *, repair: bool = False) -> Iterator[Damage | None]:
    """Every byte of every result against its manifest; with `repair` what is damaged is removed, to be computed again."""
    if repair:
        store.require()
    for entry in entries:
        found = store.inspect(entry.stage, entry.key)
        if isinstance(found, Damage):  # or just being replaced, which the second look waits for, or sees done
            found = store.inspect(entry.stage, entry.key)
        if isinstance(found, Damage) and repair:
            found = store.repair(entry.stage, entry.key) or found
        yield found if isinstance(found, Damage) else None


@dataclass
class Collected:
    """What was removed (or would be), what could not be because a process uses it, and the bytes of what is left."""

    removed: list[Entry] = field(default_factory=list)
    spared: list[Entry] = field(default_factory=list)
    bytes_left: int = 0


def collect(
    store: Store, *, older_than: float | None = None, limit: int | None = None, dry_run: bool = False
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
        used = entry.place in living.places
        if used or not (dry_run or store.discard(entry.stage, entry.key, living)):
            done.spared.append(entry)
        else:
            done.removed.append(entry)
            done.bytes_left -= entry.bytes
    return done


@dataclass
class Exported:
    """What was copied, and what was there already."""

    copied: int = 0
    present: int = 0
    bytes: int = 0


def copy_results(
    store: Store, target: Store, entries: Sequence[Entry], advance: Callable[[], None] = lambda: None
) -> Exported:
    """Copy results to another store, each checked here and there; damaged ones are left out (see `store.damages`)."""
    if target.location == store.location:
        raise W2SBenchError(f"the store {store.location} cannot be exported to itself; give another place")
    done = Exported()
    for entry in entries:
        if (result := store.find(entry.stage, entry.key)) is not None:
            if isinstance(target.look(entry.stage, entry.key), Result):
                done.present += 1
            else:
                target.take(entry.stage, result)
                done.copied += 1
                done.bytes += entry.bytes
        advance()
    return done


def write_archive(
    store: Store, path: Path, entries: Sequence[Entry], advance: Callable[[], None] = lambda: None
) -> Exported:
    """Write results to a tar file: unpacked into an empty folder, it is a store. Equal results give equal bytes."""
    done = Exported()
    with (
        explained(path),
        replacing(path) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for entry in entries:
            if (result := store.find(entry.stage, entry.key)) is not None:
                _add(archive, result.path, entry)
                done.copied += 1
                done.bytes += entry.bytes
            advance()
    return done


def _add(archive: tarfile.TarFile, folder: Path, entry: Entry) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            info = tarfile.TarInfo(f"{entry.place}/{path.relative_to(folder).as_posix()}")
            info.size, info.mode = path.stat().st_size, 0o644
            info.mtime = entry.created.timestamp() if entry.created else 0
            with path.open("rb") as file:
                archive.addfile(info, file)


def existing(store: Store, stages: Sequence[str] = ()) -> list[Entry]:
    """All results, or those of some stages."""
    entries = list(store.entries())
    if stages:
        known = {entry.stage for entry in entries}
        for name in stages:
            if name not in known:
                raise UnknownNameError("stage", name, known, f"Results of these are in the store {store.location}.")
        entries = [entry for entry in entries if entry.stage in stages]
    return entries
