"""Text → what is left of it when spelling, spaces and punctuation are taken away: equal texts are one question."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import Final

_NUMBER: Final = r"\d+(?:[.,]\d+)*"
#: Signs that mean something in a formula, a price or a position.
_SIGNS: Final = r"+\-−*/×÷=<>≤≥^%$€£#&|~@√±"
_TOKEN = re.compile(rf"{_NUMBER}|[^\W\d_]+|[{_SIGNS}]")
#: Brackets, and factorials.
_MARKS = re.compile(r"([()\[\]{}]|(?<=[\d)\]])!)")
_DENSE: Final = 16
#: Symbols that stand in prose as well, as a comma does.
_IN_PROSE: Final = "°→"


def normalised(text: str) -> str:
    """Lower-case words, numbers and signs, parted by one space. A text without any stays as it is, but for its spaces.

    A letter's vowel signs and accents are of its word, and symbols count: of लड़का and लड़की, or p and ¬p, neither is the other.
    Brackets are punctuation, though a formula hangs on them: `in_formulas`.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    tokens = _TOKEN if plain.isascii() else _any_token()
    return " ".join(tokens.findall(plain)) or " ".join(plain.split())


def in_formulas(text: str) -> tuple[str, ...]:
    """The normalised parts of a text between its brackets and factorials, with these; in prose, where such marks are fewer than one
    of `_DENSE` characters, the normalised text as one part."""
    characters = sum(not character.isspace() for character in text)
    parts = _MARKS.split(text)
    marks = len(parts) // 2
    return tuple(map(normalised, parts)) if marks * _DENSE >= characters else (normalised(text),)


def text_key(question: str, options: Sequence[str] = ()) -> str:
    """32 hexadecimal digits of SHA-256 over a normalised question and its normalised options, in any order."""
    return _digest([normalised(question), *sorted(normalised(option) for option in options)])


def formula_key(question: str, options: Sequence[str] = ()) -> str:
    """The same over a question as it stands `in_formulas`."""
    return _digest(["formula", *in_formulas(question), text_key(question, options)])


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@cache
def _any_token() -> re.Pattern[str]:
    """As `_TOKEN`, with the marks and symbols of all of Unicode, which `re` has no class for: found once, in a tenth of a second."""
    marks, symbols = [], []
    for code in range(0x80, sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))[0]
        if kind == "M":
            marks.append(code)
        elif kind == "S" and chr(code) not in _IN_PROSE:
            symbols.append(code)
    return re.compile(rf"{_NUMBER}|[^\W\d_](?:[^\W\d_]|[{_ranges(marks)}])*|[{_SIGNS}{_ranges(symbols)}]")


def _ranges(codes: Iterable[int]) -> str:
    """Rising code points as the inside of a class of `re`."""
    runs = (list(run) for _, run in groupby(enumerate(codes), key=lambda at: at[1] - at[0]))
    return "".join(f"\\U{run[0][1]:08x}-\\U{run[-1][1]:08x}" for run in runs)
