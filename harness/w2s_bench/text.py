"""Text from outside (plugins, suites, cells, models, file names) made safe to print.

Applied where text leaves the program: errors, tables, progress, markdown. Messages are then written without a care.
"""

from __future__ import annotations

import unicodedata
from typing import Final

#: Line breaks and tabs are layout; a joiner is part of how several scripts are written.
_KEPT: Final = frozenset("\n\t\u200c\u200d")
#: Control, format (bidirectional controls among them) and surrogate characters; line and paragraph separators.
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_MOST: Final = 2000


def printable(text: str) -> str:
    r"""The text with whatever could steer a terminal or hide in it as a visible escape: `\x1b`, `\u202e`, `\ud800`.

    Line breaks and tabs stay. What comes back can be written in UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if _steers(c) else c for c in text)


def one_line(text: str) -> str:
    """As `printable`, and on one line: each run of white space is one space."""
    return printable(" ".join(text.split()))


def shortened(text: str, most: int = _MOST) -> str:
    """The text, cut where it is longer than `most` characters; what is cut is counted."""
    if len(text) <= most:
        return text
    head = max(most - 40, most // 2)
    return f"{text[:head]} … ({len(text) - head} characters more)"


def _steers(character: str) -> bool:
    # The last two code points of each plane are no characters. XML, and so SVG, may not hold them.
    return character not in _KEPT and (
        unicodedata.category(character) in _STEERING or ord(character) & 0xFFFE == 0xFFFE
    )


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
