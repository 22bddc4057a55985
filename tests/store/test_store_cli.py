"""`w2s-bench store`: what it says, what it removes and what it leaves, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stage_functions import stage
from w2s_bench._cli.app import app
from w2s_bench.errors import W2SBenchError
from w2s_bench.store import Result, Store, open_store
from w2s_bench.store.eviction import collect
from w2s_bench.store.sizes import parse_age, parse_size, size_text

runner = CliRunner()
DAY = 86400


def w2s(*arguments: object, code: int = 0) -> str:
    # Wide enough whatever a result took to compute: a busy machine's seconds are longer than milliseconds.
    result = runner.invoke(app, ["store", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def fill(store: Store, name: str, count: int, size: int = 1000) -> list[Result]:
    def produce(out: Path) -> None:
        (out / "data").write_bytes(os.urandom(size))

    results = [store.put(stage("write", name=name, number=number), {}, produce) for number in range(count)]
    store.close()
    return results


def age(result: Result, days: float) -> None:
    """As if the result had been used so long ago."""
    then = result.path.stat().st_mtime - days * DAY
    for path in (result.path / "manifest.json", result.path):
        os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("W2S_BENCH_STORE", str(tmp_path / "store"))
    return Store(tmp_path / "store")


@pytest.mark.parametrize("verb", [[], ["ls"], ["verify"], ["gc"], ["export"]])
def test_help_teaches(verb: list[str]) -> None:
    assert "Usage" in w2s(*verb, "--help")


def test_the_verbs_import_nothing_heavy(store: Store, tmp_path: Path) -> None:
    fill(store, "train", 1)
    code = """
