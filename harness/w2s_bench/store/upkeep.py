"""Looking after a store: check all of it, copy it elsewhere."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
        checked = store.inspect(entry.stage, entry.key)
        # A process may be replacing the result. The second look waits for that, or sees it done.
        if isinstance(checked, Damage):
            checked = store.inspect(entry.stage, entry.key)
        if isinstance(checked, Damage) and repair:
            checked = store.repair(entry.stage, entry.key) or checked
        yield checked if isinstance(checked, Damage) else None


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
            info = tarfile.TarInfo(f"{entry.address}/{path.relative_to(folder).as_posix()}")
            info.size, info.mode = path.stat().st_size, 0o644
            info.mtime = entry.created.timestamp() if entry.created else 0
            with path.open("rb") as file:
                archive.addfile(info, file)


def existing(store: Store, stages: Sequence[str] = ()) -> list[Entry]:
    """All results, or those of some stages."""
    entries = list(store.entries())
    if stages:
        present = {entry.stage for entry in entries}
        for name in stages:
            if name not in present:
                raise UnknownNameError("stage", name, present, f"Results of these are in the store {store.location}.")
        entries = [entry for entry in entries if entry.stage in stages]
    return entries
