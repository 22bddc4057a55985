"""Flipped bits, cut files, full disks, clocks that jump: all detected or endured, said, and computed again."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stage_functions import stage
from w2s_bench.errors import StoreError
from w2s_bench.record import write_arrays, write_json, write_rows
from w2s_bench.store import Result, Store, key_of
from w2s_bench.store.eviction import collect
from w2s_bench.store.faults import machine_fault
from w2s_bench.store.manifest import parse
from w2s_bench.store.upkeep import check_all, existing

STAGE = stage("write", text="hello")
KEY = key_of(STAGE, {})
KINDS = ["manifest.json", "grades.json", "rows.jsonl", "weights.safetensors", "table.arrow", "model/config.json"]
DAY = 86400


def produce(out: Path) -> None:
    """A file of every kind that stages write, and one below a folder."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    write_json(out / "grades.json", {f"item-{n}": bool(n % 3) for n in range(50)})
    write_rows(out / "rows.jsonl", ({"id": f"é{n}", "score": float(rng.random())} for n in range(50)))
    write_arrays(out / "weights.safetensors", {"b": rng.random((7, 5)), "a": rng.random(3).astype(np.float32)})
    table = pa.table({"n": list(range(100))})
    with pa.OSFile(str(out / "table.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    (out / "model").mkdir()
    write_json(out / "model" / "config.json", {"layers": 2})


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Store(tmp_path_factory.mktemp("pristine")).put(STAGE, {}, produce)


def harms(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """What may become of a file: (what happened, its bytes afterwards)."""
    size = len(content)
    for place in [0, size - 1, *rng.sample(range(size), min(size, 25))]:
        bit = rng.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        yield f"bit {bit} of byte {place} flipped", bytes(flipped)
    for length in [0, 1, size // 2, size - 1, *rng.sample(range(size), min(size, 8))]:
        yield f"cut to {length} of {size} bytes", content[:length]
    yield "a byte added", content + b"\n"
    yield "all zeros", bytes(size)
    start = rng.randrange(size // 2)
    hole = content[:start] + bytes(size // 4 + 1) + content[start + size // 4 + 1 :]
    yield "a hole", hole[:size]
    yield "turned round", content[::-1]


@pytest.mark.parametrize("name", KINDS)
def test_harm_to_every_kind_of_file_is_detected_said_and_made_good(tmp_path: Path, pristine: Result, name: str) -> None:
    rng = random.Random(name)
    original = (pristine.path / name).read_bytes()
    count = 0
    for what, harmed in harms(original, rng):
        if harmed == original:
            continue
        count += 1
        store = Store(tmp_path / "store")
        store.layout.mark.claim()
        folder = store.folder(STAGE, KEY)
        shutil.copytree(pristine.path, folder)
        (folder / name).write_bytes(harmed)
        assert store.find(STAGE, KEY) is None, what
        (damage,) = store.damages
        assert name in damage.reason and "computed again" in str(damage), what
        assert not folder.exists()
        if count % 10 == 1:  # to be read is to be whole: one in ten is computed again
            again = store.put(STAGE, {}, produce)
            assert (again.content, again.files) == (pristine.content, pristine.files), what
            assert store.find(STAGE, KEY) == again
        shutil.rmtree(store.root)
    assert count > 30


def test_every_single_bit_of_a_manifest_counts(pristine: Result) -> None:
    text = (pristine.path / "manifest.json").read_bytes()
    assert parse(text, KEY) is not None
    for place in range(len(text)):
        assert parse(text[:place], KEY) is None
        for bit in range(8):
            flipped = bytearray(text)
            flipped[place] ^= 1 << bit
            assert parse(bytes(flipped), KEY) is None, (place, bit)


def test_files_that_changed_places_are_detected(tmp_path: Path, pristine: Result) -> None:
    """As a disk that was repaired may have it: sound files, under each other's names."""
    store = Store(tmp_path)
    folder = store.folder(STAGE, KEY)
    shutil.copytree(pristine.path, folder)
    (folder / "grades.json").rename(folder / "x")
    (folder / "rows.jsonl").rename(folder / "grades.json")
    (folder / "x").rename(folder / "rows.jsonl")
    assert store.find(STAGE, KEY) is None
    assert "grades.json has" in store.damages[0].reason


def test_what_is_no_result_may_be_garbage(tmp_path: Path) -> None:
    """The store's own notes only save time: whatever they hold, results stay what they are."""
    store = Store(tmp_path, limit=10**9)
    made = store.put(STAGE, {}, produce)
    (tmp_path / ".size").write_bytes(b"\xff\x00 lots")
    for path in (tmp_path / ".uses").iterdir():
        path.write_bytes(b"\xfe\n\n/\x00/..\n../../etc")
    (tmp_path / ".locks" / "odd.lock").write_bytes(b"\xff")
    (tmp_path / "stray").touch()
    (tmp_path / "folder" / "stray").mkdir(parents=True)
    again = Store(tmp_path, limit=10**9)
    assert again.find(STAGE, KEY) == made
    again.put(stage("other"), {}, produce)
    assert int((tmp_path / ".size").read_text()) == sum(entry.bytes for entry in again.entries())
    assert set(check_all(again, existing(again), repair=True)) == {None}, "what is no result is nobody's damage"
    assert (tmp_path / "stray").is_file() and (tmp_path / "folder" / "stray").is_dir()


# A full disk. Python tells hooks of every file that is opened, folder that is made and thing that is renamed: one of
# them after another is refused. What is written to open files is refused by a real file system, below.

_refused: list[Callable[[str, tuple[object, ...]], None]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _refused:
        _refused[0](event, arguments)


sys.addaudithook(_hook)  # for good, there is no way to remove one; it does nothing unless a test asks for it


class FullDisk:
    """Within `with`, the disk below `root` is full: from the `first` change on, or (`once`) for that one alone."""

    def __init__(self, root: Path, first: int, *, once: bool) -> None:
        self.root, self.first, self.once, self.count = str(root), first, once, 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            changes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            changes = event in ("os.mkdir", "os.rename")
        if changes and str(arguments[0]).startswith(self.root):
            self.count += 1
            if self.count == self.first or (self.count > self.first and not self.once):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    def __enter__(self) -> FullDisk:
        _refused.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _refused.clear()


def changes_of_a_put(root: Path) -> int:
    produce(root)  # whatever is imported on the way is imported now
    with FullDisk(root, 10**9, once=True) as disk:
        Store(root / "store", limit=10**9).put(STAGE, {}, produce)
    return disk.count


@pytest.mark.parametrize("once", [True, False], ids=["once", "from then on"])
def test_a_disk_that_is_full_at_any_moment_of_a_put_leaves_nothing_half_made(tmp_path: Path, once: bool) -> None:
    (tmp_path / "count").mkdir()
    total = changes_of_a_put(tmp_path / "count")
    assert total > 12
    refused = 0
    for first in range(1, total + 1):
        root = tmp_path / str(first)
        kept = Store(root).put(stage("kept"), {}, produce)
        store = Store(root, limit=10**9)
        try:
            with FullDisk(root, first, once=once):
                store.put(STAGE, {}, produce)
        except StoreError as error:
            refused += 1
            assert "No space left on device. Free space" in str(error) and "--store DIR" in str(error)
            assert store.find(STAGE, KEY) is None
            assert not store.folder(STAGE, KEY).exists()
        else:  # it was something that only saves time
            assert store.find(STAGE, KEY) is not None
        assert store.damages == []
        assert list((root / ".partial").glob("*")) == []
        assert store.find(stage("kept"), kept.key) == kept
        again = store.put(STAGE, {}, produce)
        assert store.find(STAGE, KEY) == again and again.files.keys() == set(KINDS) - {"manifest.json"}
        shutil.rmtree(root)
    assert refused >= 8, "the lock, the folder, each file that Python writes, the manifest, the move"


def test_a_full_disk_does_not_keep_anybody_from_reading(tmp_path: Path) -> None:
    made = Store(tmp_path).put(STAGE, {}, produce)
    with FullDisk(tmp_path, 1, once=False) as disk:
        assert Store(tmp_path).find(STAGE, KEY) == made
    assert disk.count > 0


_ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
from stage_functions import named
from w2s_bench.errors import StoreError
from w2s_bench.store import Store, key_of

root = Path(sys.argv[1])
told = []
for options in [f"size={k}k" for k in range(20, 150, 4)] + [f"nr_inodes={n},size=1m" for n in range(8, 40)]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", root], check=True)
    ballast = root / "ballast"
    ballast.mkdir()

    def produce(out):
        for number in range(3):
            with (out / f"data-{number}").open("wb") as file:
                for _ in range(20):
                    file.write(bytes(1000))

    store, kept = Store(root / "store", limit=10**9), []
    try:
        for number in range(3):
            kept.append(store.put(named("write", {"n": number}), {}, produce))
    except StoreError as error:
        assert "No space left on device. Free space" in str(error) and "--store DIR" in str(error), error
    told.append(len(kept))
    for number in range(3):
        one = named("write", {"n": number})
        found = store.find(one, key_of(one, {}))
        assert found == (kept[number] if number < len(kept) else None), (options, number)
    assert store.damages == [], store.damages
    assert not list((root / "store" / ".partial").glob("*"))
    subprocess.run(["mount", "-o", "remount,size=2m,nr_inodes=1000", root], check=True)
    for number in range(3):
        store.put(named("write", {"n": number}), {}, produce)
    assert len(list(store.entries())) == 3
    store.close()
    subprocess.run(["umount", root], check=True)
print(sorted(set(told)))
"""


def test_a_real_disk_that_fills_up_at_any_byte_or_file_leaves_nothing_half_made(tmp_path: Path) -> None:
    """A file system of a few kilobytes or files more each time, in a namespace of its own."""
    within = ["unshare", "--map-root-user", "--mount"]
    try:
        allowed = (
            subprocess.run([*within, "mount", "-t", "tmpfs", "none", tmp_path], capture_output=True).returncode == 0
        )
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("no file system may be mounted here")
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [*within, sys.executable, "-c", _ON_A_SMALL_DISK, tmp_path],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, 1, 2, 3], "some disks held none, some all"


# Clocks.


def used(result: Result, when: float) -> None:
    for path in (result.path / "manifest.json", result.path):
        os.utime(path, (when, when))


def test_an_error_without_words_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise GeneratorExit

    assert machine_fault(MuteError(), tmp_path) is None


def test_a_clock_that_jumps_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, real = random.Random(0), time.time
    monkeypatch.setattr(time, "time", lambda: real() + rng.uniform(-1, 1) * 3000 * DAY)
    store = Store(tmp_path, limit=10**9)
    results = [store.put(stage("write", text=str(n)), {}, produce) for n in range(20)]
    store.close()
    assert collect(Store(tmp_path), older_than=60).removed == []
    again = Store(tmp_path)
    assert [again.find("write", one.key) for one in results] == results
    assert again.damages == []


@pytest.mark.parametrize("jump", [-20_000 * DAY, -400 * DAY, -DAY, DAY, 400 * DAY, 20_000 * DAY])
def test_what_was_used_when_the_clock_was_wrong_is_what_it_was(tmp_path: Path, jump: float) -> None:
    store = Store(tmp_path)
    result = store.put(STAGE, {}, produce)
    used(result, max(time.time() + jump, 0))
    assert collect(Store(tmp_path), older_than=60).removed == [], "in use"
    store.close()
    if jump > 0:
        assert collect(Store(tmp_path), older_than=60).removed == [], "in the future, which is not long ago"
    assert Store(tmp_path).find(STAGE, KEY) == result
    assert collect(Store(tmp_path), older_than=60).removed == [], "found just now, by a clock that is right again"


def test_a_limit_takes_the_oldest_first_whatever_the_clock_said(tmp_path: Path) -> None:
    store, now = Store(tmp_path), time.time()
    results = [store.put(stage("write", text=str(n)), {}, produce) for n in range(4)]
    store.close()
    for result, when in zip(results, [now + 400 * DAY, 0, now, now - DAY], strict=True):
        used(result, when)
    stay = {results[0].key, results[2].key}  # a manifest's times have more digits or fewer, so entries differ in size
    removed = collect(store, limit=sum(entry.bytes for entry in store.entries() if entry.key in stay)).removed
    assert [entry.key for entry in removed] == [results[1].key, results[3].key]
    assert store.find("write", results[0].key) == results[0]


def test_what_was_copied_here_is_new_here(tmp_path: Path) -> None:
    """Copies keep the times of their files: a store that was unpacked just now is not all for the bin."""
    result = Store(tmp_path / "there").put(STAGE, {}, produce)
    os.utime(result.path / "manifest.json", (0, 0))
    here = Store(tmp_path / "here")
    copy = here.folder(STAGE, KEY)
    copy.parent.mkdir(parents=True)
    copy.mkdir()
    for path in result.path.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, copy / path.name)
    assert (copy / "manifest.json").stat().st_mtime == 0
    assert collect(here, older_than=DAY).removed == []