import sys
from w2s_bench._cli.app import app
for verb in (["--help"], ["ls"], ["verify"], ["gc"], ["export", sys.argv[1]]):
    try:
        app(["store", *verb])
    except SystemExit as done:
        assert not done.code, verb
    heavy = {"torch", "transformers", "datasets", "lm_eval", "matplotlib", "scipy", "fsspec"} & set(sys.modules)
    assert not heavy, (verb, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "copy"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", [["ls"], ["verify"], ["gc"], ["export", "there"]])
def test_a_store_that_is_not_there_is_the_users_mistake(store: Store, verb: list[str]) -> None:
    assert f"there is no store at {store.root}".replace(" ", "") in w2s(*verb, code=2).replace(" ", "")


def test_ls_sums_by_stage(store: Store) -> None:
    fill(store, "train", 3)
    fill(store, "grade", 2, size=5_000_000)
    told = w2s("ls")
    assert "train 3" in told and "grade 2 10.0 MB" in told and "all 5" in told
    rows = json.loads(runner.invoke(app, ["store", "ls", "--json", "--stage", "train"]).stdout)
    (row,) = rows
    assert (row["stage"], row["results"], row["unreadable"]) == ("train", 3, 0)
    assert 3000 < row["bytes"] == sum(p.stat().st_size for p in (store.root / "train").rglob("*") if p.is_file())


def test_ls_long_names_every_result(store: Store) -> None:
    results = fill(store, "train", 3)
    told = w2s("ls", "--long")
    assert all(result.key[:16] in told for result in results)
    rows = json.loads(runner.invoke(app, ["store", "ls", "--long", "--json"]).stdout)
    assert {row["key"] for row in rows} == {result.key for result in results}


def test_a_stage_that_is_not_there_is_named_with_those_that_are(store: Store) -> None:
    fill(store, "train", 1)
    assert "did you mean train?" in w2s("ls", "--stage", "trian", code=2)


def test_ls_says_what_it_cannot_read(store: Store) -> None:
    first, second = fill(store, "train", 2)
    (first.path / "manifest.json").unlink()
    (second.path / "manifest.json").write_text("{}")
    assert "2 of them cannot be read" in w2s("ls")


def test_verify_reads_every_byte_and_removes_only_when_asked(store: Store) -> None:
    damaged, *sound = fill(store, "train", 3)
    assert "3 results, all sound" in w2s("verify")
    content = bytearray((damaged.path / "data").read_bytes())
    content[500] ^= 1
    (damaged.path / "data").write_bytes(content)
    told = w2s("verify", code=1)
    assert "1 of 3 results are damaged" in told and "--repair" in told and "data has SHA-256" in told
    assert damaged.path.is_dir()
    assert "damaged, removed" in w2s("verify", "--repair")
    assert not damaged.path.exists()
    assert "2 results, all sound" in w2s("verify")
    assert all(Store(store.root).look("train", one.key) == one for one in sound)


def test_gc_removes_what_was_not_used_for_long(store: Store) -> None:
    old, new = fill(store, "train", 2)
    age(old, 31)
    age(new, 29)
    assert "Would remove 1 result, 1" in w2s("gc", "--older-than", "30d", "--dry-run")
    assert old.path.is_dir()
    assert "Removed 1 result, 1" in w2s("gc", "--older-than", "30d")
    assert not old.path.exists() and new.path.is_dir()


def test_what_is_found_is_no_longer_old(store: Store) -> None:
    (old,) = fill(store, "train", 1)
    age(old, 31)
    finder = Store(store.root)
    assert finder.find("train", old.key) == old
    finder.close()
    assert "Removed 0 results" in w2s("gc", "--older-than", "30d")


def test_gc_to_a_limit_removes_the_longest_unused_first(store: Store) -> None:
    results = fill(store, "train", 5, size=100_000)
    for result, days in zip(results, [1, 5, 2, 4, 3], strict=True):
        age(result, days)
    assert "Removed 2 results, 20" in w2s("gc", "--limit", "310kB")
    assert [result.path.is_dir() for result in results] == [True, False, True, False, True]
    w2s("gc", "--limit", "0B")
    assert list(store.entries()) == []


def test_gc_spares_what_a_living_process_uses(store: Store) -> None:
    results = fill(store, "train", 3)
    reader, other = Store(store.root), Store(store.root)
    reader.find("train", results[0].key)
    other.use("train", results[1].key)
    told = w2s("gc", "--limit", "0B")
    assert "Removed 1 result," in told and "2 results in use stay" in told
    assert [result.path.is_dir() for result in results] == [True, True, False]
    reader.close()
    del other  # a store that nobody has any more uses nothing
    assert "Removed 2 results" in w2s("gc", "--limit", "0B")
    assert list((store.root / ".uses").iterdir()) == []


def test_gc_takes_away_what_dead_processes_left(store: Store) -> None:
    fill(store, "train", 1)
    (store.root / ".partial" / f"train-{'0' * 64}").mkdir(parents=True)
    (store.root / ".uses" / "gone-1-abc.keys").write_text("\ntrain/0123")
    (store.root / ".uses" / "gone-1-abc.lock").touch()
    assert "Removed 0 results" in w2s("gc")
    assert list((store.root / ".partial").iterdir()) == list((store.root / ".uses").iterdir()) == []


def test_an_exported_store_is_a_store(store: Store, tmp_path: Path) -> None:
    results = fill(store, "train", 3) + fill(store, "grade", 1)
    assert "Copied 3 results" in w2s("export", tmp_path / "copy", "--stage", "train")
    told = w2s("export", tmp_path / "copy")
    assert "Copied 1 result," in told and "3 results were there already" in told
    copy = open_store(tmp_path / "copy")
    for result in results:
        found = copy.find(result.path.parent.name, result.key)
        assert found is not None and found.content == result.content and found.created == result.created
    assert "exported to itself" in w2s("export", store.root, code=2)


def test_an_exported_archive_is_a_store_when_unpacked(store: Store, tmp_path: Path) -> None:
    results = fill(store, "train", 2)
    w2s("export", tmp_path / "store.tar")
    with tarfile.open(tmp_path / "store.tar") as archive:
        archive.extractall(tmp_path / "copy", filter="data")
    copy = open_store(tmp_path / "copy")
    assert all(copy.find("train", one.key).content == one.content for one in results)  # type: ignore[union-attr]
    w2s("export", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "store.tar").read_bytes()


def test_damage_is_not_exported(store: Store, tmp_path: Path) -> None:
    damaged, _ = fill(store, "train", 2)
    (damaged.path / "data").write_bytes(b"other")
    told = w2s("export", tmp_path / "copy", code=1)
    assert "left out: stored result" in told and "Copied 1 result," in told
    assert not (tmp_path / "copy" / "train" / damaged.key).exists()


def test_a_size_limit_removes_the_longest_unused_as_results_come(store: Store) -> None:
    first = fill(store, "train", 4, size=100_000)
    for days, result in enumerate(reversed(first), start=1):
        age(result, days)
    limited = Store(store.root, limit=500_000)
    (one,) = fill(limited, "more", 1, size=50_000)
    assert len(list(store.entries())) == 5
    (two,) = fill(limited, "most", 1, size=60_000)
    # Down to nine tenths of the limit: the oldest goes.
    assert [result.path.is_dir() for result in [*first, one, two]] == [False, True, True, True, True, True]
    assert sum(entry.bytes for entry in store.entries()) <= 450_000


def test_a_limit_counts_what_others_put(store: Store) -> None:
    limited = [Store(store.root, limit=1_000_000) for _ in range(3)]
    for number in range(30):
        fill(limited[number % 3], f"train{number}", 1, size=100_000)
        assert sum(entry.bytes for entry in store.entries()) <= 1_000_000


def test_a_limit_below_what_a_run_needs_removes_nothing_of_it_and_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.store import eviction, local

    calls: list[int] = []

    def counted(*args: object, **kwargs: object) -> eviction.Collected:
        calls.append(1)
        return collect(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "collect", counted)
    run = Store(store.root, limit=100_000)

    def produce(out: Path) -> None:
        (out / "data").write_bytes(bytes(10_000))

    results = [run.put(stage("write", number=number), {}, produce) for number in range(40)]
    assert all(result.path.is_dir() for result in results)
    assert len(calls) < 40, "it does not look again after every put"
    told = run.excess()
    assert told is not None and "more than the 100 kB that W2S_BENCH_STORE_LIMIT allows" in told
    run.close()
    assert run.excess() is None
    assert sum(entry.bytes for entry in store.entries()) <= 90_000


def test_the_limit_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_BENCH_STORE_LIMIT", "2 GB")
    assert open_store(tmp_path).limit == 2_000_000_000
    assert open_store(tmp_path, limited=False).limit is None
    monkeypatch.setenv("W2S_BENCH_STORE_LIMIT", "much")
    with pytest.raises(W2SBenchError, match=r"W2S_BENCH_STORE_LIMIT 'much' is no size; .* 20GB"):
        open_store(tmp_path)


def test_sizes_and_ages_are_read_as_people_write_them() -> None:
    assert [parse_size(text, "x") for text in ("1B", "2kB", "1.5 MB", "20GB", "1KiB", "0.5tib")] == [
        1,
        2000,
        1_500_000,
        20_000_000_000,
        1024,
        2**39,
    ]
    assert [parse_age(text, "x") for text in ("90s", "2min", "12h", "30d", "1.5 w")] == [
        90,
        120,
        43200,
        30 * DAY,
        10.5 * DAY,
    ]
    for wrong in ("", "20", "-1GB", "GB", "1e9B", "20 parsecs"):
        with pytest.raises(W2SBenchError, match="is no size"):
            parse_size(wrong, "--limit")
        with pytest.raises(W2SBenchError, match="is no age"):
            parse_age(wrong, "--older-than")
    told = [size_text(size) for size in (0, 999, 1000, 1234, 45_600, 999_400, 999_999, 2_000_000_000, 5e15)]
    assert told == ["0 B", "999 B", "1.00 kB", "1.23 kB", "45.6 kB", "999 kB", "1.00 MB", "2.00 GB", "5000 TB"]


def test_a_mistaken_option_is_explained(store: Store) -> None:
    fill(store, "train", 1)
    assert "--older-than '30 moons' is no age" in w2s("gc", "--older-than", "30 moons", code=2)
    shutil.rmtree(store.root)
