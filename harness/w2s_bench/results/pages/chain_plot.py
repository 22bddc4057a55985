"""Chains as a plot: PGR by generation, a line an arm, the one hop of the same arm as an open mark beside the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from w2s_bench.controls import CEILING, WEAK
from w2s_bench.results.board import ArmChain, DomainChains, Entry, Leaderboard
from w2s_bench.results.pages.lines import LABEL, draw_line, dress, levels, name_lines, track_swatches
from w2s_bench.results.pages.plots import WIDTH, as_svg, panel_title
from w2s_bench.results.pages.strokes import Stroke, strokes
from w2s_bench.results.pages.style import learner
from w2s_bench.results.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 2  # panels side by side


def draw_chains(board: Leaderboard) -> str:
    """The plot as SVG text."""
    return as_svg(lambda: compose(board))


def compose(board: Leaderboard) -> Figure:
    """One panel a domain that has a chain."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = board.chains
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    body = max(2.6, LABEL * (max(len(panel.arms) for panel in panels) + 2))
    top, bottom, between = 0.5, 0.95, 0.95
    height = top + lines * body + (lines - 1) * between + bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    grid = figure.subplots(lines, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.055,
        right=0.985,
        top=1 - top / height,
        bottom=bottom / height,
        wspace=0.12,
        hspace=between / body,
    )
    names = [panel.domain for panel in panels]
    looks = strokes({arm.arm: arm.track for panel in panels for arm in panel.arms})
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.set_title(panel_title(panel.domain, names), fontsize=10, fontweight="bold", pad=8)
        _panel(axes, panel, looks, body)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    handles: list[Artist] = [*track_swatches(arm.track for panel in panels for arm in panel.arms)]
    handles.append(
        Line2D([], [], color="#444444", marker="o", linestyle="", fillstyle="none", label="open mark: one hop")
    )
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8)
    where = " (dev: not a result)" if board.suite.evaluate_on == "dev" else ""
    words = "PGR on the first teacher and the last ceiling, by generation, with 95 % intervals"
    figure.text(0.5, 0.34 / height, f"{words}{where}", ha="center", fontsize=9)
    return figure


def _panel(axes: Axes, panel: DomainChains, looks: Mapping[str, Stroke], inches: float) -> None:
    last = len(panel.students)
    shown = {arm.arm: arm for arm in panel.arms if any(_pgr(entry) for entry in arm.generations)}
    values = [pgr.value for arm in shown.values() for e in (*arm.generations, arm.one_hop) if (pgr := _pgr(e))]
    # What lies half a gap beyond the marks at 0 and 1, or further, is left out of the panel: the table has it.
    low, high = max(min([0.0, *values]), -0.5) - 0.08, min(max([1.0, *values]), 1.5) + 0.08
    axes.set_ylim(low, high)
    axes.set_xlim(0.75, last + 0.25 + 0.52 * last)
    levels(axes, {WEAK: 0.0, CEILING: 1.0}, 0.77, last + 0.22)
    if not shown:
        axes.text(0.5, 0.5, "gap unresolved", transform=axes.transAxes, ha="center", color="#777777", fontsize=9)
    for number, arm in enumerate(shown.values()):
        shift = 0.12 * ((number + 0.5) / len(shown) - 0.5)  # so that intervals stand beside each other
        _line(axes, arm, looks[arm.arm], shift)
    lasts = {name: (float(last), pgr.value) for name, arm in shown.items() if (pgr := _pgr(arm.generations[-1]))}
    name_lines(axes, lasts, looks, (low, high), inches, at=(last + 0.22, last + 0.34))
    axes.set_xticks(range(1, last + 1), [f"{n}\n{learner(name)}" for n, name in enumerate(panel.students, 1)])
    axes.set_yticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
    dress(axes)


def _line(axes: Axes, arm: ArmChain, stroke: Stroke, shift: float) -> None:
    points = [(n + shift, pgr) for n, entry in enumerate(arm.generations, 1) if (pgr := _pgr(entry))]
    draw_line(axes, stroke, [x for x, _ in points], [p.value for _, p in points])
    for x, pgr in points:
        axes.plot([x, x], [pgr.low, pgr.high], color=stroke.colour, linewidth=0.9, alpha=0.45, zorder=1.5)
    if hop := _pgr(arm.one_hop):
        axes.plot([len(arm.generations) + 0.16], [hop.value], **{**stroke.marks, "fillstyle": "none"})


def _pgr(entry: Entry | None) -> Estimate | None:
    return entry.pgr if entry is not None and isinstance(entry.pgr, Estimate) else None
