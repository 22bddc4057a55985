"""What is one question, but for spelling, spaces and punctuation, and what is not."""

from __future__ import annotations

import pytest

from w2s_bench.domains.normalised import normalised, text_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which is it?", "which   is it"),
        ("„Was“ ist es – genau?", "was ist es genau"),
        ("1,000 m", "1,000 M."),
        ("25°C", "25 c"),
        ("A → B", "a b"),
        ("Café", "cafe\u0301"),
        ("लड़का कहाँ है?", "लड़का  कहाँ है"),
    ],
)
def test_what_is_one_question(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert text_key(one, ["a", "b"]) == text_key(other, ["b", "a"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("लड़का कहाँ है?", "लड़की कहाँ है?"),  # a boy, a girl: the vowel signs are no letters to `re`
        ("శీత", "శాత"),
        ("ปี", "ปู"),
        ("¬p", "p"),
        ("∀x", "∃x"),
        ("😀", "😡"),
        ("2 + 2", "2 - 2"),
        ("1.5", "15"),
        ("cafe", "café"),
    ],
)
def test_what_is_another_question(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)
    assert text_key(one) != text_key(other)
