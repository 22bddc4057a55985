"""Trust functions over several boards: a strip each, one mark per setting at its difference to naive. SVG, the same bytes again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from w2s_bench.controls import NAIVE
from w2s_bench.results.across import Across, FunctionLine
from w2s_bench.results.pages.plots import WIDTH, as_svg, cut, far_out
from w2s_bench.results.pages.style import TRACKS, signed
from w2s_bench.results.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE: Final = 0.3  # inches a function takes
_RIGHT: Final = 1.5  # inches for the counts
#: What is further out is an arrow at the edge: a few differences of more than the whole gap would squash all others.
_FARTHEST: Final = (-0.8, 1.0)
_NEAR: Final = 0.018  # PGR units: marks nearer than that stand beside each other
_LANES: Final = (0.0, 0.27, -0.27)  # of a line's height
#: Where counts stand, in inches from the panel's right edge, and what they count.
_COUNTS: Final = ((0.3, "above"), (0.77, "below"), (1.2, "of"))


def draw_across(across: Across, made: str) -> str:
    """The plot as SVG text; `made` says by whom, in its title."""
    svg = as_svg(lambda: compose(across))
    head, opening, rest = svg.partition("<defs>")
    return f"{head}<title>{escape(f'{in_words(across)} {made}')}</title>\n  {opening}{rest}"


def in_words(across: Across) -> str:
    """What the plot shows, for whoever does not see it."""
    shown = across.shown
    if not shown:
        return f"No trust function has figures on {across.least} settings or more."
    held = sum(function.above(NAIVE) > function.below(NAIVE) for function in shown)
    return (
        f"{len(shown)} trust functions, one mark per setting at the paired difference to {NAIVE} in PGR units: {held} of them lie above it "
        "after correction more often than below."
    )


def compose(across: Across) -> Figure:
    """The functions with figures on several settings, by track, the highest median on top."""
    from matplotlib.figure import Figure

    shown = across.shown
    heights = _heights(shown)
    body = _LINE * (max(heights, default=0.0) + 1.3)
    top, bottom = 0.34, 1.12
    height = top + body + bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    if not shown:
        figure.text(0.5, 0.5, in_words(across), ha="center", va="center", color="#777777")
        return figure
    left = min(0.35 + 0.068 * max(len(function.arm) for function in shown), 0.4 * WIDTH)
    width = WIDTH - left - _RIGHT
    axes = figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, body / height))
    _dress(axes, heights, [cut(function.arm, left) for function in shown], shown)
    limits = _limits([e.value for function in shown for e in function.minus(NAIVE)])
    axes.set_xlim(*limits)
    for function, at in zip(shown, heights, strict=True):
        _strip(axes, function, at, limits)
        counts = (function.above(NAIVE), function.below(NAIVE), len(function.results))
        for (right, _), counted in zip(_COUNTS, counts, strict=True):
            _beside(axes, right / width, at, str(counted), "#222222" if counted else "#AAAAAA")
    for right, name in _COUNTS:
        _beside(axes, right / width, max(heights) + 0.93, name, "#222222")
    _legend(figure, shown, height)
    return figure


def _heights(shown: Sequence[FunctionLine]) -> list[float]:
    """Of each function, 0 at the bottom; a little space between tracks."""
    heights: list[float] = []
    at, track = 0.0, shown[-1].track if shown else ""
    for function in reversed(shown):
        at += 0.5 if function.track != track else 0.0
        heights.append(at)
        at, track = at + 1.0, function.track
    return heights[::-1]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """All that is not too far out, and 0, in view."""
    low, high = min(0.0, max(min(values), _FARTHEST[0])), max(0.0, min(max(values), _FARTHEST[1]))
    return low - 0.06, high + 0.06


def _dress(axes: Axes, heights: Sequence[float], names: Sequence[str], shown: Sequence[FunctionLine]) -> None:
    axes.set_ylim(-0.65, max(heights) + 0.65)
    axes.set_yticks(list(heights), list(names), fontsize=9)
    for function, label in zip(shown, axes.get_yticklabels(), strict=True):
        label.set_color(TRACKS[function.track].colour)
    axes.tick_params(axis="y", length=0, pad=9)
    axes.tick_params(axis="x", length=3, color="#999999", labelsize=8.5)
    axes.xaxis.set_major_formatter(lambda value, _: signed(value, 1) if abs(value) > 0.01 else "0")
    axes.grid(axis="x", color="#E6E6E6", zorder=0)
    axes.set_axisbelow(True)
    for at in heights:
        axes.axhline(at, color="#F0F0F0", linewidth=0.8, zorder=0)
    axes.axvline(0.0, color="#222222", linewidth=1.3, zorder=1)
    axes.annotate(
        NAIVE, (0.0, max(heights) + 0.65), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8.5
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#999999")


def _strip(axes: Axes, function: FunctionLine, at: float, limits: tuple[float, float]) -> None:
    """A mark a setting, filled where the difference holds, and a bar at the median."""
    look, minus = TRACKS[function.track], sorted(function.minus(NAIVE), key=lambda e: e.value)
    within = [e for e in minus if _FARTHEST[0] <= e.value <= _FARTHEST[1]]
    if limits[0] < function.median < limits[1]:
        axes.plot([function.median] * 2, [at - 0.42, at + 0.42], color=look.colour, linewidth=3, alpha=0.35, zorder=1.5)
    for estimate, lane in zip(within, _lanes(within), strict=True):
        axes.plot(
            [estimate.value],
            [at + lane],
            marker=look.marker,
            markersize=5.5,
            markerfacecolor=look.colour if estimate.holds else "white",
            markeredgecolor=look.colour,
            markeredgewidth=1.1,
            linestyle="",
            zorder=3 if estimate.holds else 2.5,
        )
    for below in (True, False):
        out = [e for e in minus if (e.value < _FARTHEST[0] if below else e.value > _FARTHEST[1])]
        if out:
            told = ", ".join(signed(e.value) + (" (holds)" if e.holds and len(out) > 1 else "") for e in out)
            far_out(axes, told, at, look.colour, limits, below=below, filled=any(e.holds for e in out))


def _lanes(estimates: Sequence[Estimate]) -> list[float]:
    """Heights of marks in their order, so that one that would lie on another stands above or below it."""
    last = dict.fromkeys(_LANES, float("-inf"))
    lanes = []
    for estimate in estimates:
        lane = next((lane for lane in _LANES if estimate.value - last[lane] > _NEAR), 0.0)
        last[lane] = estimate.value
        lanes.append(lane)
    return lanes


def _beside(axes: Axes, right: float, at: float, text: str, colour: str) -> None:
    """Text right of the panel; `right` in widths of it."""
    axes.text(
        1 + right, at, text, transform=axes.get_yaxis_transform(), ha="center", va="center", fontsize=8.5, color=colour
    )


def _legend(figure: Figure, shown: Sequence[FunctionLine], height: float) -> None:
    from matplotlib.lines import Line2D

    looks = [TRACKS[track] for track in dict.fromkeys(function.track for function in shown)]
    handles = [
        Line2D([], [], color=k.colour, marker=k.marker, markersize=5.5, linestyle="", label=k.legend) for k in looks
    ]
    grey = {"color": "#555555", "marker": "o", "markersize": 5.5, "linestyle": ""}
    handles += [
        Line2D([], [], label="holds after its board's correction (p < .05)", **grey),  # type: ignore[arg-type]
        Line2D([], [], markerfacecolor="white", label="does not", **grey),  # type: ignore[arg-type]
    ]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8, handletextpad=0.2)
    words = (
        f"PGR − PGR of {NAIVE}, mean over a board's domains; one mark per setting, the bar their median; arrows: further out\n"
        f"right: settings on which it holds above {NAIVE}, on which below, of how many"
    )
    figure.text(0.5, 0.42 / height, words, ha="center", va="bottom", fontsize=8.5, linespacing=1.5)
