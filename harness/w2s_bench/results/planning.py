"""How many seeds and test items a suite needs to tell two trust functions apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_bench.controls import CEILING, NAIVE, WEAK
from w2s_bench.errors import CellError
from w2s_bench.names import short
from w2s_bench.results import noise
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.leaderboard import build
from w2s_bench.results.noise import Noise
from w2s_bench.results.statistics import Components
from w2s_bench.suite import Suite

#: Where nothing is measured: the gap, and standard deviations of a paired difference of two arms, in accuracy, that suites of
#: small models have about: of a seed, of an item over all seeds, of an item in one seed.
ASSUMED_GAP, ASSUMED_SEED, ASSUMED_ITEM, ASSUMED_REST = 0.3, 0.015, 0.2, 0.45
_SEEDS, _FACTORS = (2, 3, 5, 10, 20), (0.5, 1.0, 2.0, 4.0)
_MOST_SEEDS, _MOST_FACTOR = 1000, 1000.0


@dataclass(frozen=True)
class Plan:
    """What a mean over the domains can tell apart, in PGR units, with one test at 5 %.

    `now`: of the suite as it is. `seeds`: so many are needed with the suite's test items, `factor`: so many times its test items with
    its seeds; None where no number is enough. `grid` has (seeds, factor of items, what can be told apart).
    """

    detect: float
    power: float
    measured: bool
    now: float
    seeds: int | None
    factor: float | None
    grid: tuple[tuple[int, float, float], ...]


def plan(suite: Suite, of_domains: Sequence[Noise], detect: float, power: float, *, measured: bool) -> Plan:
    """What the suite needs to tell arms `detect` PGR apart with chance `power`."""

    def told(seeds: int, factor: float) -> float:
        return noise.detectable(of_domains, seeds, power, items=factor)

    seeds = next((s for s in range(2, _MOST_SEEDS + 1) if told(s, 1.0) <= detect), None)
    low, high = 0.0, _MOST_FACTOR
    for _ in range(60):  # more items never tell less apart
        middle = (low + high) / 2
        low, high = (low, middle) if told(suite.seeds, middle) <= detect else (middle, high)
    return Plan(
        detect=detect,
        power=power,
        measured=measured,
        now=told(suite.seeds, 1.0),
        seeds=seeds,
        factor=high if told(suite.seeds, high) <= detect else None,
        grid=tuple((s, f, told(s, f)) for s in sorted({*_SEEDS, suite.seeds}) for f in _FACTORS),
    )


def assumed(suite: Suite) -> list[Noise]:
    """Every domain alike, with a gap and noise as written above, each item its own cluster."""
    parts = [(sd / ASSUMED_GAP) ** 2 for sd in (ASSUMED_SEED, ASSUMED_ITEM, ASSUMED_REST)]
    return [Noise(short(d.name), Components(*parts), d.sizes.of(suite.evaluate_on)) for d in suite.domains]


def measured(results: Path) -> tuple[Suite, Sequence[Noise]]:
    """A results folder's suite, and the noise that its cells show in the domains that enter means."""
    suite, cells = read_results(results)
    entering: dict[str, dict[str, Cell]] = {name: {} for name in build(cells, results).mean_domains}
    for cell in cells:
        name = short(cell.body.domain.name)
        if name in entering and not cell.body.chain:  # a generation of a chain bears the arm's name and is another arm
            entering[name][short(cell.body.arm.name)] = cell
    if not (found := noise.measured({name: Comparison(arms) for name, arms in entering.items()})):
        raise CellError(
            f"{results} has no domain with two seeds or more of {WEAK}, {CEILING}, {NAIVE} and another arm, and a gap that enters "
            "means; name the suite instead of its results, to plan from stated assumptions"
        )
    return suite, found
