"""What is one question, but for spelling, spaces and punctuation, and what is not."""

from __future__ import annotations

import pytest

from w2s_bench.domains.normalised import formula_key, in_formulas, normalised, text_key


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("not ( A and B ) is", "( not A ) and B is"),
        ("( not not True ) and False is", "not ( not True and False ) is"),
        ("{ [ ] }", "[ { } ]"),
        ("3! =", "3 ="),
    ],
)
def test_brackets_part_formulas_of_the_same_words(one: str, other: str) -> None:
    assert formula_key(one) != formula_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which (of these) is a mammal found in Africa?", "Which of these is a mammal found in Africa?"),
        ("What is it!", "What is it?"),
        ("Is salt (NaCl) made of sodium and of chlorine?", "Is salt NaCl made of sodium and of chlorine?"),
    ],
)
def test_brackets_of_prose_are_punctuation(one: str, other: str) -> None:
    assert in_formulas(one) == in_formulas(other) and formula_key(one) == formula_key(other)
