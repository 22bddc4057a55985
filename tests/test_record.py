"""Files hold what was written to them, and equal content gives equal bytes."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from w2s_bench import record
from w2s_bench.types import Answer, Item, Prediction, TrainingRow

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
ITEMS = st.builds(Item, *[st.text()] * 5, choices=st.none() | st.lists(st.text(), min_size=2, max_size=4).map(tuple))
LOGPROBS = st.floats(-1e6, 0) | st.floats(-1e-300, 0)
PREDICTIONS = st.builds(
    Prediction,
    *[st.text()] * 3,
    ended=st.booleans(),
    index=st.none() | st.integers(0, 9),
    choice_scores=st.none() | st.lists(LOGPROBS, max_size=4).map(tuple),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record")


def test_canonical_json_and_its_digest_are_these() -> None:
    value = {"b": [1, 0.5, None, True], "a": {"ß": "\n", "Z": -0.0}}
    text = '{"a":{"Z":-0.0,"ß":"\\n"},"b":[1,0.5,null,true]}'
    assert record.canonical_json(value) == text
    assert record.digest_of(value) == hashlib.sha256(text.encode()).hexdigest()


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_order_of_keys_says_nothing(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert record.digest_of({key: value[key] for key in keys}) == record.digest_of(value)


@given(VALUES)
@example({"é\u2028": "\x7f😀\ud800", "b": {"": [[], {}, [{}]], "a": [True, False, None, 0, 1]}, "A": []})
@example([-0.0, 1e-7, 1e16, 1e22, 5e-324, 0.1 + 0.2, 2**70, -(2**70), "", [[1], 2]])
@settings(deadline=None, max_examples=200)
def test_indented_json_is_what_the_library_writes(value: Any) -> None:
    assert record.indented_json(value) == json.dumps(value, sort_keys=True, indent=1, allow_nan=False)


@given(VALUES, VALUES)
@settings(deadline=None, max_examples=40)
def test_other_values_have_other_digests(one: Any, other: Any) -> None:
    assert (record.digest_of(one) == record.digest_of(other)) == (
        record.canonical_json(one) == record.canonical_json(other)
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused_everywhere(number: float, tmp_path: Path) -> None:
    writers = (record.canonical_json, record.indented_json, partial(record.write_json, tmp_path / "x"))
    for write in writers:
        with pytest.raises(ValueError, match="JSON compliant"):
            write([number])


@given(VALUES)
@settings(deadline=None, max_examples=40)
def test_json_comes_back_and_is_the_same_bytes_again(value: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, again = Path(name) / "one.json", Path(name) / "two.json"
        record.write_json(path, value)
        record.write_json(again, record.read_json(path))
        assert record.read_json(path) == value
        assert path.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(("kind", "strategy"), [(Item, ITEMS), (Prediction, PREDICTIONS)])
def test_records_come_back_equal_with_their_tuples(folder: Path, kind: type, strategy: st.SearchStrategy[Any]) -> None:
    path = folder / f"{kind.__name__}.jsonl"

    @given(st.lists(strategy, max_size=4))
    @settings(deadline=None, max_examples=50)
    def check(rows: list[Any]) -> None:
        record.write_records(path, rows)
        assert record.read_records(path, kind) == rows
        assert len(path.read_bytes().split(b"\n")) == len(rows) + 1

    check()


def test_line_separators_inside_text_do_not_part_rows(folder: Path) -> None:
    rows = [TrainingRow("1", "a\u2028b\x85c\r\nd\x0be", "\x1c\x1d\n", True, None, None)]
    record.write_records(folder / "rows.jsonl", rows)
    assert record.read_records(folder / "rows.jsonl", TrainingRow) == rows


def test_a_document_keeps_its_lists(folder: Path) -> None:
    answer = Answer("1", {"choices": ["a", "b"], "gold": 1, "nested": {"x": [1.5]}}, " b", 1, "0")
    record.write_records(folder / "answers.jsonl", [answer])
    assert record.read_records(folder / "answers.jsonl", Answer) == [answer]


@given(st.lists(st.booleans(), max_size=40))
def test_bits_come_back(bits: list[bool]) -> None:
    packed = record.pack_bits(np.array(bits, dtype=np.bool_))
    assert record.unpack_bits(packed, len(bits)).tolist() == bits
    assert len(packed) == 2 * math.ceil(len(bits) / 8)


def test_bits_have_a_known_form_and_refuse_another_length() -> None:
    bits = np.array([1, 0, 0, 0, 0, 0, 0, 1, 1], dtype=np.bool_)
    assert record.pack_bits(bits) == "8180"
    for count in (0, 8, 17):
        with pytest.raises(ValueError, match=f"cannot hold {count} bits"):
            record.unpack_bits("8180", count)
    with pytest.raises(ValueError, match="hex"):
        record.unpack_bits("zz", 8)


def test_arrays_come_back_with_their_types_and_in_the_same_bytes_whatever_their_order(folder: Path) -> None:
    arrays = {
        "states": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "offsets": np.array([0, 2, 12], dtype=np.int64),
        "none": np.zeros((0, 3)),
    }
    record.write_arrays(folder / "one", arrays)
    record.write_arrays(folder / "two", dict(reversed(arrays.items())))
    record.write_json(folder / "three", {})
    assert (folder / "one").stat().st_mode == (folder / "three").stat().st_mode, "who reads one reads the other"
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    back = record.read_arrays(folder / "one")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_a_file_that_cannot_be_written_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "x.yaml", folder):
        with pytest.raises(OSError) as raised:
            record.write_atomically(path, "new")
        assert raised.value.filename == str(path) and ".tmp" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [folder]


def test_an_atomic_write_replaces_the_file_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "cell.json"
    record.write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        record.write_atomically(path, "half\ud800")
    assert path.read_text() == "old"
    record.write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    assert record.file_digest(path) == hashlib.sha256(b"new").hexdigest()
