"""The leaderboard's plot: every arm's PGR in every domain, with intervals. SVG, the same bytes for the same rows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from w2s_bench.controls import BASE, CEILING, WEAK
from w2s_bench.names import bare
from w2s_bench.results.board import Leaderboard, Row
from w2s_bench.results.folding import first_rows
from w2s_bench.results.pages.style import TRACKS, number, off_axis
from w2s_bench.results.statistics import Estimate, Ratio
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4  # panels side by side; more of them wrap
WIDTH = 9.3  # inches; about 900 pixels in a browser
LINE = 0.235  # inches an arm takes
#: Lines of arms from the lowest arm to a panel's foot; more where words stand there.
_FOOT, _FOOT_OF_WORDS = 0.7, 1.3
_DOTS: Final = (0, (1, 1.5))  # of the line at the untuned student
_TITLE = 24  # characters above a panel
#: Of a panel's width, what two names at its head must lie apart; nearer, the second stands at its foot.
_NAMES_APART = 0.18
#: Whoever reads pages in the dark sees white as black; hues stay what they are.
_DARK: Final = "<style>@media (prefers-color-scheme: dark) { svg { filter: invert(0.93) hue-rotate(180deg) } }</style>"
_STYLE: Mapping[str, Any] = {
    "svg.hashsalt": "w2s-bench",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.parse_math": False,  # a plugin's name may hold a dollar sign
    "path.simplify": False,
}


def draw(board: Leaderboard) -> str:
    """The plot as SVG text."""
    return as_svg(lambda: compose(board))


def as_svg(compose: Callable[[], Figure]) -> str:
    """A figure as SVG text for light pages and dark ones, the same bytes for the same figure whatever matplotlib is told elsewhere."""
    import matplotlib

    style: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE}
    with matplotlib.rc_context(style):
        out = io.StringIO()
        compose().savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    head, closing, rest = svg.partition("<defs>")
    return f"{head}{closing}\n  {_DARK}{rest}"


def compose(board: Leaderboard) -> Figure:
    """One panel a domain and one for their mean, the arms in the leaderboard's order from the top."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = first_rows(board.rows)
    panels, seeds = _panels_of(board, rows)
    untuned = _untuned(board)
    heights = _heights(rows)
    limits = _limits(
        [r for figures in panels.values() for r in figures.values() if isinstance(r, Estimate)], untuned.values()
    )
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    foot = _FOOT_OF_WORDS if any(not _at_the_head(at, limits) for at in untuned.values()) else _FOOT
    body = LINE * (max(heights.values(), default=0.0) + 0.5 + foot)
    margin_top, margin_bottom, between = 0.5, 0.78, 0.75
    height = margin_top + lines * body + (lines - 1) * between + margin_bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    names = max((len(row.arm) for row in rows), default=0)
    left = min(0.35 + 0.068 * names, 0.4 * WIDTH)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=False, sharey=False)
    figure.subplots_adjust(
        left=left / WIDTH,
        right=1 - 0.12 / WIDTH,
        top=1 - margin_top / height,
        bottom=margin_bottom / height,
        wspace=0.08,
        hspace=between / body,
    )
    for panel, (axes, name) in enumerate(zip(grid.flat, panels, strict=False)):
        _panel(axes, panels[name], seeds[name], rows, heights, limits, foot, untuned.get(name))
        axes.set_title(panel_title(name, panels), fontsize=10, fontweight="bold", pad=17)
        labels = [cut(row.arm, left) for row in rows] if panel % columns == 0 else []
        axes.set_yticks(list(heights.values()) if labels else [], labels)
        for row, label in zip(rows, axes.get_yticklabels(), strict=False):
            label.set_color(TRACKS[row.track].colour)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    tracks = dict.fromkeys(row.track for row in rows)
    looks = [TRACKS[track] for track in tracks]
    handles = [Line2D([], [], color=k.colour, marker=k.marker, markersize=5, label=k.legend) for k in looks]
    if any(limits[0] < at < limits[1] for at in untuned.values()):
        handles.append(Line2D([], [], color="#888888", linewidth=1.1, linestyle=_DOTS, label=f"{BASE}: untuned"))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8.5)
    where = " (dev: not a result)" if board.suite.evaluate_on == "dev" else ""
    figure.text(
        0.5,
        0.4 / height,
        f"PGR, the share of the gap closed, with 95 % intervals; dots: seeds within the axis{where}",
        ha="center",
        fontsize=9,
    )
    return figure


