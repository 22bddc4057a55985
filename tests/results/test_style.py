"""Numbers for people: how they are written wherever a page, a table or an error shows them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_bench._cli.dry_run import _number
from w2s_bench.results.pages.style import significant


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (190.0, 2, "190"),
        (187.3, 2, "190"),
        (1.84, 2, "1.8"),
        (9.999, 3, "10"),
        (0.0, 3, "0"),
        (-12345.6, 4, "-12,350"),
        (999_999.0, 3, "1,000,000"),
        (0.00001234, 2, "0.000012"),
        (math.nan, 3, "nan"),
        (-math.inf, 3, "-inf"),
    ],
)
def test_a_number_is_written_out(value: float, digits: int, written: str) -> None:
    assert significant(value, digits) == written


@given(st.floats(1e-6, 1e6), st.integers(2, 9), st.sampled_from((1, -1)))
def test_no_exponent_stands_below_a_million_and_no_digit_is_lost(size: float, digits: int, sign: int) -> None:
    written = significant(sign * size, digits)
    assert "e" not in written
    assert float(written.replace(",", "")) == float(f"{sign * size:.{digits}g}")


@pytest.mark.parametrize(
    ("parameters", "written"),
    [(999, "999"), (1000, "1 k"), (999_499, "999 k"), (999_999, "1 M"), (999_999_999, "1 B"), (2 * 10**12, "2,000 B")],
)
def test_parameters_are_counted_in_the_unit_that_they_round_to(parameters: int, written: str) -> None:
    assert _number(parameters) == written
