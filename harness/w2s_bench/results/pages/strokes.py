"""How each arm of a plot of lines looks: no two alike, in grey print too, and the same for the same arms in whatever order they come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from w2s_bench.results.pages.style import TRACKS

Dash = str | tuple[float, tuple[float, ...]]

#: Of what is the same at every point, and of nothing else.
DOTTED: Final[Dash] = (0, (1, 1.6))
#: Of what varies; none that could be taken for dots.
DASHES: Final[tuple[Dash, ...]] = ("-", (0, (5, 2)), (0, (8, 2, 2, 2)), (0, (11, 3)))
#: Shapes that stay apart at a small size. The controls of a board are many: filled ones and open ones.
MARKERS: Final = ("o", "s", "^", "D", "v", "X", "P", "*", "<", ">")


@dataclass(frozen=True)
class Stroke:
    """An arm's line and its marks. The colour tells its track alone: marker, `filled` and dash tell it from every other arm."""

    colour: str
    marker: str
    filled: bool
    dash: Dash

    @property
    def line(self) -> Mapping[str, Any]:
        """What matplotlib draws the line by."""
        return {"color": self.colour, "linewidth": 1.3 if self.dash != DOTTED else 1.1, "linestyle": self.dash}

    @property
    def marks(self) -> Mapping[str, Any]:
        """What it draws the marks by."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": 6.5 if self.marker == "*" else 4.5,
            "markerfacecolor": self.colour if self.filled else "white",
            "markeredgewidth": 0.8,
            "ls": "",
        }


def strokes(tracks: Mapping[str, str], constant: Collection[str] = ()) -> dict[str, Stroke]:
    """Arm → its stroke; `tracks` has the track of each, `constant` those that do not vary, which alone are dotted.

    Arms take their looks in the order of their names. Those that vary are filled and each have a marker of their own, as far as
    there are markers, then one with another dash; constants are open first.
    """
    varying = sorted(arm for arm in tracks if arm not in constant)
    made = {}
    for arm, (marker, dash, filled) in zip(varying, _varying(len(varying)), strict=True):
        made[arm] = Stroke(TRACKS[tracks[arm]].colour, marker, filled, dash)
    for number, arm in enumerate(sorted(arm for arm in tracks if arm in constant)):
        turn, at = divmod(number, len(MARKERS))
        made[arm] = Stroke(TRACKS[tracks[arm]].colour, MARKERS[at], turn % 2 == 1, DOTTED)
    return made


def _varying(count: int) -> Iterable[tuple[str, Dash, bool]]:
    """That many looks: the marker changes from each to the next, and the dash, so that neighbours differ in both."""
    markers, dashes = len(MARKERS), len(DASHES)
    for number in range(count):
        turn = number // markers
        yield MARKERS[number % markers], DASHES[(number + turn) % dashes], turn // dashes % 2 == 0
