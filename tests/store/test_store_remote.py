"""A store elsewhere: uploaded whole or not at all, downloaded with every byte checked, shared by machines."""

from __future__ import annotations

import errno
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from typer.testing import CliRunner

from stage_functions import stage
from w2s_bench._cli.app import app
from w2s_bench.errors import StoreError, W2SBenchError
from w2s_bench.executors import Done
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.runs.preview import explain
from w2s_bench.store import Store, key_of, open_store
from w2s_bench.store.bucket import Bucket
from w2s_bench.store.remote import RemoteStore

STAGE = stage("write", text="hello")
KEY = key_of(STAGE, {})


def produce(out: Path) -> None:
    (out / "rows.jsonl").write_text('{"id": "é"}\n', encoding="utf-8")
    (out / "model" / "deep").mkdir(parents=True)
    (out / "model" / "weights").write_bytes(bytes(range(200)))
    (out / "model" / "deep" / "empty").touch()


def writing(text: str) -> Callable[[Path], None]:
    def write(out: Path) -> None:
        (out / "text").write_text(text)

    return write


def refuse(out: Path) -> None:
    raise AssertionError("this was computed, though it is stored")


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/store"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> Callable[[str], RemoteStore]:
    """The store as a machine of that name opens it: each has a cache of its own."""

    def opened(name: str) -> RemoteStore:
        monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path / name))
        store = open_store(url)
        assert isinstance(store, RemoteStore)
        return store

    monkeypatch.setattr("w2s_bench.store.remote._PAUSE", 0)
    return opened


def files(url: str) -> dict[str, bytes]:
    """Relative path → content of everything at a URL."""
    fs, base = fsspec.core.url_to_fs(url)
    return {path.removeprefix(base).lstrip("/"): fs.cat_file(path) for path in fs.find(base)}


def test_what_one_machine_puts_another_finds(machine: Callable[[str], RemoteStore], url: str) -> None:
    one, other = machine("one"), machine("other")
    assert not one.holds(STAGE, KEY) and one.find(STAGE, KEY) is None
    made = one.put(STAGE, {}, produce)
    assert other.holds(STAGE, KEY)
    found = other.find(STAGE, KEY)
    assert found is not None
    assert (found.content, found.files, found.created, found.seconds) == (
        made.content,
        made.files,
        made.created,
        made.seconds,
    )
    assert found.path == other.folder(STAGE, KEY) != made.path
    assert (found.path / "model" / "weights").read_bytes() == bytes(range(200))
    assert other.put(STAGE, {}, refuse).content == made.content
    assert machine("third").put(STAGE, {}, refuse).content == made.content
    again = open_store(one.location)
    assert again.location == one.location == url
    assert again.root == machine("third").root
    assert list((one.root / ".partial").iterdir()) == list((one.root / ".unpublished").iterdir()) == []


