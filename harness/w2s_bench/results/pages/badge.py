"""The badge of a board whose rows somebody has computed again: small, without fonts or colours of its own to fetch."""

from __future__ import annotations

from typing import Final

from w2s_bench.results.board import Leaderboard

_LETTER: Final = 6.6  # pixels that a letter of 11 px takes, about: text is stretched to fit
_HEIGHT: Final = 20
#: Okabe & Ito's green and vermilion, dark enough for white letters.
_GOOD, _BAD, _LEFT = "#00785A", "#B24A00", "#444444"


def draw_badge(board: Leaderboard) -> str:
    """SVG: how many cells came out as published, of how many."""
    differ = sum(tier == "DIFFERS" for tier in board.attested.values())
    came = len(board.attested) - differ
    told = f"{came} of {board.cells} cells" + (f", {differ} differ" if differ else "")
    left, right = _width("verified"), _width(told)
    colour = _BAD if differ else _GOOD
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" role="img">
<title>verified: {told}</title>
<rect width="{left}" height="{_HEIGHT}" fill="{_LEFT}"/>
<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="6" y="14" textLength="{left - 12}">verified</text>
<text x="{left + 6}" y="14" textLength="{right - 12}">{told}</text>
</g>
</svg>
"""


def _width(text: str) -> int:
    return round(len(text) * _LETTER) + 12
