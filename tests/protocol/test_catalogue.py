"""Lines are found by id and texts come back, whatever is in them, and nothing else of a file is parsed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_bench.protocol import catalogue
from w2s_bench.protocol.catalogue import (
    Texts,
    every_nth,
    hashes,
    lines_of,
    order,
    read_texts,
    write_indexed,
    write_texts,
)
from w2s_bench.randomness import hash_rank
from w2s_bench.record import write_records
from w2s_bench.types import Item

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=20)


@given(TEXTS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_texts_come_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str], random: object) -> None:
    path = tmp_path_factory.mktemp("texts") / "texts"
    packed = Texts.of(texts)
    write_texts(path, {"some": packed, "none": Texts.of([])}, numbers=np.arange(3))
    again = read_texts(path, "some")
    assert list(again) == [again[row] for row in range(len(again))] == texts
    assert list(read_texts(path, "none")) == []
    rows = np.arange(len(texts))[::-2].astype(np.int64)
    assert list(again.take(rows)) == [texts[row] for row in rows]


@given(TEXTS)
@settings(deadline=None, max_examples=50)
def test_the_order_of_hashes_is_that_of_hash_rank(texts: list[str]) -> None:
    ranks = order(hashes("a\x001\x00", (text.encode() for text in texts)))
    assert [texts[row] for row in ranks] == sorted(texts, key=lambda text: hash_rank("a", 1, text))


def made(count: int) -> list[Item]:
    return [Item(f"i{n}\n\u2028é", "g", f"k{n}", "s", "p" * (n % 7), None) for n in range(count)]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    items = made(200)
    write_records(tmp_path / "plain", items)
    write_indexed(tmp_path / "indexed", items)
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "indexed").read_bytes()
    lines = (tmp_path / "plain").read_bytes().splitlines(keepends=True)
    wanted = [150, 3, 3, 199, 0]
    found = lines_of(tmp_path / "indexed", [items[n].id for n in wanted])
    assert list(found) == [lines[n] for n in wanted]
    assert list(lines_of(tmp_path / "indexed", ["i1", ""])) == [None, None]
    write_indexed(tmp_path / "empty", [])
    assert list(lines_of(tmp_path / "empty", ["i1"])) == [None]


def test_ids_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "hashes", lambda before, texts: np.zeros((len(list(texts)), 4), dtype=np.uint64))
    items = made(5)
    write_indexed(tmp_path / "indexed", items)
    lines = (tmp_path / "indexed").read_bytes().splitlines(keepends=True)
    found = lines_of(tmp_path / "indexed", [*(item.id for item in items), "other"])
    assert list(found) == [*lines, None]


@pytest.mark.parametrize(
    ("count", "most", "kept"), [(10, 3, [0, 4, 8]), (3, 10, [0, 1, 2]), (0, 3, []), (9, 3, [0, 3, 6])]
)
def test_a_sample_is_spread_over_the_file(count: int, most: int, kept: list[int], tmp_path: Path) -> None:
    write_records(tmp_path / "file", made(count))
    assert [row["key"] for row in every_nth(tmp_path / "file", most)] == [f"k{n}" for n in kept]
