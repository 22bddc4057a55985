"""Scores keep their ids, to the bit, however they were put together."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_bench.protocol.scores import Scores

ROWS = st.lists(st.tuples(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False)), max_size=12)


def scores_of(rows: list[tuple[str, float]]) -> Scores:
    return Scores.of([name for name, _ in rows], np.array([value for _, value in rows], dtype=np.float64))


@given(st.lists(ROWS, max_size=4))
@settings(deadline=None, max_examples=60)
def test_parts_joined_and_read_again_are_all_rows_in_order(parts: list[list[tuple[str, float]]]) -> None:
    rows = [row for part in parts for row in part]
    joined = Scores.joined([scores_of(part) for part in parts])
    assert len(joined) == len(rows)
    with tempfile.TemporaryDirectory() as made:
        joined.write(Path(made))
        assert list(Scores.read(Path(made)).items()) == list(joined.items()) == rows


def test_an_id_for_every_score() -> None:
    with pytest.raises(ValueError, match="2 ids for 3 scores"):
        Scores.of(["a", "b"], np.zeros(3))
