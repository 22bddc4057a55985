"""A figure of cells against their PGR: which figures there are, the points of each, how far their order is that of PGRs, and
where marks lie. Pages in markdown and the report draw from here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from w2s_bench.controls import NAIVE
from w2s_bench.results.board import Entry, Leaderboard, Row
from w2s_bench.results.pages.style import figure, number, written_seconds
from w2s_bench.results.statistics import Estimate, spearman
from w2s_bench.text import one_line

#: PGRs further out than this stand at the edge.
LOWEST, HIGHEST = -0.6, 1.6
#: Fewer trust functions have no rank correlation worth a figure.
LEAST: Final = 4


@dataclass(frozen=True)
class Against:
    """A figure that PGRs are drawn against. `name` is its key, `across` the words at its axis, `note` a sentence on how to read
    it. `level` is what stands for no choice at all: a value, or None for that of `naive`. Of `logarithmic` ones (seconds) less is
    better."""

    name: str
    title: str
    across: str
    note: str
    of: Callable[[Entry], float | None]
    level: float | None = None
    level_words: str = NAIVE
    logarithmic: bool = False

    def written(self, value: float) -> str:
        return written_seconds(value) if self.logarithmic else number(value, 3)


_PURITY: Final = Against(
    "purity",
    "PGR against purity",
    "purity of the kept labels",
    "Purity: the share of kept labels that are right. Arms that keep few or uniform labels may be pure and teach little.",
    lambda entry: entry.purity,
)
_AUROC: Final = Against(
    "auroc",
    "PGR against AUROC",
    "AUROC of the trust scores",
    "AUROC: how well scores tell right labels from wrong ones, at all cuts; that need not say how well a student learns from "
    "what one cut keeps.",
    lambda entry: entry.diagnostics.get("auroc"),
    0.5,
    "chance",
)
_COST: Final = Against(
    "cost",
    "PGR against cost",
    "processor seconds, logarithmic",
    "Processor seconds of all stages of a cell when they ran, those that other arms share included, from its provenance.",
    lambda entry: entry.cpu_seconds or None,
    logarithmic=True,
)
_COST_BY_THE_CLOCK: Final = Against(
    "cost",
    "PGR against cost",
    "seconds, logarithmic",
    "Seconds by the clock of all stages of a cell when they ran, those that other arms share included, from its provenance; a busy "
    "machine counts as cost.",
    lambda entry: entry.seconds or None,
    logarithmic=True,
)


@dataclass(frozen=True)
class Spot:
    """An arm with a value of the figure and a PGR, in one domain or (`domain` empty) over those that enter means."""

    row: Row
    domain: str
    value: float
    pgr: Estimate


def kinds(board: Leaderboard) -> tuple[Against, ...]:
    """The figures that are drawn. Cost is in seconds of processors where all cells that have any say these."""
    entries = [entry for row in board.rows for entry in row.entries.values() if entry.seconds is not None]
    by_processors = all(entry.cpu_seconds is not None for entry in entries)
    return _PURITY, _AUROC, _COST if by_processors else _COST_BY_THE_CLOCK


def spots(rows: Iterable[Row], domain: str, against: Against) -> list[Spot]:
    """Rows with that figure in a domain, and a PGR."""
    return [
        Spot(row, domain, value, entry.pgr)
        for row in rows
        if (entry := row.entries.get(domain)) and (value := against.of(entry)) is not None
        if isinstance(entry.pgr, Estimate)
    ]


def panels(board: Leaderboard, against: Against) -> Mapping[str, Sequence[Spot]]:
    """Title → its spots: a panel a domain (where there are many: none), and one of means over those that enter means. A panel
    has two arms at least, not all of one value."""
    made = {} if board.wide else {d.name: spots(board.rows, d.name, against) for d in board.domains}
    if len(board.mean_domains) > 1:
        made[f"mean of {len(board.mean_domains)} domains"] = _means(board, against)
    return MappingProxyType({title: here for title, here in made.items() if len({spot.value for spot in here}) > 1})


def _means(board: Leaderboard, against: Against) -> list[Spot]:
    """Of the rows that have the figure in all of these domains; the mean of seconds is geometric, as their axis is."""
    out = []
    for row in board.rows:
        entries = [row.entries[name] for name in board.mean_domains if name in row.entries]
        values = [value for entry in entries if (value := against.of(entry)) is not None]
        if len(values) == len(board.mean_domains) and isinstance(row.mean_pgr, Estimate):
            logs = [math.log(value) if against.logarithmic else value for value in values]
            mean = math.fsum(logs) / len(logs)
            out.append(Spot(row, "", math.exp(mean) if against.logarithmic else mean, row.mean_pgr))
    return out


def level_of(against: Against, here: Iterable[Spot]) -> float | None:
    """Where its vertical line stands."""
    if against.level is not None:
        return against.level
    return next((spot.value for spot in here if spot.row.arm == NAIVE), None)


def correlation(here: Iterable[Spot]) -> tuple[float, int] | None:
    """Spearman's ρ between figure and PGR over trust functions, and of how many; None of fewer than LEAST, or of equal values."""
    told = [(spot.value, spot.pgr.value) for spot in here if not spot.row.is_control]
    if len(told) < LEAST:
        return None
    values, pgrs = (np.array(side) for side in zip(*told, strict=True))
    rho = spearman(values, pgrs)
    return None if rho is None else (rho, len(told))


