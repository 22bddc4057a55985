"""Nothing of a user's is ever taken for a result: what is no store is left alone, and in a store what bears no result's name."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from stage_functions import stage
from w2s_bench._cli.app import app
from w2s_bench.errors import NoStoreError
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.store import Store, key_of, open_store
from w2s_bench.store.eviction import collect
from w2s_bench.store.upkeep import check_all, existing

STAGE = stage("write", text="hello")
KEY = key_of(STAGE, {})
OTHER = "a" * 64  # a name like a result's


def produce(out: Path) -> None:
    (out / "data").write_bytes(bytes(1000))


def snapshot(root: Path) -> dict[str, str]:
    """Relative path → what lies there, of all below a folder."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
    }


def lay(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(file)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    root = tmp_path / "Documents"
    lay(root, "thesis/chapter1/text.tex", "photos/2020/a.jpg", f"archive/{OTHER}/manifest.json", "letter.txt")
    return root


def w2s(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize(
    "verb", [["gc", "--limit", "0B"], ["gc", "--older-than", "0s"], ["gc"], ["verify", "--repair"], ["ls"]]
)
@pytest.mark.parametrize("inside", ["", "thesis", "archive"], ids=["the folder", "one of two levels", "one of digests"])
def test_the_verbs_leave_a_users_folder_alone(documents: Path, verb: list[str], inside: str) -> None:
    before = snapshot(documents)
    code, told = w2s("store", *verb, "--store", documents / inside)
    if verb != ["ls"]:
        assert code == 2
        assert "no store" in told and "--store" in told
    assert snapshot(documents) == before


DELETING: dict[str, Callable[[Store], object]] = {
    "put": lambda store: store.put(STAGE, {}, produce),
    "clean": lambda store: store.clean(),
    "collect": lambda store: collect(store, limit=0),
    "dry run": lambda store: collect(store, limit=0, dry_run=True),
    "repair": lambda store: list(check_all(store, existing(store), repair=True)),
    "repair one": lambda store: store.repair("archive", OTHER),
    "discard": lambda store: store.discard("archive", OTHER, store.in_use()),
    "find": lambda store: store.find("archive", OTHER),
    "log": lambda store: store.write_log("x", "text"),
    "shrink": lambda store: store.shrink(),
    "run": lambda store: LocalExecutor(1).run([STAGE], store, lambda event: None),
}


@pytest.mark.parametrize("what", DELETING)
def test_whatever_writes_or_removes_refuses_a_folder_that_is_no_store(documents: Path, what: str) -> None:
    lay(documents, ".partial/write-0/mine", ".uses/mine.keys", ".uses/mine.lock", ".locks/mine.lock")
    before = snapshot(documents)
    with pytest.raises(NoStoreError, match=r"is no store of w2s-bench: '.*' lies there.*give an empty or a new folder"):
        DELETING[what](Store(documents, limit=1))
    assert snapshot(documents) == before


def test_a_limit_removes_nothing_of_a_folder_that_became_a_store_by_mistake(tmp_path: Path) -> None:
    """Marked, and the user's things came later: what bears no result's name, or has no manifest, stays."""
    store = Store(tmp_path, limit=1)
    made = store.put(STAGE, {}, produce)
    mine = [
        "thesis/chapter1/text.tex",
        "write/notes/text",
        f"write/{OTHER[:-1]}/manifest.json",
        f"write/{OTHER}/data",
        f"{OTHER}/manifest.json",
        f"write/{OTHER.upper()}/manifest.json",
        ".partial/mine",
        ".partial/write-0123/mine",
        f".hidden/{OTHER}/manifest.json",
        f"two words/{OTHER}/manifest.json",
    ]
    lay(tmp_path, *mine)
    store.close()
    store.shrink()
    assert not made.path.exists()
    assert [entry.key for entry in collect(store, limit=0).spared] == []
    store.clean()
    assert all((tmp_path / file).read_text() == file for file in mine)
    damages = [damage for damage in check_all(store, existing(store), repair=True) if damage is not None]
    (aside,) = (tmp_path / ".aside").iterdir()
    assert [str(damage.path) for damage in damages] == [str(tmp_path / "write" / OTHER)]
    assert f"manifest.json is missing, and what lies there instead was moved to {aside}" in damages[0].reason
    assert (aside / "data").read_text() == f"write/{OTHER}/data"
    assert all((tmp_path / file).read_text() == file for file in mine if file != f"write/{OTHER}/data")


def test_a_new_and_an_empty_folder_become_stores_and_what_systems_put_there_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    lay(tmp_path / "disk", "lost+found/0", ".DS_Store")
    for name in ("new/deep", "empty", "disk"):
        store = Store(tmp_path / name)
        store.put(STAGE, {}, produce)
        assert (store.root / ".w2s-bench").read_bytes() == b"a store of w2s-bench\n"
        lay(store.root, "mine/now")  # a store stays one
        assert Store(store.root).put(stage("write", text="2"), {}, produce)


def test_a_store_of_before_the_mark_is_taken_over_with_all_that_is_in_it(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=10**9)
    made = store.put(STAGE, {}, produce)
    store.write_log("x", "text")
    store.close()
    (tmp_path / ".w2s-bench").unlink()
    lay(tmp_path, ".timings.json", ".ray/token", ".unpublished/x")
    older = Store(tmp_path)
    assert older.exists() and older.find(STAGE, KEY) == made
    assert collect(older, limit=0, dry_run=True).removed and not (tmp_path / ".w2s-bench").exists()
    older.put(stage("write", text="2"), {}, produce)
    assert (tmp_path / ".w2s-bench").is_file()
    older.close()
    assert len(collect(Store(tmp_path), limit=0).removed) == 2


def test_results_beside_other_things_can_be_read_and_copied_and_are_not_lost(tmp_path: Path) -> None:
    """An older store in a folder that has other things too."""
    root = tmp_path / "mixed"
    store = Store(root)
    made = store.put(STAGE, {}, produce)
    store.close()
    (root / ".w2s-bench").unlink()
    lay(root, "tiny/suite.yaml")
    before = snapshot(root)
    assert Store(root).find(STAGE, KEY) == made
    code, told = w2s("store", "gc", "--limit", "0B", "--store", root)
    assert code == 2 and f"store export NEW --store {root}".replace(" ", "") in told.replace(" ", "")
    assert w2s("store", "export", tmp_path / "copy", "--store", root)[0] == 0
    assert snapshot(root) == before
    assert Store(tmp_path / "copy").find(STAGE, KEY) is not None


@pytest.mark.parametrize("mark", ["folder", "link"])
def test_a_mark_is_a_plain_file(documents: Path, mark: str) -> None:
    if mark == "folder":
        (documents / ".w2s-bench").mkdir()
    else:
        (documents / ".w2s-bench").symlink_to(documents / "letter.txt")
    with pytest.raises(NoStoreError):
        collect(Store(documents), limit=0)


def test_a_key_that_is_no_digest_names_no_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.\./x' is no digest: give 64 hexadecimal digits"):
        Store(tmp_path).find(STAGE, "../x")


def test_a_dry_run_refuses_what_the_run_would_refuse(documents: Path) -> None:
    from w2s_bench.runs.preview import explain

    with pytest.raises(NoStoreError):
        explain([STAGE], Store(documents))
    assert explain([STAGE], Store(documents / "new"))[0].status == "to run"
    assert not (documents / "new").exists()


# Elsewhere.


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("w2s_bench.store.remote._PAUSE", 0)
    return f"memory://{uuid.uuid4().hex}/place"


def contents(url: str) -> dict[str, bytes]:
    fs, base = fsspec.core.url_to_fs(url)
    return {path.removeprefix(base): fs.cat_file(path) for path in fs.find(base)}


@pytest.mark.parametrize("verb", [["gc", "--limit", "0B"], ["gc"], ["verify", "--repair"]])
def test_a_place_elsewhere_that_is_no_store_is_left_alone(url: str, verb: list[str]) -> None:
    fs, base = fsspec.core.url_to_fs(url)
    fs.pipe_file(f"{base}/train/{OTHER}/manifest.json", b"{}")
    fs.pipe_file(f"{base}/photos/2020/manifest.json", b"mine")
    before = contents(url)
    code, told = w2s("store", *verb, "--store", url)
    assert code == 2 and "is no store of w2s-bench" in told and "a place of its own" in told
    with pytest.raises(NoStoreError):
        open_store(url).put(STAGE, {}, produce)
    assert contents(url) == before


def test_in_a_store_elsewhere_what_bears_no_results_name_stays(url: str) -> None:
    made = open_store(url).put(STAGE, {}, produce)
    fs, base = fsspec.core.url_to_fs(url)
    fs.pipe_file(f"{base}/photos/2020/manifest.json", b"mine")
    fs.pipe_file(f"{base}/write/{OTHER}/data", b"mine")
    assert w2s("store", "verify", "--repair", "--store", url)[0] == 0
    code, told = w2s("store", "gc", "--limit", "0B", "--store", url)
    assert (code, "Removed 1 result" in told) == (0, True)
    assert sorted(contents(url)) == sorted(["/.w2s-bench", "/photos/2020/manifest.json", f"/write/{OTHER}/data"])
    assert not made.path.exists()


def test_the_cache_of_a_store_elsewhere_is_a_marked_store(url: str) -> None:
    store = open_store(url)
    store.put(STAGE, {}, produce)
    assert (store.root / ".w2s-bench").is_file()
    shutil.rmtree(store.root)
    lay(store.root, "mine/text")
    with pytest.raises(NoStoreError):
        open_store(url).find(STAGE, KEY)
    assert [path.name for path in store.root.iterdir()] == ["mine"]
