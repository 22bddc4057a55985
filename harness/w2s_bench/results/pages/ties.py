"""Which trust functions of a track are tied: a critical-difference diagram (Demšar 2006), on its side so that names fit.

A bar joins arms of which no paired test tells one from another, when all pairs of the track are tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench.results.board import Leaderboard, Row
from w2s_bench.results.folding import first_rows
from w2s_bench.results.pages.plots import LINE, as_svg, cut
from w2s_bench.results.pages.standing import not_shown
from w2s_bench.results.pages.style import TRACKS
from w2s_bench.results.statistics import Estimate, cliques

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 6.2  # inches
_BAR = 0.14  # inches from bar to bar
_SAID = 0.17  # inches of the line that says how many are not shown


def draw_ties(board: Leaderboard) -> str:
    """The diagram as SVG text."""
    return as_svg(lambda: _compose(board))


def _compose(board: Leaderboard) -> Figure:
    """One panel a track that has two ranked arms or more, the highest mean PGR on top, bars on the right."""
    from matplotlib.figure import Figure

    tracks = {track: [row for row in first_rows(board.rows) if row.track == track and row.places] for track in TRACKS}
    panels = {track: rows for track, rows in tracks.items() if len(rows) > 1}
    better = {pair.known for pair in board.pairs if pair.known}
    bodies = [LINE * (len(rows) + 0.6) for rows in panels.values()]
    unseen = not_shown(board)
    said = _SAID if unseen else 0.0
    top, between, bottom = 0.34 + said, 0.62 + said, 0.62
    height = top + sum(bodies) + between * max(len(panels) - 1, 0) + bottom
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    left = min(0.35 + 0.068 * max((len(row.arm) for rows in panels.values() for row in rows), default=0), 0.45 * _WIDTH)
    right = 1.1
    if not panels:
        figure.text(0.5, 0.5, "no track has two ranked trust functions", ha="center", va="center", color="#777777")
        return figure
    values = [r.mean_pgr.value for rows in panels.values() for r in rows if isinstance(r.mean_pgr, Estimate)]
    limits = (min(0.0, *values) - 0.05, max(1.0, *values) + 0.05)
    at = height - top
    for (track, rows), body in zip(panels.items(), bodies, strict=True):
        box = (left / _WIDTH, (at - body) / height, 1 - (left + right) / _WIDTH, body / height)
        axes = figure.add_axes(box)
        axes.set_xlim(*limits)
        _panel(axes, track, rows, left, unseen.get(track, ""))
        for column, tied in enumerate(cliques([row.arm for row in rows], better)):
            ends = [next(i for i, row in enumerate(rows) if row.arm == arm) for arm in (tied[0], tied[-1])]
            beside = 1 + (0.12 + _BAR * (column % 6)) / (_WIDTH - left - right)
            axes.plot(
                [beside, beside],
                [ends[0] - 0.3, ends[1] + 0.3],
                transform=axes.get_yaxis_transform(),
                color="#222222",
                linewidth=3,
                solid_capstyle="butt",
                clip_on=False,
            )
        at -= body + between
    words = f"mean PGR; a bar joins {'those shown' if unseen else 'arms'} that no test tells apart"
    figure.text(0.5, 0.14 / height, words, ha="center", fontsize=9)
    return figure


def _panel(axes: Axes, track: str, rows: list[Row], left: float, unseen: str) -> None:
    """`unseen` says how many arms of the track are left out, if any."""
    look = TRACKS[track]
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_title(
        f"track {look.word}", fontsize=9, fontweight="bold", color=look.colour, pad=5 + (72 * _SAID if unseen else 0)
    )
    if unseen:
        axes.annotate(
            unseen,
            (0.5, 1.0),
            xytext=(0, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#444444",
        )
    axes.set_yticks(range(len(rows)), [cut(row.arm, left) for row in rows])
    for at, row in enumerate(rows):
        axes.axhline(at, color="#F0F0F0", linewidth=0.8, zorder=0)
        if isinstance(row.mean_pgr, Estimate):
            axes.plot([row.mean_pgr.value], [at], color=look.colour, marker=look.marker, markersize=5.5, linestyle="")
    axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=3, color="#999999")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#999999")
