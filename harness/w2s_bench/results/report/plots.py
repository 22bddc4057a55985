"""Where the marks of each plot lie. The templates draw them as SVG; colours and shapes are those of the track."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from w2s_bench.controls import CEILING, WEAK
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.pages.scatter import Frame, Tick, framed, kinds, named, scale, spots, tip
from w2s_bench.results.pages.style import figure, number
from w2s_bench.results.report.arms import Arm
from w2s_bench.results.statistics import Estimate, Ratio
from w2s_bench.text import one_line

WIDTH = 380.0  # of every plot, in units of about a pixel
_LINE = 21.0  # from arm to arm
_CHARACTER = 6.6  # the width of most
_EDGE = 14.0  # right of the last mark


@dataclass(frozen=True)
class Mark:
    """One arm in one panel: `x` is None where it has no figure, and `words` stand there. `beyond`: −1, 0 or 1."""

    arm: Arm
    y: float
    label: str
    x: float | None
    low: float
    high: float
    dots: tuple[float, ...]
    beyond: int
    words: str
    tip: str


@dataclass(frozen=True)
class Panel:
    title: str
    left: float
    right: float
    height: float
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    low_end: str = WEAK
    high_end: str = CEILING

    @property
    def width(self) -> float:
        return WIDTH


@dataclass(frozen=True)
class Point:
    arm: Arm
    domain: str
    x: float
    y: float
    tip: str


@dataclass(frozen=True)
class Scatter:
    """A plot of one figure of cells against their PGR."""

    title: str
    across: str
    note: str
    frame: Frame
    points: tuple[Point, ...]

    @property
    def width(self) -> float:
        return WIDTH


def forest(board: Leaderboard, arms: Sequence[Arm]) -> tuple[Panel, ...]:
    """The mean over domains, where there are several, and a panel a domain; ranked arms and controls in the board's order."""
    rows = [arm for arm in arms if arm.group != "reference" and not arm.beside]
    means = len(board.mean_domains)
    figures: list[tuple[str, list[tuple[Arm, Ratio | None, tuple[float, ...]]]]] = []
    if means > 1:
        title = (
            f"mean of {means} domains"
            if means == len(board.domains)
            else f"mean of {means} of {len(board.domains)} domains"
        )
        figures.append((title, [(arm, arm.row.mean_pgr, arm.row.pgr_by_seed) for arm in rows]))
    for domain in board.domains:
        entries = [(arm, arm.row.entries.get(domain.name)) for arm in rows]
        figures.append((domain.name, [(arm, e.pgr, e.pgr_by_seed) if e else (arm, None, ()) for arm, e in entries]))
    estimates = [r for _, panel in figures for _, r, _ in panel if isinstance(r, Estimate)]
    limits = (
        min([0.0, *(max(r.low, -0.5) for r in estimates)]) - 0.06,
        max([1.0, *(min(r.high, 1.5) for r in estimates)]) + 0.06,
    )
    return tuple(_panel(title, panel, limits) for title, panel in figures)


def _panel(
    title: str, figures: Sequence[tuple[Arm, Ratio | None, tuple[float, ...]]], limits: tuple[float, float]
) -> Panel:
    longest = max((len(arm.name) for arm, _, _ in figures), default=0)
    left = min(30 + _CHARACTER * longest, 0.43 * WIDTH)
    across = scale(limits, left, WIDTH - _EDGE)
    marks, y, group = [], 30.0, figures[0][0].group if figures else ""
    for arm, ratio, dots in figures:
        y += 10 if arm.group != group else 0
        group = arm.group
        marks.append(_mark(arm, ratio, dots, y, round((left - 30) / _CHARACTER), across, limits, title))
        y += _LINE
    step = 0.5 if limits[1] - limits[0] < 3 else 1.0
    at = [step * i for i in range(math.ceil(limits[0] / step), math.floor(limits[1] / step) + 1)]
    ticks = tuple(Tick(across(v), number(v, 1) if v % 1 else number(v, 0)) for v in at)
    return Panel(title, left, WIDTH - _EDGE, y + 12, ticks, tuple(marks))


def _mark(
    arm: Arm,
    ratio: Ratio | None,
    dots: tuple[float, ...],
    y: float,
    room: int,
    across: Callable[[float], float],
    limits: tuple[float, float],
    title: str,
) -> Mark:
    name = one_line(arm.name)
    label = name if len(name) <= room else name[: room - 1] + "…"
    told = figure(ratio) if ratio is not None else "no cell"
    tip = f"{name}, {arm.badge}; {title}: PGR {told}"
    if not isinstance(ratio, Estimate):
        return Mark(arm, y, label, None, 0, 0, (), 0, told if told != "–" else "no figure", tip)
    if dots:
        tip += f"; seeds {', '.join(number(dot) for dot in dots)}"
    inside = [min(max(v, limits[0]), limits[1]) for v in (ratio.value, ratio.low, ratio.high)]
    beyond = (ratio.value > limits[1]) - (ratio.value < limits[0])
    x, low, high = (across(v) for v in inside)
    seen = tuple(across(dot) for dot in dots if limits[0] <= dot <= limits[1])
    return Mark(arm, y, label, x, low, high, seen, beyond, number(ratio.value) if beyond else "", tip)


def scatters(board: Leaderboard, arms: Sequence[Arm]) -> tuple[Scatter, ...]:
    """Purity, AUROC and cost of each cell against its PGR; a plot that no cell has a figure for is left out."""
    rows = {arm.name: arm for arm in arms if arm.group != "reference"}
    plots = []
    for against in kinds(board):
        here = [spot for d in board.domains for spot in spots((arm.row for arm in rows.values()), d.name, against)]
        if here:
            frame = framed(here, against, (44.0, WIDTH - _EDGE, 14.0, 262.0), line=False)
            points = tuple(
                Point(
                    arm := rows[spot.row.arm],
                    spot.domain,
                    x,
                    y,
                    f"{named(spot)}, {arm.badge}; {spot.domain}: {tip(spot, against)}",
                )
                for spot, (x, y) in zip(here, frame.places, strict=True)
            )
            plots.append(Scatter(against.title, against.across, against.note, frame, points))
    return tuple(plots)