def frontier(here: Iterable[Spot]) -> list[Spot]:
    """The trust functions that none of a lower value outdoes, from the lowest value on."""
    best: list[Spot] = []
    for spot in sorted(here, key=lambda spot: (spot.value, -spot.pgr.value, spot.row.arm)):
        if not spot.row.is_control and (not best or spot.pgr.value > best[-1].pgr.value):
            best.append(spot)
    return best


def tip(spot: Spot, against: Against) -> str:
    """A spot in words, without what it is called."""
    return f"{against.across.partition(',')[0]} {against.written(spot.value)}, PGR {figure(spot.pgr)}"


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Frame:
    """A drawing's edges, its ticks (of the figure) and levels (of PGR), and where each spot lies in it; `line` is where the
    figure's level stands."""

    left: float
    right: float
    top: float
    bottom: float
    ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    places: tuple[tuple[float, float], ...]
    line: float | None
    height: Callable[[float], float]


def framed(
    here: Sequence[Spot], against: Against, edges: tuple[float, float, float, float], *, line: bool = True
) -> Frame:
    """Where spots lie within `edges` (left, right, top, bottom), the `line` of their level in view where there is one."""
    left, right, top, bottom = edges
    scaled: Callable[[float], float] = math.log10 if against.logarithmic else float
    level = level_of(against, here) if line else None
    xs = [scaled(spot.value) for spot in here]
    ys = [min(max(spot.pgr.value, LOWEST), HIGHEST) for spot in here]
    x_limits = _padded([*xs, *([scaled(level)] if level is not None else [])], 0.04)
    y_limits = (min([0.0, *ys]) - 0.06, max([1.0, *ys]) + 0.06)
    across, up = scale(x_limits, left, right), scale(y_limits, bottom, top)
    values = (
        _decades(x_limits) if against.logarithmic else [(v, number(v, _digits(x_limits))) for v in _steps(x_limits)]
    )
    halves = [v / 2 for v in range(math.ceil(2 * y_limits[0]), math.floor(2 * y_limits[1]) + 1)]
    return Frame(
        *edges,
        tuple(Tick(across(value), text) for value, text in values),
        tuple(Tick(up(v), number(v, 1) if v % 1 else number(v, 0)) for v in halves),
        tuple((across(x), up(y)) for x, y in zip(xs, ys, strict=True)),
        None if level is None else across(scaled(level)),
        lambda value: up(min(max(value, y_limits[0]), y_limits[1])),
    )


def scale(limits: tuple[float, float], start: float, end: float) -> Callable[[float], float]:
    spread = (limits[1] - limits[0]) or 1.0
    return lambda value: round(start + (value - limits[0]) / spread * (end - start), 1)


def named(spot: Spot) -> str:
    return one_line(spot.row.arm)


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = (high - low) * share or 0.05
    return low - pad, high + pad


def _steps(limits: tuple[float, float]) -> list[float]:
    """Round values within the limits, four to seven of them or so."""
    step = _step(limits)
    return [round(step * i, 9) for i in range(math.ceil(limits[0] / step), math.floor(limits[1] / step) + 1)]


def _step(limits: tuple[float, float]) -> float:
    spread = limits[1] - limits[0]
    size = 10.0 ** math.floor(math.log10(spread))
    return next(s * size for s in (0.2, 0.25, 0.5, 1.0, 2.0) if spread / (s * size) <= 6)


def _digits(limits: tuple[float, float]) -> int:
    """As many as tell neighbouring steps apart."""
    return next((d for d in range(2, 9) if abs(round(_step(limits), d) - _step(limits)) < 1e-12), 9)


def _decades(limits: tuple[float, float]) -> list[tuple[float, str]]:
    """Powers of ten within the limits, and multiples of them where these are few."""
    exponents = range(math.floor(limits[0]), math.ceil(limits[1]) + 1)
    for multiples in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), range(10, 100)):
        values = sorted({m * 10.0**e for e in exponents for m in multiples})
        inside = [value for value in values if limits[0] <= math.log10(value) <= limits[1]]
        if len(inside) > 2:
            break
    kept = inside[:: -(-len(inside) // 7) or 1]
    return [(math.log10(value), f"{value:.6g}") for value in kept]
