"""The figures of an analysis, as SVG: the same bytes for the same figures, readable on light pages and dark ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final, Literal

from w2s_bench.names import bare
from w2s_bench.results.mechanisms.attribution import SHARES
from w2s_bench.results.mechanisms.facts import (
    COVERAGES,
    Analysis,
    ArmGradients,
    ArmOrder,
    ArmSolutions,
    BySeed,
    Curriculum,
    DomainAnalysis,
    Fit,
)
from w2s_bench.results.pages.plots import COLUMNS, LINE, WIDTH, as_svg, cut, panel_title
from w2s_bench.results.pages.style import TRACKS
from w2s_bench.results.statistics import Estimate, Ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES: Final[tuple[Any, ...]] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1)))
#: Parts of a gain, in Okabe & Ito's colours, with marks that differ too.
_PARTS: Final = {
    "gain": ("#000000", "o"),
    "budget": ("#777777", "D"),
    "items": ("#0072B2", "s"),
    "purity": ("#D55E00", "^"),
}
_ORDERS: Final = {"the most trusted first": ("#0072B2", "o"), "the least trusted first": ("#D55E00", "s")}
_SHARES: Final[Mapping[str, tuple[Callable[[ArmSolutions], BySeed], str, str]]] = {
    "right": (lambda arm: arm.purity, "#000000", "o"),
    "faithful": (lambda arm: arm.faithful, "#0072B2", "s"),
    "faithful among wrong": (lambda arm: arm.among_wrong, "#D55E00", "^"),
}
#: Figures of gradients that are drawn; the table has all.
_DRAWN: Final[tuple[tuple[str, Callable[[ArmGradients], BySeed]], ...]] = (
    ("mean pairwise cosine", lambda arm: arm.cosine),
    ("cosine with gold, held out", lambda arm: arm.alignment),
    ("effective rank", lambda arm: arm.effective_rank),
)


def draw_curriculum(analysis: Analysis) -> str:
    """How hard the rows are that each trust function keeps, by coverage: a panel a domain."""
    panels = [(d, d.curriculum) for d in analysis.domains if d.curriculum is not None]
    return as_svg(lambda: _curriculum(panels))


def draw_attribution(analysis: Analysis) -> str:
    """What each arm's gain over naive is made of: a panel a domain, and their mean."""
    panels = {
        d.name: {a.arm: a.in_domains[d.name] for a in analysis.attribution if d.name in a.in_domains}
        for d in analysis.domains
    }
    panels = {name: arms for name, arms in panels.items() if arms}
    if len(panels) > 1:
        panels["mean"] = {a.arm: a.mean for a in analysis.attribution}
    return as_svg(lambda: _attribution(panels))


def draw_orders(analysis: Analysis) -> str:
    """What the order of rows is worth to each arm, the most and the least trusted first against shuffled: a panel a domain."""
    panels = {domain.name: domain.orders for domain in analysis.domains if domain.orders}
    return as_svg(lambda: _orders(panels))


def draw_gradients(analysis: Analysis) -> str:
    """Figures of gradients: a line of panels a domain and student, a panel a figure, a dot a seed."""
    panels = {}
    for domain in analysis.domains:
        for when, told in (("untuned", domain.gradients), ("warmed up", domain.warmed)):
            if told is not None and told.arms:
                panels[f"{bare(domain.name)} {when}"] = told.arms
    return as_svg(lambda: compose_gradients(panels))


def draw_fit(analysis: Analysis) -> str:
    """How far students give weak labels back, right ones and wrong ones, by their steps: a panel a domain, a dot a seed."""
    panels = {d.name: d.fit for d in analysis.domains if d.fit is not None}
    return as_svg(lambda: _fit(panels))


def draw_faithfulness(analysis: Analysis) -> str:
    """Of the solutions that each arm trains on, shares that are right and that are faithful: a panel a domain, a dot a seed."""
    panels = {domain.name: domain.solutions for domain in analysis.domains if domain.solutions}
    return as_svg(lambda: _faithfulness(panels))


def _faithfulness(panels: Mapping[str, Sequence[ArmSolutions]]) -> Figure:
    from matplotlib.lines import Line2D

    arms = list(dict.fromkeys(told.arm for of_domain in panels.values() for told in of_domain))
    figure, grid = _lines_of_arms(list(panels), arms, LINE * 1.8)
    for axes, of_domain in zip(grid, panels.values(), strict=False):
        axes.set_xlim(-0.02, 1.03)
        for told in of_domain:
            for part, (share, colour, marker) in enumerate(_SHARES.values()):
                shares, height = share(told), -arms.index(told.arm) + 0.25 - 0.25 * part
                axes.plot(shares.there, [height] * len(shares.there), color=colour, marker=".", ls="", markersize=4)
                if shares.mean is not None:
                    axes.plot(
                        [shares.mean], [height], color=colour, marker=marker, markersize=5, ls="", fillstyle="none"
                    )
    handles = [
        Line2D([], [], color=c, marker=m, markersize=5, ls="", fillstyle="none", label=words)
        for words, (_, c, m) in _SHARES.items()
    ]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8.5)
    said = "of the worked solutions that an arm trains on; dots: seeds"
    figure.text(0.5, 0.42 / figure.get_figheight(), said, ha="center", fontsize=9)
    return figure


