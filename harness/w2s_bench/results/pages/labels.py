"""Where names of marks fit: beside their own, over no other mark and no other name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

#: Pixels that characters take in common sans-serif fonts of 11 pixels (DejaVu Sans, Verdana): most of them, and the others.
_COMMON: Final = 6.8
_OTHERS: Final = {
    **dict.fromkeys("ijl|.,:;'! ", 3.9),
    **dict.fromkeys("frt()[]-/", 4.6),
    "_": 6.2,
    **dict.fromkeys("wABCDEFGHKNOPQRSTUVXYZ=+", 8.6),
    **dict.fromkeys("mMW@%…", 10.8),
}
#: How high a line of them is.
HEIGHT: Final = 12.0
#: Half the side of a mark, with a little air.
_MARK: Final = 5.5
_AIR: Final = 4.0  # between names on one line
_MOST: Final = 24  # characters of a name
#: Distances from the mark: a name near it needs no line, one further off gets one.
_RINGS: Final = (8.0, 20.0, 34.0, 50.0)
#: What a name costs that lies on a line, one that meets another's lead or whose own meets a mark or a name, one that is beside a
#: mark not its own, and one ring more.
_ON_A_LINE, _LED_ACROSS, _BESIDE, _FURTHER = 1.0, 2.0, 0.7, 1.1
_NEAR: Final = 10.0  # pixels from a name to a mark that it seems to name

#: A straight line from (x, y) to (x, y).
Segment = tuple[float, float, float, float]


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

    def is_crossed_by(self, line: Segment) -> bool:
        """Whether a part of the line lies within."""
        x, y, to_x, to_y = line
        enters, leaves = 0.0, 1.0
        for begin, way, low, high in ((x, to_x - x, self.left, self.right), (y, to_y - y, self.top, self.bottom)):
            if way == 0:
                if not low < begin < high:
                    return False
                continue
            one, other = sorted(((low - begin) / way, (high - begin) / way))
            enters, leaves = max(enters, one), min(leaves, other)
        return enters < leaves


def around(mark: tuple[float, float]) -> Box:
    """What a mark covers."""
    x, y = mark
    return Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK)


def width_of(text: str) -> float:
    """Pixels that a text takes, a little more rather than less."""
    return sum(_OTHERS.get(character, _COMMON) for character in text)


def of_text(text: str, x: float, y: float) -> Box:
    """What a text covers whose base line begins at (x, y)."""
    return Box(x, y + 2.2 - HEIGHT, x + width_of(text), y + 2.2)


def placed(
    names: Sequence[str],
    marks: Sequence[tuple[float, float]],
    edges: tuple[float, float, float, float],
    wanted: Sequence[int],
    needed: int,
    others: Sequence[Box] = (),
    lines: Sequence[Segment] = (),
) -> list[Label]:
    """Names of the marks `wanted`, in that order, as far as they fit within `edges` (left, right, top, bottom) and over none of the
    `others`; the first `needed` of them may stand further off, the rest beside their marks or nowhere. They lie on `lines` only
    where there is no better room."""
    left, right, top, bottom = edges
    spots = [*map(around, marks)]
    taken = [*spots, *others]
    leads: list[Segment] = []
    out: list[Label] = []
    for place, at in enumerate(wanted):
        text = names[at] if len(names[at]) <= _MOST else names[at][: _MOST - 1] + "…"
        width, hindered = width_of(text), [box for n, box in enumerate(taken) if n != at]
        best: tuple[float, Box, Label] | None = None
        for number, ring in enumerate(_RINGS if place < needed else _RINGS[:1]):
            if best is not None and best[0] <= _FURTHER * number:
                break
            for box in _around(*marks[at], width, ring):
                if box.left < left or box.right > right or box.top < top or box.bottom > bottom:
                    continue
                if any(box.meets(other) for other in taken):
                    continue
                label = _label(at, text, box, marks[at], far=number > 0)
                near = Box(box.left - _NEAR, box.top, box.right + _NEAR, box.bottom)
                cost = _FURTHER * number + _ON_A_LINE * sum(box.is_crossed_by(line) for line in lines)
                cost += _LED_ACROSS * sum(box.is_crossed_by(lead) for lead in leads)
                cost += _BESIDE * sum(near.meets(other) for n, other in enumerate(spots) if n != at)
                if label.far:
                    lead = _lead(label, marks[at])
                    cost += _LED_ACROSS * sum(other.is_crossed_by(lead) for other in hindered)
                if best is None or cost < best[0]:
                    best = cost, box, label
        if best is not None:
            _, box, label = best
            taken.append(replace(box, left=box.left - _AIR, right=box.right + _AIR))
            out.append(label)
            if label.far:
                leads.append(_lead(label, marks[at]))
    return out


def _lead(label: Label, mark: tuple[float, float]) -> Segment:
    return (*mark, label.to_x, label.to_y)


def _around(x: float, y: float, width: float, away: float) -> list[Box]:
    """Places for a name about its mark, the best first: right, left, above, below, the four corners, and between these."""
    half, slant = HEIGHT / 2, 0.7 * away
    sides, ends = (x + away, x - away - width), (y - slant - HEIGHT, y + slant)
    corners = [
        *((side, y - half) for side in sides),
        (x - width / 2, y - away - HEIGHT),
        (x - width / 2, y + away),
        *product((x + slant, x - slant - width), ends),
        *product(sides, (y - HEIGHT - 1, y + 1)),
        *product((x - 6, x + 6 - width), (y - away - HEIGHT, y + away)),
    ]
    return [Box(a, b, a + width, b + HEIGHT) for a, b in corners]


def _label(at: int, text: str, box: Box, mark: tuple[float, float], *, far: bool) -> Label:
    x, y = mark
    to_x = min(max(x, box.left), box.right)
    to_y = min(max(y, box.top), box.bottom)
    return Label(at, text, round(box.left, 1), round(box.bottom - 2.2, 1), far, round(to_x, 1), round(to_y, 1))
