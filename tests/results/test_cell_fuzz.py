"""The reader of cells on files that nobody would write: one message that names the file, whatever is in them."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cell_builder import make_cells
from w2s_bench.errors import CellError
from w2s_bench.record import digest_of
from w2s_bench.results.cells import Cell
from w2s_bench.results.files import read_cell

#: Figures at the edges of what a cell may hold, and text that steers terminals or parses as something else.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.sampled_from(["\x1b[2J", "\u202e", "<script>", "|", "../../x", "0" * 64, "f" * 250, ""]),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.text(max_size=4), st.floats(), max_size=2),
)
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def cell() -> Cell:
    return make_cells(arms=("weak", "ceiling", "w2s-bench/confidence"))["w2s-bench/confidence"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def read(path: Path, text: str) -> Cell | str:
    """The cell, or what is said of the file; anything but a CellError is a fault."""
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        return read_cell(path)
    except CellError as error:
        said = str(error)
        assert str(path) in said and "\n" not in said and len(said) < 1200
        return said


@QUICK
@given(data=st.data(), seal=st.booleans())
def test_a_cell_with_any_value_exchanged_is_read_or_refused_and_never_shows_other_figures(
    cell: Cell, tmp_path: Path, data: st.DataObject, seal: bool
) -> None:
    content = json.loads(json.dumps(cell.model_dump(mode="json", by_alias=True)))
    place = data.draw(st.sampled_from([p for p in places(content) if p]))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if data.draw(st.booleans()):
        inner[place[-1]] = data.draw(ODD)
    elif isinstance(inner, dict):
        del inner[place[-1]]
    else:
        inner.append(inner[place[-1]])
    if seal:
        with suppress(ValueError, KeyError, TypeError):  # what JSON cannot hold has no digest
            content["digest"] = digest_of(content["body"])
    found = read(tmp_path / "cell.json", json.dumps(content))
    if isinstance(found, Cell):
        for seed in found.body.seeds:
            if seed.accuracy is not None and seed.correct is not None:
                right = found.body.correctness()[seed.seed].mean()
                assert math.isclose(seed.accuracy, float(right), abs_tol=1e-6)


@QUICK
@given(text=st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_any_text_is_refused(tmp_path: Path, text: str) -> None:
    assert isinstance(read(tmp_path / "cell.json", text), str)


@QUICK
@given(
    content=st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
)
def test_any_json_is_refused(tmp_path: Path, content: Any) -> None:
    assert isinstance(read(tmp_path / "cell.json", json.dumps(content)), str)


@QUICK
@given(noise=st.binary(min_size=1, max_size=8), at=st.integers(0, 2000))
def test_damaged_bytes_are_refused_or_change_nothing_that_counts(
    cell: Cell, tmp_path: Path, noise: bytes, at: int
) -> None:
    raw = json.dumps(cell.model_dump(mode="json", by_alias=True)).encode()
    path = tmp_path / "cell.json"
    path.write_bytes(raw[:at] + noise + raw[at + len(noise) :])
    try:
        assert read_cell(path).body == cell.body
    except CellError as error:
        assert str(path) in str(error) and "\n" not in str(error)