def _fit(panels: Mapping[str, Fit]) -> Figure:
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    height = lines * 2.4 + 1.3
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    figure.subplots_adjust(left=0.065, right=0.985, top=1 - 0.4 / height, bottom=0.9 / height, wspace=0.1, hspace=0.5)
    for axes, (name, fit) in zip(grid.flat, panels.items(), strict=False):
        axes.set_title(panel_title(name, panels), fontsize=10, fontweight="bold", pad=8)
        for words, by_point, look in (("right labels", fit.right, "-"), ("wrong labels", fit.wrong, (0, (4, 2)))):
            colour = TRACKS["trust_set" if words.startswith("right") else "control"].colour
            there = [(steps, at.mean) for steps, at in zip(fit.steps, by_point, strict=True) if at.mean is not None]
            axes.plot(*zip(*there, strict=True), color=colour, linestyle=look, linewidth=1.5, label=words)
            for steps, at in zip(fit.steps, by_point, strict=True):
                axes.plot([steps] * len(at.there), at.there, color=colour, marker=".", ls="", markersize=4)
        axes.set_xscale("log", base=2)
        axes.set_xticks(fit.steps, [str(steps) for steps in fit.steps])
        axes.minorticks_off()
        axes.set_ylim(0, 1.02)
        _quiet(axes, "y")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    handles, words = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="lower center", ncols=2, frameon=False, fontsize=8)
    said = "share of weak labels that a student gives back, by the optimizer steps that it was trained on them"
    figure.text(0.5, 0.4 / height, said, ha="center", fontsize=9)
    return figure


