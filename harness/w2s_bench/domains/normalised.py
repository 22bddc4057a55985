"""Text → what is left of it when spelling, spaces and punctuation are taken away: equal texts are one question."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

#: Numbers with their commas and points, words, and signs that mean something in a formula, a price or a position.
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[+\-−*/×÷=<>≤≥^%$€£#&|~@√±]")


def normalised(text: str) -> str:
    """Lower-case words, numbers and signs, parted by one space. A text without any stays as it is, but for its spaces."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_TOKEN.findall(plain)) or " ".join(plain.split())


def text_key(question: str, options: Sequence[str] = ()) -> str:
    """32 hexadecimal digits of SHA-256 over a normalised question and its normalised options, in any order."""
    parts = [normalised(question), *sorted(normalised(option) for option in options)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
