"""Where names of marks fit: beside their own, over no other mark and no other name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Pixels that a character takes at most in common fonts of 11 pixels, on average, and that a line of them is high.
CHARACTER: Final = 6.4
HEIGHT: Final = 11.0
#: Half the side of a mark, with a little air.
_MARK: Final = 5.5
_MOST: Final = 24  # characters of a name
#: Distances from the mark: a name near it needs no line, one further off gets one.
_RINGS: Final = (8.0, 20.0, 34.0)


@dataclass(frozen=True)
class Label:
    """`x`, `y`: the left end of the text's base line. `far`: the name stands so far off that a line must lead to it, to
    (`to_x`, `to_y`)."""

    of: int
    text: str
    x: float
    y: float
    far: bool
    to_x: float
    to_y: float


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels from the top left."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def around(mark: tuple[float, float]) -> Box:
    """What a mark covers."""
    x, y = mark
    return Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK)


def of_text(text: str, x: float, y: float) -> Box:
    """What a text covers whose base line begins at (x, y)."""
    return Box(x, y + 2.2 - HEIGHT, x + CHARACTER * len(text), y + 2.2)


def placed(
    names: Sequence[str],
    marks: Sequence[tuple[float, float]],
    edges: tuple[float, float, float, float],
    wanted: Sequence[int],
    needed: int,
    others: Sequence[Box] = (),
) -> list[Label]:
    """Names of the marks `wanted`, in that order, as far as they fit within `edges` (left, right, top, bottom) and over none of the
    `others`; the first `needed` of them may stand further off, the rest beside their marks or nowhere."""
    left, right, top, bottom = edges
    taken = [*map(around, marks), *others]
    out = []
    for place, at in enumerate(wanted):
        text = names[at] if len(names[at]) <= _MOST else names[at][: _MOST - 1] + "…"
        width = CHARACTER * len(text)
        for ring in _RINGS if place < needed else _RINGS[:1]:
            box = next(
                (
                    box
                    for box in _around(*marks[at], width, ring)
                    if box.left >= left and box.right <= right and box.top >= top and box.bottom <= bottom
                    if not any(box.meets(other) for other in taken)
                ),
                None,
            )
            if box is not None:
                taken.append(box)
                out.append(_label(at, text, box, marks[at], far=ring > _RINGS[0]))
                break
    return out


def _around(x: float, y: float, width: float, away: float) -> list[Box]:
    """Places for a name about its mark, the best first: right, left, above, below, and the four corners."""
    half, slant = HEIGHT / 2, 0.7 * away
    corners = [
        (x + away, y - half),
        (x - away - width, y - half),
        (x - width / 2, y - away - HEIGHT),
        (x - width / 2, y + away),
        (x + slant, y - slant - HEIGHT),
        (x + slant, y + slant),
        (x - slant - width, y - slant - HEIGHT),
        (x - slant - width, y + slant),
    ]
    return [Box(a, b, a + width, b + HEIGHT) for a, b in corners]


def _label(at: int, text: str, box: Box, mark: tuple[float, float], *, far: bool) -> Label:
    x, y = mark
    to_x = min(max(x, box.left), box.right)
    to_y = min(max(y, box.top), box.bottom)
    return Label(at, text, round(box.left, 1), round(box.bottom - 2.2, 1), far, round(to_x, 1), round(to_y, 1))