def _curriculum(panels: Sequence[tuple[DomainAnalysis, Curriculum]]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    body, top, bottom, between = 2.4, 0.5, 1.0, 0.8
    height = top + lines * body + (lines - 1) * between + bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    figure.subplots_adjust(
        left=0.065, right=0.985, top=1 - top / height, bottom=bottom / height, wspace=0.1, hspace=between / body
    )
    scored = dict.fromkeys((arm.arm, arm.track) for _, told in panels for arm in told.arms if arm.by_coverage)
    dash = cycle(_DASHES)
    looks = {arm: (TRACKS[track].colour, next(dash)) for arm, track in scored}
    names = [domain.name for domain, _ in panels]
    for axes, (domain, told) in zip(grid.flat, panels, strict=False):
        axes.set_title(panel_title(domain.name, names), fontsize=10, fontweight="bold", pad=8)
        axes.axhline(0.5, color="#444444", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        for arm in told.arms:
            if arm.by_coverage:
                colour, style = looks[arm.arm]
                axes.plot(COVERAGES, arm.by_coverage, color=colour, linestyle=style, linewidth=1.5, zorder=2)
        axes.set_xlim(0.05, 1.02)
        axes.set_ylim(0, 1)
        axes.set_xticks([0.1, 0.5, 1.0], ["0.1", "0.5", "1"])
        _quiet(axes, "y")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    handles = [
        Line2D([], [], color=colour, linestyle=style, label=cut(arm, 2.2)) for arm, (colour, style) in looks.items()
    ]
    figure.legend(handles=handles, loc="lower center", ncols=min(4, max(1, len(handles))), frameon=False, fontsize=8)
    words = "place of the most trusted rows in the pool's order of difficulty (0 easiest, 1 hardest), by coverage"
    figure.text(0.5, 0.5 / height, words, ha="center", fontsize=9)
    return figure


def _attribution(panels: Mapping[str, Mapping[str, Mapping[str, Ratio]]]) -> Figure:
    from matplotlib.lines import Line2D

    arms = list(dict.fromkeys(arm for of_arms in panels.values() for arm in of_arms))
    figure, grid = _lines_of_arms(list(panels), arms, LINE * 3)
    for axes, of_arms in zip(grid, panels.values(), strict=False):
        axes.axvline(0, color="#444444", linewidth=0.9, zorder=1)
        for row, arm in enumerate(arms):
            for part, (name, (colour, marker)) in enumerate(_PARTS.items()):
                told = of_arms.get(arm, {}).get(name)
                if isinstance(told, Estimate):
                    height = -row + 0.27 - 0.18 * part
                    axes.plot([told.low, told.high], [height, height], color=colour, linewidth=1.3, zorder=2)
                    axes.plot([told.value], [height], color=colour, marker=marker, markersize=4.5, zorder=3)
    words = {share.name: share.name for share in SHARES}
    handles = [Line2D([], [], color=c, marker=m, markersize=5, label=words[name]) for name, (c, m) in _PARTS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8.5)
    said = "parts of the gain over naive, PGR units, with 95 % intervals: budget + items + purity = gain"
    figure.text(0.5, 0.42 / figure.get_figheight(), said, ha="center", fontsize=9)
    return figure


def _orders(panels: Mapping[str, Sequence[ArmOrder]]) -> Figure:
    from matplotlib.lines import Line2D

    arms = list(dict.fromkeys(told.arm for of_domain in panels.values() for told in of_domain))
    figure, grid = _lines_of_arms(list(panels), arms, LINE * 1.6)
    for axes, of_domain in zip(grid, panels.values(), strict=False):
        axes.axvline(0, color="#444444", linewidth=0.9, zorder=1)
        for told in of_domain:
            for part, (ratio, (colour, marker)) in enumerate(
                zip((told.first_against_shuffled, told.last_against_shuffled), _ORDERS.values(), strict=True)
            ):
                if isinstance(ratio, Estimate):
                    height = -arms.index(told.arm) + 0.13 - 0.26 * part
                    axes.plot([ratio.low, ratio.high], [height, height], color=colour, linewidth=1.3, zorder=2)
                    axes.plot([ratio.value], [height], color=colour, marker=marker, markersize=4.5, zorder=3)
    handles = [Line2D([], [], color=c, marker=m, markersize=5, label=words) for words, (c, m) in _ORDERS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8.5)
    said = "what the order of the kept rows is worth against shuffled ones, PGR units, with 95 % intervals"
    figure.text(0.5, 0.42 / figure.get_figheight(), said, ha="center", fontsize=9)
    return figure


def compose_gradients(panels: Mapping[str, Sequence[ArmGradients]]) -> Figure:
    """The figure of `draw_gradients`: domain and student → its arms."""
    arms = list(dict.fromkeys((arm.arm, arm.track) for of_arms in panels.values() for arm in of_arms))
    names = [f"{domain}\n{words}" for domain in panels for words, _ in _DRAWN]
    figure, grid = _lines_of_arms(names, [arm for arm, _ in arms], LINE, columns=len(_DRAWN), plain=True)
    at = {arm: -row for row, (arm, _) in enumerate(arms)}
    for panel, axes in enumerate(grid[: len(names)]):
        of_arms = list(panels.values())[panel // len(_DRAWN)]
        for arm in of_arms:
            told, look = _DRAWN[panel % len(_DRAWN)][1](arm), TRACKS[arm.track]
            axes.plot(
                told.there, [at[arm.arm] - 0.22] * len(told.there), color=look.colour, marker=".", ls="", markersize=4
            )
            if told.mean is not None:
                fill = "none" if arm.labels == "gold" else "full"
                axes.plot(
                    [told.mean],
                    [at[arm.arm]],
                    color=look.colour,
                    marker=look.marker,
                    markersize=5,
                    ls="",
                    fillstyle=fill,
                )
    said = "gradients at the student, equally many rows an arm; open marks: gold labels; dots: seeds"
    figure.text(0.5, 0.16 / figure.get_figheight(), said, ha="center", fontsize=9)
    return figure


def _lines_of_arms(
    names: Sequence[str], arms: Sequence[str], line: float, *, columns: int = COLUMNS, plain: bool = False
) -> tuple[Figure, list[Axes]]:
    """A panel a name, the arms from the top at heights 0, −1, …; their names stand left of the first of each line."""
    from matplotlib.figure import Figure

    columns = min(columns, len(names))
    lines = -(-len(names) // columns)
    body = line * (len(arms) + 0.6)
    top, bottom, between = 0.45, 0.75, 0.7
    if plain:  # titles are of two lines, in panels too narrow for one
        top, between = top + 0.15, between + 0.15
    height = top + lines * body + (lines - 1) * between + bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    left = min(0.35 + 0.068 * max((len(arm) for arm in arms), default=0), 0.4 * WIDTH)
    grid = figure.subplots(lines, columns, squeeze=False)
    figure.subplots_adjust(
        left=left / WIDTH, right=0.985, top=1 - top / height, bottom=bottom / height, wspace=0.1, hspace=between / body
    )
    flat = list(grid.flat)
    for panel, axes in enumerate(flat):
        axes.set_visible(panel < len(names))
        if panel >= len(names):
            continue
        title = names[panel] if plain else panel_title(names[panel], names)
        axes.set_title(title, fontsize=8.5 if plain else 10, fontweight="bold", pad=6)
        axes.set_ylim(-len(arms) + 0.4, 0.6)
        labels = [cut(arm, left) for arm in arms] if panel % columns == 0 else []
        axes.set_yticks([-row for row in range(len(arms))] if labels else [], labels)
        _quiet(axes, "x")
        for row in range(len(arms)):
            axes.axhline(-row, color="#F0F0F0", linewidth=0.8, zorder=0)
    return figure, flat


def _quiet(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.tick_params(axis="both", length=0, labelsize=8)
    axes.grid(axis=grid, color="#E6E6E6", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#999999")
