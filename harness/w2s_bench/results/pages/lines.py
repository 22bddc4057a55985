"""Lines from step to step: what the plots of chains and of curves have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from w2s_bench.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL: Final = 0.17  # inches from name to name
DASHES: Final = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
_NAME = 26  # characters of an arm's name


def levels(axes: Axes, heights: Mapping[str, float], left: float) -> None:
    """Dashed lines all across at what a scale is made of, each with its name at the left."""
    for name, at in heights.items():
        axes.axhline(at, color="#444444", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        axes.annotate(name, (left, at), xytext=(0, 2), textcoords="offset points", fontsize=7.5, color="#444444")


def name_lines(
    axes: Axes,
    ends: Mapping[str, float],
    colours: Mapping[str, str],
    limits: tuple[float, float],
    inches: float,
    *,
    at: tuple[float, float],
) -> None:
    """The names of lines beside their `ends` (heights), none over another; `at`: where a line ends, and where its name begins.

    `limits` are the panel's, `inches` how high it is.
    """
    (low, high), (end, begin) = limits, at
    for name, height in _spread(ends, low, high, LABEL * (high - low) / inches).items():
        text, colour = one_line(name), colours[name]
        axes.annotate(
            text if len(text) <= _NAME else text[: _NAME - 1] + "…",
            (end, min(max(ends[name], low), high)),
            xytext=(begin, height),
            va="center",
            fontsize=7.5,
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.5, "shrinkA": 0, "shrinkB": 0},
        )


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
