"""Several processes on one store: each result is made once, nobody sees half of one, and nobody removes what another uses."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from stage_functions import stage
from w2s_bench.executors import Done
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.store import Store, key_of, local
from w2s_bench.store.eviction import collect
from w2s_bench.store.layout import Layout
from w2s_bench.store.leases import Living, Uses
from w2s_bench.store.stage import Stage

FILES = 4


def numbered(number: int) -> Stage:
    return stage("write", text=str(number))


def content(number: int, file: int) -> bytes:
    return random.Random(number * FILES + file).randbytes(20_000)


def producing(number: int, pause: float = 0.0) -> Callable[[Path], None]:
    def produce(out: Path) -> None:
        for file in range(FILES):
            (out / f"data-{file}").write_bytes(content(number, file))
            time.sleep(pause)

    return produce


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    return process


def join(*processes: BaseProcess) -> None:
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def put_all(root: Path, tally: Path, numbers: list[int]) -> None:
    store = Store(root)
    for number in numbers:

        def produce(out: Path, number: int = number) -> None:
            with tally.open("a") as file:
                file.write(f"{number}\n")
            producing(number, 0.001)(out)

        result = store.put(numbered(number), {}, produce)
        assert (result.path / "data-3").read_bytes() == content(number, 3)
    assert store.damages == []


def test_processes_that_put_the_same_and_other_results_make_each_once(tmp_path: Path) -> None:
    shared = list(range(30))
    orders = [random.Random(seed).sample([*shared, *range(100 * seed, 100 * seed + 10)], 40) for seed in (1, 2, 3)]
    join(*[start(put_all, tmp_path / "store", tmp_path / "tally", order) for order in orders])
    made = (tmp_path / "tally").read_text().split()
    assert sorted(map(int, made)) == sorted({*orders[0], *orders[1], *orders[2]})
    store = Store(tmp_path / "store")
    for number in map(int, made):
        assert store.find(numbered(number), key_of(numbered(number), {})) is not None
    assert store.damages == [] and list((store.root / ".partial").iterdir()) == []


def read_until(root: Path, numbers: list[int], stop: Path) -> None:
    """Look for results again and again, and read what is found."""
    store = Store(root)
    while True:
        last = stop.exists()
        for number in numbers:
            found = store.find(numbered(number), key_of(numbered(number), {}))
            assert found is not None or not last
            if found is not None:
                assert [(found.path / f"data-{file}").read_bytes() for file in range(FILES)] == [
                    content(number, file) for file in range(FILES)
                ]
        assert store.damages == []
        if last:
            return


def test_who_reads_while_others_put_sees_all_of_a_result_or_nothing(tmp_path: Path) -> None:
    numbers = list(range(5))
    readers = [start(read_until, tmp_path / "store", numbers, tmp_path / "stop") for _ in range(2)]
    store = Store(tmp_path / "store")
    for number in numbers:
        store.put(numbered(number), {}, producing(number, 0.05))
    (tmp_path / "stop").touch()
    join(*readers)


def put_and_read(root: Path, seed: int, stop: Path) -> None:
    """Make or find one result after another, and read each for a while: nobody may take it away meanwhile."""
    rng = random.Random(seed)
    while not stop.exists():
        store = Store(root)
        for number in rng.sample(range(6), 3):
            key = key_of(numbered(number), {})
            found = store.find(numbered(number), key) if rng.random() < 0.5 else None
            result = found or store.put(numbered(number), {}, producing(number))
            for _ in range(5):
                for file in range(FILES):
                    assert (result.path / f"data-{file}").read_bytes() == content(number, file)
        assert store.damages == []
        store.close()


def collect_until(root: Path, stop: Path, tally: Path) -> None:
    while not stop.exists():
        if done := collect(Store(root), limit=0).removed:
            with tally.open("a") as file:
                file.write(f"{len(done)}\n")


@pytest.mark.slow
def test_nobody_removes_what_another_reads_or_makes(tmp_path: Path) -> None:
    root, stop, tally = tmp_path / "store", tmp_path / "stop", tmp_path / "tally"
    root.mkdir()
    users = [start(put_and_read, root, seed, stop) for seed in (1, 2)]
    collectors = [start(collect_until, root, stop, tally) for _ in range(2)]
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not (tally.exists() and sum(map(int, tally.read_text().split())) > 100):
        time.sleep(0.1)
    stop.touch()
    join(*users, *collectors)
    assert sum(map(int, tally.read_text().split())) > 100, "the clean-up had something to do"
    Store(root).clean()
    assert [list((root / name).iterdir()) for name in (".partial", ".uses", ".locks")] == [[], [], []]


def test_a_result_that_is_about_to_go_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remover has read the uses, and has not removed yet: whoever looks now must not see it."""
    result = Store(tmp_path).put(numbered(1), {}, producing(1))
    reader, found, threads = Store(tmp_path), [], []
    look_again = Living.look_again

    def slower(self: Living) -> set[str]:
        addresses = look_again(self)
        if (tmp_path / ".partial" / f"write-{result.key}").exists():
            thread = threading.Thread(target=lambda: found.append(reader.find(numbered(1), result.key)))
            thread.start()
            threads.append(thread)
            time.sleep(0.2)
        return addresses

    monkeypatch.setattr(Living, "look_again", slower)
    assert len(collect(Store(tmp_path), limit=0).removed) == 1
    threads[0].join()
    assert found == [None] and reader.damages == []


