"""A curve as a plot: mean PGR at each point, a line an arm, what the number leaves as it is as level lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench.controls import BASE, CEILING, WEAK
from w2s_bench.results.board import Row
from w2s_bench.results.curves import Curve
from w2s_bench.results.pages.lines import LABEL, draw_line, dress, levels, name_lines, track_swatches
from w2s_bench.results.pages.plots import WIDTH, as_svg
from w2s_bench.results.pages.strokes import DOTTED, Stroke, strokes
from w2s_bench.results.pages.style import number, off_axis
from w2s_bench.results.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LINES = 14  # of arms that the number changes
_BESIDE = (
    0.04  # of the way from point to point: from arm to arm, so that their marks and intervals stand beside each other
)
_MOST_BESIDE = 0.4  # of it: what all of them take


def draw_curve(curve: Curve) -> str:
    """The plot as SVG text."""
    return as_svg(lambda: compose(curve))


def compose(curve: Curve) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    arms = shown_arms(curve)
    body = max(3.0, LABEL * (len(arms) + len(curve.flat) + 3))
    top, bottom = 0.25, 1.0
    height = top + body + bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    axes = figure.subplots()
    figure.subplots_adjust(left=0.07, right=0.985, top=1 - top / height, bottom=bottom / height)
    _panel(axes, curve, arms, body)
    handles: list[Artist] = [*track_swatches(curve.row_of(arm).track for arm in (*arms, *curve.flat))]
    constant = {
        "color": "#777777",
        "linestyle": DOTTED,
        "linewidth": 1.1,
        "marker": "o",
        "markersize": 4.5,
        "markerfacecolor": "white",
    }
    if curve.flat:
        handles.append(Line2D([], [], label="dotted, open marks: the same at every point", **constant))  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8)
    where = " (dev: not a result)" if curve.own.suite.evaluate_on == "dev" else ""
    what = "gold labels of the trust set" if curve.about == "gold_budget" else "share of the pool kept"
    words = f"mean PGR by {what}, with 95 % intervals{where}"
    low, high = _limits(curve, arms)
    if curve.base is not None and not low < curve.base < high:
        words += f"; {off_axis(BASE, curve.base)}"
    figure.text(0.5, 0.36 / height, words, ha="center", fontsize=9)
    return figure


def shown_arms(curve: Curve) -> list[str]:
    """The arms with a figure at two points or more, the best ones where there is no room for all; controls always."""
    there = [arm for arm in curve.arms if sum(_pgr(point.row(arm)) is not None for point in curve.points) > 1]
    controls = [arm for arm in there if curve.row_of(arm).is_control]
    functions = [arm for arm in there if arm not in controls]

    def mean(arm: str) -> float:
        pgr = _pgr(curve.row_of(arm))
        return -pgr.value if pgr else 0.0

    best = sorted(functions, key=mean)[: max(1, _MOST_LINES - len(controls))]
    return [arm for arm in there if arm in best or arm in controls]


def arm_strokes(curve: Curve) -> dict[str, Stroke]:
    """How each arm of the plot looks: its own mark and dash, dotted where it is the same at every point."""
    arms = (*shown_arms(curve), *curve.flat)
    return strokes({arm: curve.row_of(arm).track for arm in arms}, curve.flat)


def _limits(curve: Curve, arms: list[str]) -> tuple[float, float]:
    """All figures in view, and the marks at 0 and 1; what lies far beyond these is told in words alone."""
    values = [pgr.value for arm in arms for point in curve.points if (pgr := _pgr(point.row(arm)))]
    values += [pgr.value for arm in curve.flat if (pgr := _pgr(curve.row_of(arm)))]
    return max(min([0.0, *values]), -0.5) - 0.06, min(max([1.0, *values]), 1.5) + 0.06


def _beyond(axes: Axes, x: float, value: float, colour: str, limits: tuple[float, float]) -> None:
    """The number of a mark that lies out of the panel, at its edge."""
    below = value < limits[0]
    axes.annotate(
        f"{'↓' if below else '↑'} {number(value)}",
        (x, limits[0 if below else 1]),
        xytext=(3, 3 if below else -9),
        textcoords="offset points",
        fontsize=7.5,
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
    )


def _panel(axes: Axes, curve: Curve, arms: list[str], inches: float) -> None:
    last = len(curve.points) - 1
    low, high = _limits(curve, arms)
    axes.set_ylim(low, high)
    spread = min(_MOST_BESIDE, _BESIDE * len(arms))
    end = last + spread / 2 + 0.02
    begin = -spread / 2 - 0.06 * (last + 1.2)  # room for the names of levels
    axes.set_xlim(begin, end + 0.04 + 0.36 * (last + 0.3))
    marks = {WEAK: 0.0, CEILING: 1.0} | ({} if curve.base is None else {BASE: curve.base})
    levels(axes, {name: at for name, at in marks.items() if low < at < high}, begin + 0.006 * (last + 1), end)
    lasts: dict[str, tuple[float, float]] = {}
    looks = arm_strokes(curve)
    for place, arm in enumerate(arms):
        shift = spread * ((place + 0.5) / len(arms) - 0.5)
        points = [(at + shift, pgr) for at, point in enumerate(curve.points) if (pgr := _pgr(point.row(arm)))]
        heights = [pgr.value for _, pgr in points]
        draw_line(axes, looks[arm], [x for x, _ in points], heights)
        for x, pgr in points:
            axes.plot([x, x], [pgr.low, pgr.high], color=looks[arm].colour, linewidth=0.9, alpha=0.45, zorder=1.5)
            if not low <= pgr.value <= high:
                _beyond(axes, x, pgr.value, looks[arm].colour, (low, high))
        lasts[arm] = points[-1][0], heights[-1]
    for arm in curve.flat:
        if pgr := _pgr(curve.row_of(arm)):
            draw_line(axes, looks[arm], [-spread / 2 - 0.02, end], [pgr.value] * 2)
            lasts[arm] = end, pgr.value
    name_lines(axes, lasts, looks, (low, high), inches, at=(end + 0.01, end + 0.05 * (last + 1)))
    axes.set_xticks(range(last + 1), [point.words for point in curve.points])
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "0.25", "0.5", "0.75", "1"])
    dress(axes)


def _pgr(row: Row | None) -> Estimate | None:
    return row.mean_pgr if row is not None and isinstance(row.mean_pgr, Estimate) else None
