"""How many seeds and test items a suite needs to tell two trust functions apart."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_bench.controls import CEILING, NAIVE, WEAK
from w2s_bench.errors import CellError
from w2s_bench.names import short
from w2s_bench.results import noise
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.noise import Noise
from w2s_bench.results.statistics import Components
from w2s_bench.results.summaries import summary
from w2s_bench.suite import Suite

#: Where nothing is measured: the gap, and standard deviations of a paired difference of two arms, in accuracy, that suites of
#: small models have about: of a seed, of an item over all seeds, of an item in one seed.
ASSUMED_GAP, ASSUMED_SEED, ASSUMED_ITEM, ASSUMED_REST = 0.3, 0.015, 0.2, 0.45
_SEEDS, _FACTORS = (2, 3, 5, 10, 20), (0.5, 1.0, 2.0, 4.0)
_MOST_SEEDS, _LEAST_FACTOR, _MOST_FACTOR = 1000, 0.01, 1000.0


@dataclass(frozen=True)
class Measured:
    """What a results folder shows: its suite, and the noise of each domain that the board's means are over.

    `left_out`: domain → why a plan is not about it, in the board's words where its means leave it out too.
    """

    suite: Suite
    noise: tuple[Noise, ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """What a mean over the domains can tell apart, in PGR units, with one test at 5 %.

    `now`: of the suite as it is; None of one seed, which does not show how much seeds differ. `seeds`: so many are needed with the
    suite's test items, `factor`: so many times its test items with its seeds; None where no number is enough. `grid` has (seeds,
    factor of items, what can be told apart).
    """

    detect: float
    power: float
    measured: bool
    now: float | None
    seeds: int | None
    factor: float | None
    grid: tuple[tuple[int, float, float], ...]


def plan(suite: Suite, of_domains: Sequence[Noise], detect: float, power: float, *, measured: bool) -> Plan:
    """What the suite needs to tell arms `detect` PGR apart with chance `power`."""

    def told(seeds: int, factor: float) -> float:
        return noise.detectable(of_domains, seeds, power, items=factor)

    alone = suite.seeds == 1
    least = bisect_left(range(_MOST_SEEDS + 1), True, 2, key=lambda seeds: told(seeds, 1.0) <= detect)
    low, high = math.log(_LEAST_FACTOR), math.log(_MOST_FACTOR)
    enough = not alone and told(suite.seeds, _MOST_FACTOR) <= detect
    for _ in range(20 if enough else 0):  # more items never tell less apart
        middle = (low + high) / 2
        low, high = (low, middle) if told(suite.seeds, math.exp(middle)) <= detect else (middle, high)
    return Plan(
        detect=detect,
        power=power,
        measured=measured,
        now=None if alone else told(suite.seeds, 1.0),
        seeds=least if least <= _MOST_SEEDS else None,
        factor=math.exp(high) if enough else None,
        grid=tuple((s, f, told(s, f)) for s in sorted({*_SEEDS, suite.seeds} - {1}) for f in _FACTORS),
    )


def assumed(suite: Suite) -> list[Noise]:
    """Every domain alike, with a gap and noise as written above, each item its own cluster."""
    parts = [(sd / ASSUMED_GAP) ** 2 for sd in (ASSUMED_SEED, ASSUMED_ITEM, ASSUMED_REST)]
    return [Noise(short(d.name), Components(*parts), d.sizes.of(suite.evaluate_on)) for d in suite.domains]


def measured(results: Path) -> Measured:
    """The noise that the cells of a results folder show. Raises CellError where no domain has any."""
    suite, cells = read_results(results)
    by_domain: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        if cell.body.chain:  # a generation of a chain bears the arm's name and is another arm
            continue
        by_domain.setdefault(short(cell.body.domain.name), {})[short(cell.body.arm.name)] = cell
    domains = {name: Comparison(arms) for name, arms in by_domain.items()}
    left_out = {name: why for name, domain in domains.items() if (why := summary(name, domain, suite.seeds).left_out)}
    found = noise.measured({name: domain for name, domain in domains.items() if name not in left_out})
    heard = {one.domain for one in found}
    left_out |= {
        name: f"it lacks two seeds of {WEAK}, {CEILING}, {NAIVE} and another arm, which show noise"
        for name in domains
        if name not in left_out and name not in heard
    }
    if not found:
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise CellError(
            f"{results} has no domain to measure noise in ({told}); name the suite instead of its results, to plan from "
            "stated assumptions"
        )
    return Measured(suite, found, left_out)