def test_a_result_that_is_used_in_the_last_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader comes after the remover's first look at the uses, and before it says what it is about to remove."""
    result = Store(tmp_path).put(numbered(1), {}, producing(1))
    reader, announce = Store(tmp_path), Layout.announce

    def later(self: Layout, folder: Path) -> Path:
        assert reader.find(numbered(1), result.key) == result
        return announce(self, folder)

    monkeypatch.setattr(Layout, "announce", later)
    done = collect(Store(tmp_path), limit=0)
    assert (done.removed, [entry.key for entry in done.spared]) == ([], [result.key])
    assert result.path.is_dir() and list((tmp_path / ".partial").iterdir()) == []


def use_and_wait(root: Path, key: str, ready: Path) -> None:
    store = Store(root)
    store.use("write", key)
    ready.touch()
    time.sleep(100)


def test_the_use_of_a_process_that_was_killed_ends(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    result = store.put(numbered(1), {}, producing(1))
    store.close()
    process = start(use_and_wait, store.root, result.key, tmp_path / "ready")
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    assert len(collect(store, limit=0).spared) == 1
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(list((store.root / ".uses").iterdir())) == 2
    assert len(collect(store, limit=0).removed) == 1
    assert list((store.root / ".uses").iterdir()) == []


def test_a_fork_does_not_end_the_use_of_its_parent(tmp_path: Path) -> None:
    uses = Uses(tmp_path)
    uses.add("write/abc")
    child = multiprocessing.get_context("fork").Process(target=uses.close)
    child.start()
    child.join()
    assert Living(tmp_path).addresses == {"write/abc"}


def test_a_use_that_grows_is_read_on(tmp_path: Path) -> None:
    uses = Uses(tmp_path)
    uses.add("write/abc")
    living = Living(tmp_path)
    uses.add("write/def")
    other = Uses(tmp_path)
    other.add("write/ghi")
    assert living.addresses == {"write/abc"}
    assert living.look_again() == {"write/abc", "write/def", "write/ghi"}
    uses.close()
    other.close()
    assert Living(tmp_path).addresses == set()


def test_uses_of_many_threads_are_all_written(tmp_path: Path) -> None:
    uses = Uses(tmp_path)
    threads = [
        threading.Thread(target=lambda part=part: [uses.add(f"write/{part}-{n}") for n in range(50)])
        for part in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Living(tmp_path).addresses) == 400


def test_a_run_ends_well_though_the_store_is_cleaned_all_the_time(tmp_path: Path) -> None:
    root, stop, tally = tmp_path / "store", tmp_path / "stop", tmp_path / "tally"
    root.mkdir()
    cleaner = start(collect_until, root, stop, tally)
    chain = stage("write", text="0", sleep=0.1)
    for number in range(1, 6):
        chain = stage("write", {"a": chain}, text=str(number), sleep=0.1)
    outcomes = LocalExecutor(2).run([chain, *map(numbered, range(8))], Store(root), lambda event: None)
    stop.touch()
    join(cleaner)
    done = outcomes[chain.node]
    assert isinstance(done, Done), done
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())


def test_a_result_removed_between_its_check_and_the_last_look_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remover looked for uses before the reader said so, and is done, announcement and all, when the reader looks."""
    result = Store(tmp_path).put(numbered(1), {}, producing(1))
    reader, check, add = Store(tmp_path), local.check, Uses.add

    def checked_and_removed(folder: Path, *key: str) -> Any:
        found = check(folder, *key)
        monkeypatch.setattr(local, "check", check)
        assert len(collect(Store(tmp_path), limit=0).removed) == 1
        monkeypatch.setattr(Uses, "add", add)
        return found

    monkeypatch.setattr(local, "check", checked_and_removed)
    monkeypatch.setattr(Uses, "add", lambda self, place: None)
    assert reader.find(numbered(1), result.key) is None
    assert reader.damages == []
