"""Odd things where a store's own should be: whatever is not what was written is made again, and nobody's file is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stage_functions import stage
from w2s_bench._cli.app import app
from w2s_bench.executors import Done
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.store import Store, key_of
from w2s_bench.store.eviction import collect
from w2s_bench.store.upkeep import check_all, existing

STAGE = stage("write", text="hello")
KEY = key_of(STAGE, {})


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file of the user's, which links lead to."""
    path = tmp_path / "mine"
    path.write_text("mine")
    return path


@pytest.fixture
def store(tmp_path: Path, mine: Path) -> Store:
    store = Store(tmp_path / "store", limit=10**9)
    store.put(STAGE, {}, produce)
    store.close()
    return store


def produce(out: Path) -> None:
    (out / "text").write_text("hello")


def gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def a_file(path: Path, mine: Path) -> None:
    path.write_text("odd")


def a_folder(path: Path, mine: Path) -> None:
    (path / "inside").mkdir(parents=True)
    (path / "inside" / "text").write_text("odd")


def a_dangling_link(path: Path, mine: Path) -> None:
    path.symlink_to("/nowhere/at-all")


def a_link_to_itself(path: Path, mine: Path) -> None:
    path.symlink_to(path.name)


def a_link_to_a_file(path: Path, mine: Path) -> None:
    path.symlink_to(mine)


def a_pipe(path: Path, mine: Path) -> None:
    os.mkfifo(path)


ODD = [a_file, a_folder, a_dangling_link, a_link_to_itself, a_link_to_a_file, a_pipe]
PLACES = {
    "the result": lambda root: root / "write" / KEY,
    "its manifest": lambda root: root / "write" / KEY / "manifest.json",
    "a file of it": lambda root: root / "write" / KEY / "text",
    "its stage": lambda root: root / "write",
    "its scratch folder": lambda root: root / ".partial" / f"write-{KEY}",
    "its lock": lambda root: root / ".locks" / f"write-{KEY}.lock",
    "the scratch folders": lambda root: root / ".partial",
    "the locks": lambda root: root / ".locks",
    "the notes": lambda root: root / ".uses",
    "a note": lambda root: root / ".uses" / "host-1-abc.keys",
    "a note's lock": lambda root: root / ".uses" / "host-1-abc.lock",
    "the size": lambda root: root / ".size",
    "the logs": lambda root: root / ".logs",
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", PLACES)
def test_a_run_makes_again_what_is_not_what_was_written(
    store: Store, mine: Path, place: str, odd: Callable[[Path, Path], None]
) -> None:
    path = PLACES[place](store.root)
    gone(path)
    path.parent.mkdir(exist_ok=True)
    odd(path, mine)
    if place in ("its lock", "the locks", "its scratch folder", "the scratch folders"):
        shutil.rmtree(store.root / "write" / KEY)  # or nobody would want them
    again = Store(store.root, limit=10**9)
    again.clean()
    result = again.find(STAGE, KEY) or again.put(STAGE, {}, produce)
    assert (result.path / "text").read_text() == "hello"
    again.close()
    assert Store(store.root).find(STAGE, KEY) is not None
    assert again.write_log("write", "text").read_text() == "text"
    again.clean()
    assert len(collect(Store(store.root), limit=0).removed) == 1
    assert mine.read_text() == "mine"


def test_a_whole_run_goes_on_from_whatever_it_meets(store: Store, mine: Path) -> None:
    other = stage("write", text="other")
    for place, odd in (("the result", a_dangling_link), ("the scratch folders", a_file), ("a note", a_pipe)):
        gone(PLACES[place](store.root))
        odd(PLACES[place](store.root), mine)
    outcomes = LocalExecutor(1).run([STAGE, other], Store(store.root), lambda event: None)
    assert all(isinstance(one, Done) for one in outcomes.values()), outcomes


@pytest.mark.parametrize("odd", ODD)
def test_a_log_replaces_whatever_lies_there(store: Store, mine: Path, odd: Callable[[Path, Path], None]) -> None:
    (store.root / ".logs").mkdir()
    odd(store.root / ".logs" / "write.log", mine)
    assert store.write_log("write", "\ud800 text").read_text() == "\\ud800 text"
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("odd", [a_file, a_dangling_link, a_link_to_a_file, a_pipe, a_folder])
@pytest.mark.parametrize("place", ["the result", "its manifest"])
def test_verify_lists_what_is_odd_and_repair_makes_way_for_it(
    store: Store, mine: Path, place: str, odd: Callable[[Path, Path], None]
) -> None:
    path = PLACES[place](store.root)
    gone(path)
    odd(path, mine)
    (damage,) = (one for one in check_all(Store(store.root), existing(store)) if one is not None)
    assert damage.path == store.root / "write" / KEY and "manifest.json is " in damage.reason
    told = CliRunner().invoke(app, ["store", "verify", "--repair", "--store", str(store.root)])
    assert told.exit_code == 0 and "damaged, removed" in told.output
    assert list(store.entries()) == []
    kept = list((store.root / ".aside").glob("*"))
    assert len(kept) == (".aside" in told.output) == ((place, odd) != ("its manifest", a_file)), "what has no manifest"
    assert mine.read_text() == "mine"


def test_a_result_that_lies_elsewhere_is_read_and_stays(store: Store, tmp_path: Path) -> None:
    """Somebody made room on a disk: the link goes at most, never what it leads to."""
    there = tmp_path / "there"
    (store.root / "write" / KEY).rename(there)
    (store.root / "write" / KEY).symlink_to(there)
    assert Store(store.root).find(STAGE, KEY) is not None
    assert collect(Store(store.root), limit=0).removed == []
    assert (there / "text").read_text() == "hello"
    (there / "text").write_text("other")
    assert Store(store.root).put(STAGE, {}, lambda out: None)
    assert (there / "text").read_text() == "other"


def test_locks_do_not_pile_up(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=10**9)
    for number in range(20):
        store.put(stage("write", text=str(number)), {}, lambda out: (out / "text").touch())
    assert list((tmp_path / ".locks").iterdir()) == []
    for number in range(20):  # of processes that were killed, or of before
        (tmp_path / ".locks" / f"write-{number:064}.lock").touch()
    store.clean()
    assert list((tmp_path / ".locks").iterdir()) == []