def test_a_place_that_another_machine_makes_a_store_meanwhile_is_one(
    machine: Callable[[str], RemoteStore], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked for the mark, the other machine wrote it, and it looked what else lies there."""
    machine("one").put(STAGE, {}, produce)
    late = machine("late")
    fs, _ = fsspec.core.url_to_fs(url)
    monkeypatch.setattr(type(fs), "exists", lambda self, path, **_: False)
    late.bucket.require_own()


def test_what_was_fetched_once_is_not_fetched_again(
    machine: Callable[[str], RemoteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("one").put(STAGE, {}, produce)
    other = machine("other")
    assert other.find(STAGE, KEY) is not None
    monkeypatch.setattr(Bucket, "manifest", refuse)
    monkeypatch.setattr(Bucket, "names", refuse)
    assert other.holds(STAGE, KEY)
    assert other.find(STAGE, KEY) is not None


def test_the_manifest_is_written_last_and_before_it_nobody_sees_anything(
    machine: Callable[[str], RemoteStore], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machine("one"), machine("other")
    fs = one.bucket.fs
    seen: list[tuple[str, bool]] = []
    upload, create = fs.put_file, fs.pipe_file

    def put_file(local: str, path: str) -> None:
        upload(local, path)
        seen.append((path.rpartition("/")[2], other.find(STAGE, KEY) is not None))

    def pipe_file(path: str, data: bytes, **kwargs: Any) -> None:
        seen.append((path.rpartition("/")[2], other.find(STAGE, KEY) is not None))
        create(path, data, **kwargs)

    monkeypatch.setattr(fs, "put_file", put_file)
    monkeypatch.setattr(fs, "pipe_file", pipe_file)
    one.put(STAGE, {}, produce)
    assert [name for name, _ in seen][-1] == "manifest.json"
    assert sorted(name for name, _ in seen) == [".w2s-bench", "empty", "manifest.json", "rows.jsonl", "weights"]
    assert not any(visible for _, visible in seen)
    assert other.damages == []
    assert other.find(STAGE, KEY) is not None


@pytest.mark.parametrize("failing", range(1, 6))
def test_an_upload_that_fails_anywhere_leaves_nothing_visible_and_is_taken_up_again(
    machine: Callable[[str], RemoteStore], monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    one, other = machine("one"), machine("other")
    fs, calls = one.bucket.fs, 0

    def flaky(method: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any, **kwargs: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == failing:
                raise ConnectionResetError("connection reset by peer")
            method(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(fs, "put_file", flaky(fs.put_file))
        patch.setattr(fs, "pipe_file", flaky(fs.pipe_file))
        with pytest.raises(StoreError, match=r"ConnectionResetError: connection reset by peer.* the next run goes on"):
            one.put(STAGE, {}, produce)
    assert one.find(STAGE, KEY) is None and other.find(STAGE, KEY) is None
    assert one.damages == other.damages == []
    # Whoever could not even say hello has computed nothing; anybody else's work is not lost.
    made = machine("one").put(STAGE, {}, produce if failing == 1 else refuse)
    found = other.find(STAGE, KEY)
    assert found is not None and found.content == made.content
    assert list((one.root / ".unpublished").glob("*")) == []


def test_of_two_machines_that_make_it_at_once_the_first_one_counts(machine: Callable[[str], RemoteStore]) -> None:
    """Different bytes under one key: machines need not agree bit for bit, but all must go on from the same result."""
    one, other = machine("one"), machine("other")

    def second(out: Path) -> None:
        one.put(STAGE, {}, writing("of the first"))
        (out / "text").write_text("of the second")

    told = other.put(STAGE, {}, second)
    assert (told.path / "text").read_text() == "of the first"
    assert other.find(STAGE, KEY) == told
    assert told.content == one.find(STAGE, KEY).content  # type: ignore[union-attr]
    assert list((other.root / ".unpublished").iterdir()) == []


def test_a_race_for_the_last_moment_has_one_winner(
    machine: Callable[[str], RemoteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other machine's manifest comes between the last look and the writing of one's own."""
    one, other = machine("one"), machine("other")
    create = Bucket._create

    def slower(self: Bucket, path: str, data: bytes) -> bool:
        if self is other.bucket:
            one.put(STAGE, {}, writing("of the first"))
        return create(self, path, data)

    monkeypatch.setattr(Bucket, "_create", slower)
    told = other.put(STAGE, {}, writing("of the second"))
    assert (told.path / "text").read_text() == "of the first"


@pytest.mark.parametrize("refusal", [TypeError("mode"), NotImplementedError(), OSError(errno.ENOSYS, "no such step")])
@pytest.mark.parametrize("late", [False, True])
def test_a_file_system_that_cannot_write_once_is_asked_first(
    machine: Callable[[str], RemoteStore], monkeypatch: pytest.MonkeyPatch, refusal: Exception, late: bool
) -> None:
    one, other = machine("one"), machine("other")
    pipe_file, create = other.bucket.fs.pipe_file, Bucket._create

    def unable(path: str, data: bytes, mode: str = "overwrite") -> None:
        if mode == "create":
            raise refusal
        pipe_file(path, data)

    def slower(self: Bucket, path: str, data: bytes) -> bool:
        if late and self is other.bucket:
            one.put(STAGE, {}, writing("of the first"))
        return create(self, path, data)

    monkeypatch.setattr(other.bucket.fs, "pipe_file", unable)
    monkeypatch.setattr(Bucket, "_create", slower)
    told = other.put(STAGE, {}, writing("of the second"))
    assert (told.path / "text").read_text() == ("of the first" if late else "of the second")
    assert one.find(STAGE, KEY).content == told.content  # type: ignore[union-attr]


def changed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1]) if content else b"x"


