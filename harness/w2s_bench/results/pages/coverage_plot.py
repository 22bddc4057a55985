"""A curve of coverages as a plot: how pure what is kept is at each, and how accurate the student that trains on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import fsum
from typing import TYPE_CHECKING

from w2s_bench.controls import BASE, CEILING, NAIVE, WEAK, facts_of
from w2s_bench.results.board import Row
from w2s_bench.results.curves import Curve, Point
from w2s_bench.results.pages.curve_plot import arm_strokes, shown_arms
from w2s_bench.results.pages.lines import LABEL, draw_line, dress, levels, name_lines, track_swatches
from w2s_bench.results.pages.plots import WIDTH, as_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_coverage(curve: Curve) -> str:
    """The plot as SVG text."""
    return as_svg(lambda: compose(curve))


def compose(curve: Curve) -> Figure:
    """Two panels: purity of the kept labels, accuracy on the items that are evaluated; means over the domains that enter means."""
    from matplotlib.figure import Figure

    arms = shown_arms(curve)
    body = max(3.0, LABEL * (len(arms) + 4))
    top, bottom = 0.4, 0.95
    height = top + body + bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.055, right=0.99, top=1 - top / height, bottom=bottom / height, wspace=0.12)
    choosing = [arm for arm in arms if not facts_of(arm).all_right]  # of gold and of right labels alone it is 1
    everything = next((row.purity for row in curve.own.rows if row.arm == NAIVE), None)
    _panel(left, curve, choosing, _purity, {"all labels": everything}, body)
    left.set_title("purity of what is kept", fontsize=10, fontweight="bold")
    marks = {name: _reference(curve, name) for name in (WEAK, CEILING, BASE)}
    _panel(right, curve, arms, _accuracy, marks, body)
    right.set_title("accuracy of the student", fontsize=10, fontweight="bold")
    handles = track_swatches(curve.row_of(arm).track for arm in arms)
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8)
    where = " (dev: not a result)" if curve.own.suite.evaluate_on == "dev" else ""
    words = f"by share of the pool kept, means over domains{where}"
    figure.text(0.5, 0.33 / height, words, ha="center", fontsize=9)
    return figure


def _panel(
    axes: Axes,
    curve: Curve,
    arms: list[str],
    of: Callable[[Row, Point], float | None],
    marks: Mapping[str, float | None],
    inches: float,
) -> None:
    lines: dict[str, list[tuple[float, float]]] = {}
    for arm in arms:
        told = [(point.at, of(row, point)) for point in curve.points if (row := point.row(arm)) is not None]
        lines[arm] = [(at, value) for at, value in told if value is not None]
    heights = [value for line in lines.values() for _, value in line] + [m for m in marks.values() if m is not None]
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    pad = 0.04 * (high - low) or 0.02
    low, high = low - pad, min(high + pad, 1.005)
    first, last = curve.points[0].at, curve.points[-1].at
    spread = last - first
    axes.set_ylim(low, high)
    axes.set_xlim(first - 0.06 * spread, last + 0.62 * spread)
    end = last + 0.02 * spread
    levels(axes, {name: at for name, at in marks.items() if at is not None}, first - 0.05 * spread, end)
    lasts: dict[str, tuple[float, float]] = {}
    looks = arm_strokes(curve)
    for arm, line in lines.items():
        if line:
            draw_line(axes, looks[arm], [at for at, _ in line], [value for _, value in line])
            lasts[arm] = line[-1]
    name_lines(axes, lasts, looks, (low, high), inches, at=(end, last + 0.08 * spread))
    axes.set_xticks([point.at for point in curve.points], [point.words for point in curve.points])
    dress(axes)


def _purity(row: Row, point: Point) -> float | None:
    return _mean(row.entries[name].purity for name in _domains(row, point))


def _accuracy(row: Row, point: Point) -> float | None:
    accuracies = [row.entries[name].accuracy for name in _domains(row, point)]
    return _mean(None if accuracy is None else accuracy.value for accuracy in accuracies)


def _domains(row: Row, point: Point) -> list[str]:
    """Those that enter means; none where the row lacks one, so that no line goes from one set of domains to another."""
    names = point.board.mean_domains
    return [*names] if all(name in row.entries for name in names) else []


def _reference(curve: Curve, name: str) -> float | None:
    of_domains = [d.references.get(name) for d in curve.own.domains if d.name in curve.own.mean_domains]
    return _mean(None if e is None or e.accuracy is None else e.accuracy.value for e in of_domains)


def _mean(values: Iterable[float | None]) -> float | None:
    """None where there is none, or one of them is not known."""
    told = [*values]
    known = [value for value in told if value is not None]
    return fsum(known) / len(known) if known and len(known) == len(told) else None
