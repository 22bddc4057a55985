"""A selection has one way to be written, and what is none is refused with what would be one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_bench.names import of_arm, parted
from w2s_bench.selections import METHODS, PLAIN, Guarantee, guarantee_of, written

SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)


@given(st.sampled_from(["ltt", "sgr", "hoeffding"]), SHARES, SHARES)
def test_a_guarantee_is_read_as_it_was_written_in_any_order(method: str, purity: float, confidence: float) -> None:
    for text in (
        f"{method}:purity={purity!r},confidence={confidence!r}",
        f"{method}: confidence = {confidence!r}, purity = {purity!r}",
    ):
        found = guarantee_of(text)
        assert found == Guarantee(method, purity, confidence)  # type: ignore[arg-type]
        assert guarantee_of(written(text)) == found
        assert written(written(text)) == written(text)
        assert parted(of_arm(written(text), "probe:layer=2")) == (written(text), "probe:layer=2")


def test_the_usual_confidence_is_left_out_and_numbers_have_one_form() -> None:
    assert written("ltt:purity=.9,confidence=0.95") == written("ltt:purity=0.90") == "ltt:purity=0.9"
    assert [written(word) for word in PLAIN] == list(PLAIN)
    assert all(guarantee_of(word) is None for word in (*PLAIN, None))
    assert {guarantee_of(f"{method}:purity=0.8") for method in METHODS} == {Guarantee(m, 0.8) for m in METHODS}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "best",
            "'best' is no selection; expected one of top, balanced, stratified, diverse, weighted, ltt:purity=0.9",
        ),
        ("ltt", "must say what it is to guarantee: ltt:purity=0.9"),
        ("sgr:purity=1", "purity '1', expected a number above 0 and below 1"),
        ("sgr:purity=many", "purity 'many', expected a number above 0 and below 1"),
        ("ltt:purity=0.9,delta=0.1", "'delta=0.1' is not expected; ltt takes purity and confidence, each once"),
        ("ltt:purity=0.9,purity=0.8", "'purity=0.8' is not expected"),
        ("conformal:purity=0.9,confidence=0.9", "'confidence=0.9' is not expected; conformal takes purity, each once"),
        ("top:purity=0.9", "is no selection"),
    ],
)
def test_what_is_no_selection_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault.replace("(", r"\(")):
        written(text)