def _panels_of(
    board: Leaderboard, rows: tuple[Row, ...]
) -> tuple[dict[str, dict[str, Ratio]], dict[str, dict[str, tuple[float, ...]]]]:
    """Panel → arm → its figure, and its seeds': a panel a domain, or of many domains a family, and one for the mean."""
    panels: dict[str, dict[str, Ratio]] = {}
    seeds: dict[str, dict[str, tuple[float, ...]]] = {}
    for domain in () if board.wide else board.domains:
        entries = {row.arm: row.entries[domain.name] for row in rows if domain.name in row.entries}
        panels[domain.name] = {arm: entry.pgr for arm, entry in entries.items()}
        seeds[domain.name] = {arm: entry.pgr_by_seed for arm, entry in entries.items()}
    for family, domains in board.families.items():
        name = f"{family}: {len(domains)} domains"
        panels[name] = {row.arm: row.family_pgr[family] for row in rows}
        seeds[name] = {row.arm: () for row in rows}
    # Many domains without kin have no panel but this: where none has a gap, it says that the mean is over none.
    if len(board.mean_domains) > 1 or not panels:
        name = _mean_panel(board)
        panels[name] = {row.arm: row.mean_pgr for row in rows}
        seeds[name] = {row.arm: row.pgr_by_seed for row in rows}
    return panels, seeds


def _untuned(board: Leaderboard) -> dict[str, float]:
    """Panel → where the student is before any training; means of families have no line."""
    if board.untuned is None:
        return {}
    told = {d.name: d.references[BASE].pgr for d in board.domains if BASE in d.references}
    told[_mean_panel(board)] = board.untuned.pgr
    return {name: pgr.value for name, pgr in told.items() if isinstance(pgr, Estimate)}


def _mean_panel(board: Leaderboard) -> str:
    count = len(board.mean_domains)
    return f"mean of {count} domain{'' if count == 1 else 's'}"


def panel_title(name: str, names: Iterable[str]) -> str:
    """A panel's name as far as there is room: without its distribution where no other panel is called so."""
    if len(name) > _TITLE and [bare(other) for other in names].count(bare(name)) == 1:
        name = bare(name)
    return one_line(name)[:_TITLE]


def _heights(rows: tuple[Row, ...]) -> dict[str, float]:
    """Arm → its height, 0 at the bottom; a little space between tracks."""
    heights: dict[str, float] = {}
    at, track = 0.0, rows[-1].track if rows else ""
    for row in reversed(rows):
        at += 0.6 if row.track != track else 0.0
        heights[row.arm] = at
        at, track = at + 1.0, row.track
    return {row.arm: heights[row.arm] for row in rows}


def _limits(figures: list[Estimate], untuned: Iterable[float] = ()) -> tuple[float, float]:
    """The marks at 0 and 1 and half a gap beyond either in view; what lies further out is let out of the panel."""
    low = min([0.0, *(max(f.low, -0.5) for f in figures), *(at for at in untuned if at >= -0.5)])
    high = max([1.0, *(min(f.high, 1.5) for f in figures), *(at for at in untuned if at <= 1.5)])
    return low - 0.08, high + 0.08


