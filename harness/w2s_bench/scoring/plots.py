"""The report's two plots, in the style of the leaderboard's: purity over coverage, and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_bench.results.pages.plots import as_svg
from w2s_bench.results.pages.style import TRACKS, percent
from w2s_bench.scoring.selecting import Curve
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CURVES = 6
_LINES = ("-", "--", ":", "-.", (0, (1, 3)), (0, (6, 2, 1, 2)))


def coverage_plot(
    curves: Mapping[str, Curve], *, base: float, purity: float | None, kept: float, confidence: float
) -> str:
    """Purity of the most trusted part of the pool over its share, by the trust set: the first function with its bands."""

    def compose() -> Figure:
        axes, figure = _axes("share of the pool that is kept", "share of kept labels that are right")
        first, *others = [*curves.items()][:_MOST_CURVES]
        name, curve = first
        colour = TRACKS["none"].colour
        shown = curve.count > 0
        axes.fill_between(curve.coverage, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(curve.coverage, curve.sure, color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.plot(curve.coverage[shown], curve.purity[shown], color=colour, linewidth=1.8, label=one_line(name)[:40])
        for (other, its), style in zip(others, _LINES[1:], strict=False):
            some = its.count > 0
            axes.plot(
                its.coverage[some],
                its.purity[some],
                color="#777777",
                linestyle=style,
                linewidth=1.1,
                label=one_line(other)[:40],
            )
        axes.axhline(base, color="#444444", linewidth=0.9, linestyle=(0, (1, 2)))
        axes.annotate(
            "all labels",
            (1, base),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=7.5,
            color="#444444",
        )
        if purity is not None:
            axes.axhline(purity, color=TRACKS["trust_set"].colour, linewidth=1.0)
            axes.annotate(
                "asked for",
                (0, purity),
                xytext=(2, 3),
                textcoords="offset points",
                fontsize=7.5,
                color=TRACKS["trust_set"].colour,
            )
        if kept > 0:
            axes.axvline(kept, color="#444444", linewidth=0.9, linestyle=(0, (4, 2)))
            axes.annotate("kept", (kept, 1), xytext=(3, -9), textcoords="offset points", fontsize=7.5, color="#444444")
        axes.set_xlim(0, 1)
        lowest = min(float(np.nanmin(curve.low)), base)
        axes.set_ylim(max(0.0, lowest - 0.05), 1.02)
        axes.legend(loc="best", frameon=False, fontsize=7.5)
        figure.text(
            0.5,
            0.015,
            f"band: {percent(confidence)} a point; dashed below it: at least so pure at all points at once",
            ha="center",
            fontsize=7.5,
        )
        return figure

    return as_svg(compose)


def calibration_plot(bins: Sequence[tuple[float, float, float, float, int]], *, probabilities: bool) -> str:
    """`bins` as `calibration_of` gives them: rows of the trust set by their score, and how many of them are right."""

    def compose() -> Figure:
        axes, figure = _axes("mean score of the bin", "share of right labels")
        colour = TRACKS["none"].colour
        if probabilities:
            axes.plot([0, 1], [0, 1], color="#444444", linewidth=0.9, linestyle=(0, (4, 2)))
        for middle, share, low, high, _ in bins:
            axes.plot([middle, middle], [low, high], color=colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot([middle], [share], color=colour, marker="o", markersize=5.5)
        axes.set_ylim(0, 1.02)
        figure.text(
            0.5, 0.015, "rows of the trust set in bins of equal size, with 95 % intervals", ha="center", fontsize=7.5
        )
        return figure

    return as_svg(compose)


def _axes(across: str, up: str) -> tuple[Axes, Figure]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.6), facecolor="white")
    axes: Any = figure.subplots()
    figure.subplots_adjust(left=0.1, right=0.97, top=0.96, bottom=0.19)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color="#E6E6E6")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")
    return axes, figure
