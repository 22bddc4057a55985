"""The store: what is put is found, whatever is not as it was put is noticed, and nothing is ever half there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stage_functions import stage
from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.store import Damage, Result, Store, key_of, manifest

STAGE = stage("write", text="hello")


def produce(out: Path) -> None:
    (out / "rows.jsonl").write_text('{"id": "é"}\n', encoding="utf-8")
    (out / "model" / "deep").mkdir(parents=True)
    (out / "model" / "weights").write_bytes(bytes(range(200)))
    (out / "model" / "deep" / "empty").touch()


def writing(name: str, text: str) -> Callable[[Path], None]:
    def write(out: Path) -> None:
        (out / name).write_text(text)

    return write


def refuse(out: Path) -> None:
    raise AssertionError("this was computed, though it is stored")


def leftovers(store: Store) -> list[Path]:
    return list((store.root / ".partial").glob("*"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_is_put_is_found(store: Store) -> None:
    key = key_of(STAGE, {"rows": "abc"})
    assert store.find(STAGE, key) is None
    result = store.put(STAGE, {"rows": "abc"}, produce)
    assert store.find(STAGE, key) == result
    assert store.put(STAGE, {"rows": "abc"}, refuse) == result
    assert result.path == store.root / "write" / key == store.folder(STAGE, key)
    assert (result.path / "model" / "weights").read_bytes() == bytes(range(200))
    assert set(result.files) == {"rows.jsonl", "model/weights", "model/deep/empty"}
    assert result.files["model/weights"] == hashlib.sha256(bytes(range(200))).hexdigest()
    assert leftovers(store) == []
    assert store.damages == []


def test_the_manifest_says_what_made_a_result(store: Store) -> None:
    result = store.put(STAGE, {"rows": "abc"}, produce)
    written = json.loads((result.path / "manifest.json").read_text())
    identity = written["identity"]
    assert (identity["stage"], identity["version"], identity["params"]) == ("write", 1, {"text": "hello"})
    assert identity["inputs"] == {"rows": "abc"}
    assert set(identity["libraries"]) == {"numpy"}
    assert written["files"]["model/weights"]["bytes"] == 200
    assert written["content"] == result.content
    assert written["created"].endswith("+00:00")
    assert written["seconds"] == result.seconds >= 0


def test_content_depends_on_paths_and_bytes_alone(store: Store) -> None:
    first = store.put(stage("a"), {}, writing("x", "1"))
    assert store.put(stage("b"), {}, writing("x", "1")).content == first.content
    assert store.put(stage("c"), {}, writing("y", "1")).content != first.content
    assert store.put(stage("d"), {}, writing("x", "2")).content != first.content


@pytest.mark.parametrize("changed", ["name", "parameter", "input", "library"])
def test_a_key_names_everything_a_result_depends_on(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(STAGE, {"rows": "abc"})
    assert key_of(stage("write", text="hello"), {"rows": "abc"}) == key
    if changed == "name":
        other = key_of(stage("write", name="rewrite", text="hello"), {"rows": "abc"})
    elif changed == "parameter":
        other = key_of(stage("write", text="hullo"), {"rows": "abc"})
    elif changed == "input":
        other = key_of(STAGE, {"rows": "abd"})
    else:
        monkeypatch.setattr(manifest, "installed_version", lambda distribution: "0.0.1")
        other = key_of(STAGE, {"rows": "abc"})
    assert other != key


def test_a_library_that_is_not_installed_is_named() -> None:
    from dataclasses import replace

    with pytest.raises(W2SBenchError, match="'no-such-library', which is not installed"):
        key_of(replace(STAGE, libraries=("no-such-library",)), {})


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Store(tmp_path_factory.mktemp("pristine")).put(STAGE, {}, produce)


def check_noticed(root: Path, pristine: Result, damage: Callable[[Path], str]) -> None:
    """`damage` harms a copy of a stored result and says what of it should be named."""
    store = Store(root / "store")
    shutil.rmtree(store.root, ignore_errors=True)
    store.layout.mark.claim()
    folder = store.folder(STAGE, pristine.key)
    shutil.copytree(pristine.path, folder)
    assert store.find(STAGE, pristine.key) is not None
    named = damage(folder)
    assert store.find(STAGE, pristine.key) is None
    (found,) = store.damages
    assert named in found.reason
    assert str(folder) in str(found)
    assert "computed again" in str(found)
    assert not folder.exists()
    assert leftovers(store) == []
    again = store.put(STAGE, {}, produce)
    assert (again.key, again.content) == (pristine.key, pristine.content)


FILES = ["rows.jsonl", "model/weights", "manifest.json"]
one_copy_at_a_time = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@one_copy_at_a_time
def test_a_changed_byte_is_noticed(tmp_path: Path, pristine: Result, name: str, place: float, flip: int) -> None:
    def damage(folder: Path) -> str:
        content = bytearray((folder / name).read_bytes())
        content[int(place * len(content))] ^= flip
        (folder / name).write_bytes(content)
        return name

    check_noticed(tmp_path, pristine, damage)


@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True))
@one_copy_at_a_time
def test_a_truncated_file_is_noticed(tmp_path: Path, pristine: Result, name: str, place: float) -> None:
    def damage(folder: Path) -> str:
        size = (folder / name).stat().st_size
        os.truncate(folder / name, int(place * size))
        return name

    check_noticed(tmp_path, pristine, damage)


@pytest.mark.parametrize("name", [*FILES, "model/deep/empty"])
def test_a_missing_file_is_noticed(tmp_path: Path, pristine: Result, name: str) -> None:
    def damage(folder: Path) -> str:
        (folder / name).unlink()
        return f"{name} is missing"

    check_noticed(tmp_path, pristine, damage)


def test_an_added_file_is_noticed(tmp_path: Path, pristine: Result) -> None:
    def damage(folder: Path) -> str:
        (folder / "model" / "new").touch()
        return "model/new was added"

    check_noticed(tmp_path, pristine, damage)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "[" * 100_000, '{"files": 3}', "\ufeff{}"])
def test_a_malformed_manifest_is_noticed(tmp_path: Path, pristine: Result, text: str) -> None:
    def damage(folder: Path) -> str:
        (folder / "manifest.json").write_text(text)
        return "manifest.json is not what was written"

    check_noticed(tmp_path, pristine, damage)


def test_a_file_that_became_a_link_is_noticed(tmp_path: Path, pristine: Result) -> None:
    def damage(folder: Path) -> str:
        (folder / "rows.jsonl").unlink()
        (folder / "rows.jsonl").symlink_to(pristine.path / "rows.jsonl")
        return "rows.jsonl is neither a plain file nor a folder"

    check_noticed(tmp_path, pristine, damage)


def test_a_sound_result_under_another_key_is_noticed(tmp_path: Path, pristine: Result) -> None:
    def damage(folder: Path) -> str:
        other = Store(tmp_path / "other").put(stage("write", text="other"), {}, produce)
        shutil.rmtree(folder)
        shutil.copytree(other.path, folder)
        return "manifest.json"

    check_noticed(tmp_path, pristine, damage)


@pytest.mark.parametrize(
    "error", [ValueError("no"), OSError(errno.ENOENT, "no such"), SystemExit(3), KeyboardInterrupt()]
)
def test_whatever_goes_wrong_leaves_nothing_behind(store: Store, error: BaseException) -> None:
    def fail(out: Path) -> None:
        produce(out)
        raise error

    with pytest.raises(type(error)) as raised:
        store.put(STAGE, {}, fail)
    assert raised.value is error
    assert leftovers(store) == []
    assert store.find(STAGE, key_of(STAGE, {})) is None
    store.put(STAGE, {}, produce)


FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "wrapped by a library"])
def test_a_full_disk_is_the_users_error_with_a_next_step(
    store: Store, wrapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store.put(STAGE, {}, produce)

    def full(**kwargs: object) -> None:
        raise OSError(errno.ENOSPC, FULL)

    def fill(out: Path) -> None:
        (out / "half").write_text("half")
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        if wrapped:
            raise RuntimeError("write failed: No space left on device (os error 28)")
        raise OSError(errno.ENOSPC, FULL)

    with pytest.raises(StoreError, match=r"No space left on device\. Free space .* --store DIR"):
        store.put(stage("other"), {}, fill)
    assert leftovers(store) == []
    assert store.find(STAGE, kept.key) == kept


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(f"unable to write to file </torch_1_2>: {FULL} (28)"),
        OSError(errno.ENOSPC, FULL),
        OSError(errno.ENOSPC, FULL, "/dev/shm/of-its-own"),
        OSError(errno.EROFS, os.strerror(errno.EROFS), "/usr/share/model"),
        ExceptionGroup("several", [OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))]),
        _UnspeakableError(),
    ],
    ids=repr,
)
def test_a_stage_that_complains_of_another_disk_than_the_stores_has_failed_itself(
    store: Store, error: Exception
) -> None:
    def fail(out: Path) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        store.put(STAGE, {}, fail)
    assert raised.value is error
    assert leftovers(store) == []


def test_an_error_among_its_own_causes_is_passed_on(store: Store) -> None:
    def ring(out: Path) -> None:
        first, second = ValueError("no scores"), KeyError("why")
        first.__cause__, second.__context__ = second, first
        first.__context__ = first
        raise first from second

    with pytest.raises(ValueError, match="no scores"):
        store.put(STAGE, {}, ring)


def test_a_disk_that_fills_while_the_manifest_is_written_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StoreError, match=r"manifest\.json: No space left on device"):
            store.put(STAGE, {}, writing("text", "x"))
    assert leftovers(store) == []
    assert store.find(STAGE, key_of(STAGE, {})) is None


def test_a_read_only_store_can_be_read_but_not_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store.put(STAGE, {}, produce)

    def forbidden(path: object, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    # A test run by root could write to a folder without write permission, so the calls that write are refused instead.
    monkeypatch.setattr(Path, "mkdir", forbidden)
    monkeypatch.setattr(Path, "rename", forbidden)
    assert Store(store.root).find(STAGE, kept.key) == kept
    with pytest.raises(StoreError, match=r"Permission denied\. .*give write permission there, or .* --store DIR"):
        store.put(stage("other"), {}, produce)


def test_a_store_below_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"Not a directory.* --store DIR"):
        Store(tmp_path / "file" / "store").put(STAGE, {}, produce)


def test_the_stores_own_file_names_and_odd_files_are_refused(store: Store) -> None:
    with pytest.raises(W2SBenchError, match="use another name"):
        store.put(STAGE, {}, writing("manifest.json", "{}"))
    with pytest.raises(W2SBenchError, match=r"text is neither a plain file"):
        store.put(STAGE, {}, lambda out: (out / "text").symlink_to(__file__))
    assert leftovers(store) == []


@pytest.mark.parametrize("name", ["", "..", ".locks", "a/b", "a b"])
def test_a_stage_name_that_is_no_folder_name_is_refused(store: Store, name: str) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="names a folder"):
        store.put(replace(STAGE, function=replace(STAGE.function, name=name)), {}, produce)


def test_two_who_make_the_same_result_make_it_once(store: Store) -> None:
    runs: list[int] = []

    def slow(out: Path) -> None:
        runs.append(1)
        time.sleep(0.1)
        produce(out)

    results: list[Result] = []
    threads = [
        threading.Thread(target=lambda: results.append(Store(store.root).put(STAGE, {}, slow))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1
    assert results[0] == results[1] == results[2]


def test_cleaning_takes_what_is_dead_and_spares_what_is_being_made(store: Store) -> None:
    store.layout.mark.claim()
    dead = store.root / ".partial" / f"write-{'0' * 64}"
    dead.mkdir(parents=True)
    (dead / "half").touch()
    started, finish = threading.Event(), threading.Event()

    def wait(out: Path) -> None:
        produce(out)
        started.set()
        finish.wait(10)

    thread = threading.Thread(target=lambda: store.put(STAGE, {}, wait))
    thread.start()
    started.wait(10)
    Store(store.root).clean()
    assert [path.name for path in leftovers(store)] == [f"write-{key_of(STAGE, {})}"]
    finish.set()
    thread.join()
    assert leftovers(store) == []
    assert store.find(STAGE, key_of(STAGE, {})) is not None


def test_damage_reads_as_a_sentence(tmp_path: Path) -> None:
    assert str(Damage(tmp_path, "x is missing")).startswith(f"stored result {tmp_path} is damaged: x is missing; ")