def _panel(
    axes: Axes,
    figures: Mapping[str, Ratio],
    seeds: Mapping[str, tuple[float, ...]],
    rows: tuple[Row, ...],
    heights: Mapping[str, float],
    limits: tuple[float, float],
    foot: float,
    untuned: float | None,
) -> None:
    top = max(heights.values(), default=0.0) + 0.7
    axes.set_xlim(*limits)
    axes.set_ylim(-foot, top)
    for at, name in ((0.0, WEAK), (1.0, CEILING)):
        axes.axvline(at, color="#444444", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        axes.annotate(
            name, (at, top), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7.5, color="#444444"
        )
    if untuned is not None:
        _base(axes, untuned, limits, (-foot, top))
    shown = {arm: f for arm, f in figures.items() if isinstance(f, Estimate)}
    if figures and not shown:
        axes.text(
            0.5,
            top / 2,
            "gap unresolved",
            ha="center",
            va="center",
            color="#777777",
            fontsize=9,
            backgroundcolor="white",
        )
    for row in rows:
        axes.axhline(heights[row.arm], color="#F0F0F0", linewidth=0.8, zorder=0)  # leads the eye to the name
        pgr = shown.get(row.arm)
        if pgr is None:
            continue
        height, colour = heights[row.arm], TRACKS[row.track].colour
        if not limits[0] <= pgr.value <= limits[1]:
            far_out(axes, number(pgr.value), height, colour, limits, below=pgr.value < limits[0])
            continue
        low, high = max(pgr.low, limits[0]), min(pgr.high, limits[1])
        axes.plot([low, high], [height, height], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
        dots = [dot for dot in seeds[row.arm] if limits[0] <= dot <= limits[1]]
        axes.plot(
            dots,
            [height - 0.3] * len(dots),
            color=colour,
            marker=".",
            markersize=3.5,
            linestyle="",
            alpha=0.6,
            zorder=1.5,
        )
        for bound, end, marker in ((pgr.low, limits[0], "<"), (pgr.high, limits[1], ">")):
            if (bound < end) if marker == "<" else (bound > end):  # the interval goes on beyond the panel
                axes.plot([end], [height], color=colour, marker=marker, markersize=5, clip_on=False, zorder=2)
        axes.plot(
            [pgr.value],
            [height],
            color=colour,
            marker=TRACKS[row.track].marker,
            markersize=5.5,
            linestyle="",
            zorder=3,
        )
    axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=3, color="#999999")
    axes.grid(axis="x", color="#E6E6E6", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#999999")


def _at_the_head(untuned: float, limits: tuple[float, float]) -> bool:
    """Whether the untuned student's name has room beside the two above the panel; it stands at the panel's foot otherwise."""
    apart = min(abs(untuned), abs(untuned - 1)) > _NAMES_APART * (limits[1] - limits[0])
    return apart and limits[0] < untuned < limits[1]


def _base(axes: Axes, untuned: float, limits: tuple[float, float], ends: tuple[float, float]) -> None:
    """A dotted line where the untuned student lies; words at the panel's foot where it lies beyond the panel."""
    inside = limits[0] < untuned < limits[1]
    if inside:
        axes.axvline(untuned, color="#888888", linewidth=1.1, linestyle=_DOTS, zorder=1)
    below = untuned <= limits[0]
    axes.annotate(
        BASE if inside else off_axis(BASE, untuned),
        (untuned if inside else limits[0 if below else 1], ends[1 if _at_the_head(untuned, limits) else 0]),
        xytext=(0 if inside else 3 if below else -3, 3),
        textcoords="offset points",
        ha="center" if inside else "left" if below else "right",
        fontsize=7.5,
        color="#444444",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )


def far_out(
    axes: Axes, told: str, height: float, colour: str, limits: tuple[float, float], *, below: bool, filled: bool = True
) -> None:
    """What lies beyond the panel, `below` its lower limit or above the other: an arrow at its edge, and the number."""
    edge = limits[0 if below else 1]
    axes.plot(
        [edge],
        [height],
        color=colour,
        marker="<" if below else ">",
        markersize=5,
        markerfacecolor=colour if filled else "white",
        clip_on=False,
    )
    axes.annotate(
        told,
        (edge, height),
        xytext=(6 if below else -6, 0),
        textcoords="offset points",
        ha="left" if below else "right",
        va="center",
        fontsize=7.5,
        color=colour,
    )


def cut(name: str, inches: float) -> str:
    """A name that fits into the left margin."""
    name, room = one_line(name), int((inches - 0.3) / 0.068)
    return name if len(name) <= room else name[: room - 1] + "…"
