"""Lines from step to step: what the plots of chains and of curves have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from w2s_bench.results.pages.strokes import DOTTED, Stroke
from w2s_bench.results.pages.style import TRACKS, number
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

LABEL: Final = 0.17  # inches from name to name
SWATCH: Final = 0.05  # of the panel's width, the piece of an arm's line beside its name
_NAME = 26  # characters of an arm's name


def levels(axes: Axes, heights: Mapping[str, float], left: float, right: float) -> None:
    """Dashed lines as far as `right` at what a scale is made of, each with its name at the left."""
    for name, at in heights.items():
        axes.plot(
            [axes.get_xlim()[0], right], [at, at], color="#444444", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1
        )
        axes.annotate(name, (left, at), xytext=(0, 2), textcoords="offset points", fontsize=7.5, color="#444444")


def track_swatches(tracks: Iterable[str]) -> list[Patch]:
    """Of a legend: the colours of tracks, without marks or dashes, which are single arms'."""
    from matplotlib.patches import Patch

    return [Patch(color=TRACKS[track].colour, label=TRACKS[track].legend) for track in dict.fromkeys(tracks)]


def draw_line(axes: Axes, stroke: Stroke, xs: Sequence[float], heights: Sequence[float]) -> None:
    """An arm's line and its marks."""
    zorder = 1.8 if stroke.dash == DOTTED else 2
    axes.plot(xs, heights, zorder=zorder, **stroke.line)
    axes.plot(xs, heights, zorder=zorder + 1, **stroke.marks)


def name_lines(
    axes: Axes,
    lasts: Mapping[str, tuple[float, float]],
    looks: Mapping[str, Stroke],
    limits: tuple[float, float],
    inches: float,
    *,
    at: tuple[float, float],
) -> None:
    """The names of lines at the height of their last marks `lasts` (x, y), none over another, each after a piece of its line; with
    the number where that lies beyond the panel. `at`: where all lines have ended, and where names begin.

    `limits` are the panel's, `inches` how high it is.
    """
    (low, high), (end, begin) = limits, at
    width = axes.get_xlim()[1] - axes.get_xlim()[0]
    swatch = SWATCH * width
    ends = {name: y for name, (_, y) in lasts.items()}
    for name, height in _spread(ends, low, high, LABEL * (high - low) / inches).items():
        text, stroke = one_line(name), looks[name]
        text = text if len(text) <= _NAME else text[: _NAME - 1] + "…"
        if not low <= ends[name] <= high:
            text += f" ({number(ends[name])})"
        x, y = lasts[name][0], min(max(ends[name], low), high)
        axes.plot(
            [x, end, begin], [y, y, height], color=stroke.colour, linewidth=0.5, alpha=0.6, zorder=1.2, clip_on=False
        )
        axes.plot([begin, begin + swatch], [height, height], zorder=2, clip_on=False, **stroke.line)
        axes.plot([begin + swatch], [height], zorder=3, clip_on=False, **stroke.marks)
        axes.text(begin + 1.22 * swatch, height, text, va="center", fontsize=7.5, color=stroke.colour)


def dress(axes: Axes) -> None:
    """Light axes: level lines behind everything, no frame above or at the right."""
    axes.tick_params(axis="both", length=3, color="#999999", labelsize=8)
    axes.grid(axis="y", color="#E6E6E6", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")


def _spread(ends: Mapping[str, float], low: float, high: float, apart: float) -> dict[str, float]:
    """Heights of names near their lines' ends, none nearer to the next than `apart`, all in the panel where there is room."""
    order = sorted(ends, key=lambda name: ends[name])
    heights: list[float] = []
    for name in order:
        wanted = min(max(ends[name], low), high)
        heights.append(max(wanted, heights[-1] + apart) if heights else wanted)
    if heights and (over := heights[-1] - high) > 0:
        heights = _downward(
            [height - over if n == len(heights) - 1 else height for n, height in enumerate(heights)], apart
        )
    return dict(zip(order, heights, strict=True))


def _downward(heights: Sequence[float], apart: float) -> list[float]:
    out = list(heights)
    for n in range(len(out) - 2, -1, -1):
        out[n] = min(out[n], out[n + 1] - apart)
    return out