@pytest.mark.parametrize("name", ["manifest.json", "rows.jsonl", "model/weights", "model/deep/empty"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_damage_elsewhere_is_said_removed_and_computed_again(
    machine: Callable[[str], RemoteStore], url: str, name: str, how: str
) -> None:
    made = machine("one").put(STAGE, {}, produce)
    fs, base = fsspec.core.url_to_fs(url)
    middle = "" if name == "manifest.json" else f"{made.content}/"
    path = f"{base}/write/{KEY}/{middle}{name}"
    content = fs.cat_file(path)
    if how == "gone":
        fs.rm(path)
    else:
        fs.pipe_file(path, changed(content) if how == "changed" else content[: len(content) // 2])
    other = machine("other")
    found = other.find(STAGE, KEY)
    if (name, how) == ("model/deep/empty", "cut"):
        assert found is not None, "half of nothing is nothing"
        return
    assert found is None
    if (name, how) != ("manifest.json", "gone"):  # without a manifest there is no result
        (damage,) = other.damages
        assert f"{url}/write/{KEY}" in str(damage) and name in str(damage) and "computed again" in str(damage)
        assert not fs.exists(f"{base}/write/{KEY}")
    again = other.put(STAGE, {}, produce)
    assert again.content == made.content
    assert machine("third").find(STAGE, KEY) is not None


def test_a_damaged_copy_in_the_cache_is_fetched_again(machine: Callable[[str], RemoteStore]) -> None:
    one = machine("one")
    made = one.put(STAGE, {}, produce)
    (made.path / "rows.jsonl").write_text("other")
    assert one.find(STAGE, KEY) == made
    assert [damage.path for damage in one.damages] == [made.path]
    assert (made.path / "rows.jsonl").read_text() != "other"


def test_a_manifest_that_names_a_place_outside_is_damage(machine: Callable[[str], RemoteStore], url: str) -> None:
    import json

    from w2s_bench.store.manifest import _content_of, _render

    machine("one").put(STAGE, {}, produce)
    fs, base = fsspec.core.url_to_fs(url)
    path = f"{base}/write/{KEY}/manifest.json"
    facts = {name: value for name, value in json.loads(fs.cat_file(path)).items() if name != "manifest"}
    facts["files"]["../../../outside"] = facts["files"].pop("rows.jsonl")
    fs.pipe_file(path, _render({**facts, "content": _content_of(facts["files"])}))
    other = machine("other")
    assert other.find(STAGE, KEY) is None
    assert "'../../../outside' is no place inside a result" in str(other.damages[0])


def test_a_preview_fetches_no_files(machine: Callable[[str], RemoteStore], url: str, tmp_path: Path) -> None:
    one = machine("one")
    result = one.put(STAGE, {}, produce)
    machine("other")
    (told,) = explain([STAGE], open_store(url))
    assert told.status == "stored"
    user = stage("write", {"a": STAGE}, text="end")
    assert [told.status for told in explain([STAGE, user], open_store(url))] == ["stored", "to run"]
    assert not list((tmp_path / "other").rglob("weights"))
    assert one.look(STAGE, KEY) == result


def test_the_verbs_work_on_a_store_elsewhere(machine: Callable[[str], RemoteStore], url: str, tmp_path: Path) -> None:
    runner = CliRunner()

    def w2s(*arguments: object, code: int = 0) -> str:
        done = runner.invoke(app, ["store", *map(str, arguments)])
        assert done.exit_code == code, done.output
        return " ".join(done.output.split())

    local = Store(tmp_path / "local")
    results = [local.put(stage("write", text=str(number)), {}, produce) for number in range(3)]
    machine("one")
    assert "Copied 3 results" in w2s("export", url, "--store", local.root)
    assert "3 results were there already" in w2s("export", url, "--store", local.root)
    assert "write 3" in w2s("ls", "--store", url)
    assert "3 results, all sound" in w2s("verify", "--store", url)
    fs, base = fsspec.core.url_to_fs(url)
    fs.pipe_file(f"{base}/write/{results[0].key}/{results[0].content}/rows.jsonl", b"other")
    assert "1 of 3 results are damaged" in w2s("verify", "--store", url, code=1)
    assert "damaged, removed" in w2s("verify", "--store", url, "--repair")
    assert "2 results, all sound" in w2s("verify", "--store", url)
    assert "Copied 2 results" in w2s("export", tmp_path / "back", "--store", url)
    assert open_store(tmp_path / "back").find("write", results[1].key) is not None
    assert "Removed 0 results" in w2s("gc", "--older-than", "1h", "--store", url)
    assert "Removed 2 results" in w2s("gc", "--limit", "0B", "--store", url)
    assert [name for name in files(url) if name != ".w2s-bench"] == []


def test_the_limit_is_the_caches_and_leaves_what_is_elsewhere(
    machine: Callable[[str], RemoteStore], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2S_BENCH_STORE_LIMIT", "10kB")
    one = machine("one")

    def big(out: Path) -> None:
        (out / "data").write_bytes(bytes(4000))

    keys = []
    for number in range(5):
        keys.append(one.put(stage("write", text=str(number)), {}, big).key)
        one.close()
    assert sum(path.is_dir() for path in (one.root / "write").iterdir()) < 5
    assert all(one.find("write", key) is not None for key in keys)


def test_a_folder_behind_a_file_system_is_a_store_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with real folders, which have to be made."""
    monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path / "cache"))
    store = open_store(f"local://{tmp_path}/there")
    assert isinstance(store, RemoteStore)
    store.put(STAGE, {}, produce)
    store.put(stage("nothing"), {}, lambda out: None)
    monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path / "other cache"))
    other = open_store(f"local://{tmp_path}/there")
    assert other.find(STAGE, KEY) is not None
    assert other.find("nothing", key_of(stage("nothing"), {})) is not None
    assert isinstance(open_store(f"file://{tmp_path}/there"), Store)
    assert open_store(f"file://{tmp_path}/a%20b").location == str(tmp_path / "a b")


def test_a_run_on_one_machine_is_found_by_a_run_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real workers, which open the store anew by its location."""
    first = stage("write", text="1", tally=str(tmp_path / "tally"))
    targets = [stage("write", {"a": first}, text=str(n), tally=str(tmp_path / "tally")) for n in (2, 3, 4)]
    texts = []
    for name in ("one", "other"):
        monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path / name))
        store = open_store(f"local://{tmp_path}/there")
        outcomes = LocalExecutor(2).run(targets, store, lambda event: None)
        results = [outcomes[target.node] for target in targets]
        assert all(isinstance(one, Done) for one in results), results
        texts.append([(one.result.path / "text").read_text() for one in results])  # type: ignore[union-attr]
    assert texts == [["12", "13", "14"]] * 2
    assert sorted((tmp_path / "tally").read_text().split()) == ["1", "2", "3", "4"]


def test_refused_access_is_said(machine: Callable[[str], RemoteStore], monkeypatch: pytest.MonkeyPatch) -> None:
    one = machine("one")

    def forbidden(path: str, *args: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(one.bucket.fs, "cat_file", forbidden)
    with pytest.raises(StoreError, match=r"memory://.*/write/.* refuses access: Access Denied\. Give credentials"):
        one.find(STAGE, KEY)


def test_mistaken_places_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(W2SBenchError, match=r"cannot use the store swift-3://x: .*give a folder, or a URL"):
        open_store("swift-3://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(
        sys.modules["fsspec.registry"]._registry, "s3", raising=False
    )  # where another test's use of S3 left it
    with pytest.raises(W2SBenchError, match=r"needs a package that is not installed: pip install 'w2s-bench\[s3\]'"):
        open_store(f"s3://{uuid.uuid4().hex}/x")


# A real S3 service: one process of moto's server for all of these tests.


@pytest.fixture
def aws(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # of another test's credentials
    return s3


def test_a_real_s3_service_keeps_a_store(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(name: str) -> Store:
        monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path / name))
        return open_store("s3://bench/some/store")

    one, other = opened("one"), opened("other")
    assert not one.holds(STAGE, KEY)
    made = one.put(STAGE, {}, produce)
    assert other.holds(STAGE, KEY)
    found = other.find(STAGE, KEY)
    assert found is not None and found.content == made.content
    assert (found.path / "model" / "weights").read_bytes() == bytes(range(200))
    assert isinstance(one, RemoteStore)
    assert one.bucket._create(f"bench/some/store/write/{KEY}/manifest.json", b"{}") is False, "written once"
    fs, base = one.bucket.fs, one.bucket.base
    fs.pipe_file(f"{base}/write/{KEY}/{made.content}/rows.jsonl", b"other")
    third = opened("third")
    assert third.find(STAGE, KEY) is None and len(third.damages) == 1
    assert third.put(STAGE, {}, produce).content == made.content
    assert opened("fourth").find(STAGE, KEY) is not None
    assert [entry.key for entry in third.entries()] == [KEY]


def test_a_bucket_that_is_not_there_is_said_before_anything_is_computed(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path))
    store = open_store("s3://no-such-bucket/store")
    assert not store.holds(STAGE, KEY)
    with pytest.raises(StoreError, match=r"cannot use s3://no-such-bucket/store: .*bucket does not exist"):
        store.put(STAGE, {}, refuse)


def test_an_s3_service_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: str) -> None:
    monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with pytest.raises(StoreError, match=r"cannot use s3://bench/.*(Check the address, the network)"):
        open_store("s3://bench/store").put(STAGE, {}, refuse)


def test_missing_credentials_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: str) -> None:
    monkeypatch.setenv("W2S_BENCH_CACHE", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_ENDPOINT_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match=r"s3://bench/.*[Cc]redentials"):
        open_store("s3://bench/store").put(STAGE, {}, refuse)
