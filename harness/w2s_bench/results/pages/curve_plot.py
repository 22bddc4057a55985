"""A curve as a plot: mean PGR at each point, a line an arm, what the number leaves as it is as level lines."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from w2s_bench.controls import BASE, CEILING, WEAK
from w2s_bench.results.board import Row
from w2s_bench.results.curves import Curve
from w2s_bench.results.pages.lines import DASHES, LABEL, dress, levels, name_lines
from w2s_bench.results.pages.plots import WIDTH, as_svg
from w2s_bench.results.pages.style import TRACKS
from w2s_bench.results.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LINES = 14  # of arms that the number changes
_LEVEL = (0, (1, 1.6))  # dashes of what does not change


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
    tracks = dict.fromkeys(curve.row_of(arm).track for arm in (*arms, *curve.flat))
    handles = [Line2D([], [], color=TRACKS[t].colour, marker="o", markersize=4, label=TRACKS[t].legend) for t in tracks]
    handles.append(Line2D([], [], color="#777777", linestyle=_LEVEL, label="the same at every point"))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8)
    where = " (dev: not a result)" if curve.own.suite.evaluate_on == "dev" else ""
    what = "gold labels of the trust set" if curve.about == "gold_budget" else "share of the pool kept"
    figure.text(0.5, 0.36 / height, f"mean PGR by {what}, with 95 % intervals{where}", ha="center", fontsize=9)
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


def _panel(axes: Axes, curve: Curve, arms: list[str], inches: float) -> None:
    last = len(curve.points) - 1
    values = [pgr.value for arm in arms for point in curve.points if (pgr := _pgr(point.row(arm)))]
    values += [pgr.value for arm in curve.flat if (pgr := _pgr(curve.row_of(arm)))]
    # What lies far beyond the marks at 0 and 1 is left out of the plot: the table has it.
    low, high = max(min([0.0, *values]), -0.5) - 0.06, min(max([1.0, *values]), 1.5) + 0.06
    axes.set_ylim(low, high)
    axes.set_xlim(-0.15, last + 0.15 + 0.32 * (last + 0.3))
    marks = {WEAK: 0.0, CEILING: 1.0, BASE: curve.base}
    levels(axes, {name: at for name, at in marks.items() if at is not None}, -0.13)
    ends: dict[str, float] = {}
    dashes: dict[str, cycle[object]] = {}
    for number, arm in enumerate(arms):
        track = curve.row_of(arm).track
        dash = next(dashes.setdefault(track, cycle(DASHES)))
        shift = 0.12 * ((number + 0.5) / len(arms) - 0.5)  # so that intervals stand beside each other
        points = [(at + shift, pgr) for at, point in enumerate(curve.points) if (pgr := _pgr(point.row(arm)))]
        colour = TRACKS[track].colour
        heights = [pgr.value for _, pgr in points]
        axes.plot([x for x, _ in points], heights, color=colour, linewidth=1.3, linestyle=dash, zorder=2)
        axes.plot([x for x, _ in points], heights, color=colour, marker="o", markersize=3.5, ls="", zorder=3)
        for x, pgr in points:
            axes.plot([x, x], [pgr.low, pgr.high], color=colour, linewidth=0.9, alpha=0.45, zorder=1.5)
        ends[arm] = heights[-1]
    for arm in curve.flat:
        if pgr := _pgr(curve.row_of(arm)):
            colour = TRACKS[curve.row_of(arm).track].colour
            axes.plot([-0.06, last + 0.06], [pgr.value] * 2, color=colour, linewidth=1.1, linestyle=_LEVEL, zorder=1.8)
            ends[arm] = pgr.value
    colours = {arm: TRACKS[curve.row_of(arm).track].colour for arm in ends}
    name_lines(axes, ends, colours, (low, high), inches, at=(last + 0.08, last + 0.05 * (last + 1) + 0.1))
    axes.set_xticks(range(last + 1), [point.words for point in curve.points])
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "0.25", "0.5", "0.75", "1"])
    dress(axes)


def _pgr(row: Row | None) -> Estimate | None:
    return row.mean_pgr if row is not None and isinstance(row.mean_pgr, Estimate) else None
