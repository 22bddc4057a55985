"""Charts of an arm's scores in one domain: risk by coverage, and how often labels of a score are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from w2s_bench.results.pages.scatter import Tick
from w2s_bench.results.pages.style import number
from w2s_bench.results.report.pool import Pool, over_coverages
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.types import JSON

#: The panel within a drawing of 300 by 200.
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 290.0, 10.0, 156.0


@dataclass(frozen=True)
class Chart:
    """`lines`: (class, points) of polylines; `dots`: (x, y). `words` tell a reader who sees none what is drawn."""

    title: str
    across: str
    up: str
    note: str
    words: str
    ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    lines: tuple[tuple[str, str], ...]
    dots: tuple[tuple[float, float], ...]
    left: float = _LEFT
    right: float = _RIGHT
    top: float = _TOP
    bottom: float = _BOTTOM


def charts(seeds: Sequence[SeedResult], pools: Mapping[int, Pool]) -> tuple[Chart, ...]:
    """Those that the seeds' cell, or the store of the run, has figures for."""
    told = [over_coverages(seed, pools.get(seed.seed)) for seed in seeds if seed.error is None]
    purities = [{float(at): float(share) for at, share in one.items()} for one, _ in told if one]
    bins = [one for _, one in told if one]
    return (*([_risk(purities)] if purities else []), *([_reliability(bins)] if bins else []))


def _risk(purities: Sequence[Mapping[float, float]]) -> Chart:
    """Risk: the share of wrong labels among the most trusted, at each coverage; a line a seed."""
    grid = sorted({at for one in purities for at in one})
    mean = {at: sum(1 - one[at] for one in purities if at in one) / sum(at in one for one in purities) for at in grid}
    everything = mean.get(1.0)
    top = max([*(1 - min(one.values()) for one in purities), everything or 0.0, 0.05])
    x, y = _across, _up(top)
    lines = [("line", _points([(x(at), y(1 - one[at])) for at in sorted(one)])) for one in purities]
    words = ", ".join(f"{number(mean[at])} at {at:g}" for at in grid)
    note = "The share of wrong labels among the most trusted, at each share that is kept; a line a seed."
    if everything is not None:
        # A perfect order keeps no wrong label before the right ones are used up.
        best = [(at, max(0.0, at - (1 - everything)) / at) for at in (step / 100 for step in range(1, 101))]
        lines.append(("perfect", _points([(x(at), y(risk)) for at, risk in best])))
        lines.append(("chance", _points([(x(0.0), y(everything)), (x(1.0), y(everything))])))
        note += " Dashed: an order that says nothing; dotted: a perfect one."
    return Chart(
        "Risk by coverage",
        "share of the pool that is kept",
        "risk",
        note,
        f"Risk by coverage, means over seeds: {words}",
        tuple(Tick(x(at), number(at, 1)) for at in (0.0, 0.5, 1.0)),
        tuple(Tick(y(level), number(level)) for level in (0.0, top / 2, top)),
        tuple(lines),
        (),
    )


def _reliability(bins: Sequence[Sequence[Mapping[str, JSON]]]) -> Chart:
    """How often labels of a score are right, bins of equally many rows; a line a seed, and the diagonal of calibrated scores."""
    x, y = _across, _up(1.0)
    told = [[(float(each["score"]), float(each["right"])) for each in one] for one in bins]
    lines = [("line", _points([(x(score), y(right)) for score, right in one])) for one in told]
    lines.append(("chance", _points([(x(0.0), y(0.0)), (x(1.0), y(1.0))])))
    words = "; ".join(", ".join(f"{number(right)} at {number(score)}" for score, right in one) for one in told)
    return Chart(
        "Reliability",
        "score, as a probability",
        "share right",
        "How often labels of a score are right, in bins of equally many rows; a line a seed. Dashed: calibrated scores.",
        f"Share of right labels by score, seed by seed: {words}",
        tuple(Tick(x(at), number(at, 1)) for at in (0.0, 0.5, 1.0)),
        tuple(Tick(y(at), number(at, 1)) for at in (0.0, 0.5, 1.0)),
        tuple(lines),
        tuple((x(score), y(right)) for one in told for score, right in one),
    )


def _across(value: float) -> float:
    return round(_LEFT + value * (_RIGHT - _LEFT), 1)


def _up(top: float) -> Callable[[float], float]:
    """Heights of values from 0 to `top`."""
    return lambda value: round(_BOTTOM - value / top * (_BOTTOM - _TOP), 1)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
