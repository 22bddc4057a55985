"""Text from outside cannot steer a terminal, hide in a line, or break an encoder."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_bench.text import one_line, printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Größe, 漢字, 🙂, −5", "plain, Größe, 漢字, 🙂, −5"),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),  # a control sequence's one-byte introducer
        ("safe\u202egpj.exe", r"safe\u202egpj.exe"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("half \ud800", r"half \ud800"),
        ("a\rb", r"a\x0db"),
        ("\ufeffa\u00adb\u200b", r"\ufeffa\xadb\u200b"),
        ("\U000e0041", r"\U000e0041"),
        ("two\nlines\tand", "two\nlines\tand"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_what_could_steer_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(), max_size=50))
def test_whatever_is_printed_can_be_encoded_and_steers_nothing(text: str) -> None:
    for found in (printable(text), one_line(text)):
        found.encode()
        assert printable(found) == found
        left = {c for c in found if unicodedata.category(c)[0] == "C" and unicodedata.category(c) not in {"Cn", "Co"}}
        assert left <= set("\n\t\u200c\u200d")
    assert len(one_line(text).splitlines()) <= 1


def test_long_text_is_cut_and_says_by_how_much() -> None:
    assert shortened("a" * 200, 200) == "a" * 200
    assert shortened("a" * 6000, 200) == "a" * 160 + " … (5840 characters more)"
