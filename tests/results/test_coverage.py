"""Do intervals cover and tests err as often as they say: with clusters, small gaps, seeds that are a lottery, two to ten seeds.

`pytest -m slow -s tests/results/test_coverage.py` prints the tables of docs/statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from w2s_bench.results import statistics
from w2s_bench.results.statistics import Estimate
from w2s_bench.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class World:
    """What correctness is drawn from: a latent of variance 1 for every (seed, item), right where it is above a threshold.

    `seed`: variance of a seed, which teacher and students share, and of a seed anew for each arm. `cluster`: of a cluster anew for
    each arm. `lottery`: how far an arm's accuracy is above or below its mean, by the toss of a coin for each seed.
    """

    name: str
    seed: float = 0.0
    cluster: float = 0.0
    cluster_size: int = 1
    lottery: float = 0.0
    items: int = 600
    weak: float = 0.56
    ceiling: float = 0.86
    student: float = 0.72

    @property
    def clusters(self) -> IntArray:
        return np.arange(self.items) // self.cluster_size

    @property
    def pgr(self) -> float:
        return (self.student - self.weak) / (self.ceiling - self.weak)

    def draw(self, rng: Generator, seeds: int, students: int = 2) -> dict[str, BoolArray]:
        """Correctness (seeds, items) of weak, ceiling and students, numbered from 0, that are equal in truth."""
        from scipy.special import ndtri

        groups = self.clusters

        def noise(variance: float, *shape: int) -> FloatArray:
            return np.sqrt(variance) * rng.standard_normal(shape)

        shared = noise(0.3, 1, self.items) + noise(self.seed, seeds, 1)
        own = 1 - 0.3 - 0.08 - 2 * self.seed - self.cluster
        tables = {}
        levels = {"weak": self.weak} | {str(n): self.student for n in range(students)} | {"ceiling": self.ceiling}
        for arm, level in levels.items():
            coin = rng.choice([-1.0, 1.0], (seeds, 1)) * (self.lottery if arm.isdigit() else 0.0)
            latent = shared + noise(0.08, 1, self.items) + noise(self.seed, seeds, 1) + noise(own, seeds, self.items)
            latent += noise(self.cluster, 1, groups[-1] + 1)[:, groups]
            tables[arm] = latent > -ndtri(level + coin)
        return tables


@dataclass(frozen=True)
class Found:
    """Shares of the draws: intervals that hold the truth, tests that err, gaps unresolved; medians: half width, design effect."""

    pgr: float
    difference: float
    mean: float
    errs: float
    errs_at_001: float
    unresolved: float
    half_width: float
    design_effect: float


def simulate(world: World, seeds: int, runs: int) -> Found:
    """Three domains a run, each a draw of the world; errors of the test of two equal arms."""
    rng = default_rng([seeds, *world.name.encode()])
    held, held_mean, held_difference, p_values, widths, effects = [], [], [], [], [], []
    for _ in range(runs):
        ratios = {}
        for domain in "abc":
            tables = world.draw(rng, seeds)
            weak, ceiling, groups = tables["weak"], tables["ceiling"], world.clusters
            ratios[domain] = statistics.pgr(tables["0"], weak, ceiling, clusters=groups)
            difference = statistics.accuracy_difference(tables["0"], tables["1"], clusters=groups)
            held_difference.append(difference.low <= 0 <= difference.high)
            p_values.append(difference.p)
        whole = statistics.accuracy_difference(tables["0"], weak, clusters=groups).variance
        apart = statistics.accuracy_difference(tables["0"], weak).variance
        assert whole is not None and apart is not None
        effects.append(whole.alone / apart.alone)
        found = [ratio for ratio in ratios.values() if isinstance(ratio, Estimate)]
        held += [ratio.low <= world.pgr <= ratio.high for ratio in found]
        widths += [(ratio.high - ratio.low) / 2 for ratio in found]
        if isinstance(mean := statistics.mean_over_domains(ratios), Estimate):
            held_mean.append(mean.low <= world.pgr <= mean.high)
    p = np.array(p_values)
    return Found(
        pgr=float(np.mean(held)) if held else float("nan"),
        difference=float(np.mean(held_difference)),
        mean=float(np.mean(held_mean)) if held_mean else float("nan"),
        errs=float(np.mean(p < 0.05)),
        errs_at_001=float(np.mean(p < 0.001)),
        unresolved=1 - len(held) / (3 * runs),
        half_width=float(np.median(widths)) if widths else float("nan"),
        design_effect=float(np.median(effects)),
    )


#: A seed's variance of .0015 is 2 points of a student's accuracy, .01 is 5.
WORLDS = (
    World("seeds alike"),
    World("seeds differ by 2 points", seed=0.0015),
    World("seeds differ by 5 points", seed=0.01),
    World("a lottery: 6 points up or down", seed=0.0005, lottery=0.06),
    World("a small gap, .06", seed=0.0005, weak=0.70, student=0.73, ceiling=0.76),
    World("clusters of 5", seed=0.0015, cluster=0.06, cluster_size=5),
    World("clusters of 10, seeds alike", cluster=0.08, cluster_size=10),
    World("clusters of 10", seed=0.0015, cluster=0.08, cluster_size=10),
)


def simulation_error(draws: int, share: float = 0.05) -> float:
    """How far the share found in so many draws may lie from the true one by chance: two standard errors."""
    return 2 * float(np.sqrt(share * (1 - share) / draws))


def line(world: World, seeds: int, found: Found) -> str:
    figures = (found.pgr, found.mean, found.difference)
    shown = " | ".join(f"{figure:.3f}"[1:] if figure < 1 else f"{figure:.2f}" for figure in figures)
    return (
        f"| {world.name} | {found.design_effect:.1f} | {seeds} | {shown} | {100 * found.errs:.1f} % | "
        f"{100 * found.errs_at_001:.2f} % | {found.half_width:.2f} | {100 * found.unresolved:.0f} % |"
    )


def test_intervals_cover_in_a_short_simulation() -> None:
    for world in (WORLDS[1], WORLDS[-1]):
        found = simulate(world, 5, 100)  # 300 intervals: a standard error of .013
        assert 0.92 <= found.pgr <= 0.995
        assert 0.92 <= found.difference <= 0.995
        assert found.mean >= 0.9


def test_clusters_that_nobody_knows_of_make_intervals_too_narrow() -> None:
    """What the clusters are for: without them, more seeds make it worse."""
    world = WORLDS[-2]
    rng, held = default_rng(1), []
    for _ in range(100):
        tables = world.draw(rng, 10)
        ratio = statistics.pgr(tables["0"], tables["weak"], tables["ceiling"])
        assert isinstance(ratio, Estimate)
        held.append(ratio.low <= world.pgr <= ratio.high)
    assert np.mean(held) < 0.85


def holds(world: World, seeds: int, runs: int, found: Found) -> bool:
    """Whether one world keeps the promise but for chance: two standard errors of 3 · runs intervals (a mean's: of runs).

    A coverage of PGRs and differences below 93 % at five seeds and more is a fault though chance may make it of 95 %.
    """
    error, error_of_mean = simulation_error(3 * runs), simulation_error(runs)
    low, high = (0.93, 0.97 + error) if seeds >= 5 else (0.95 - error, 1.0)
    # Too few draws are resolved to say; or all seeds fall to one side, once in four draws of three: none can know.
    untold = found.unresolved > 0.5 or (seeds < 5 and world.lottery > 0)
    ratios_hold = low <= found.pgr <= high and 0.95 - error_of_mean <= found.mean <= max(high, 0.97 + error_of_mean)
    # A lottery whose two or three seeds agree by luck looks sure: that is what .0042 of its draws are.
    rare = 0.005 if untold else 0.001 + simulation_error(3 * runs, 0.001)
    tests_hold = found.errs <= 0.05 + error and found.errs_at_001 <= rare
    return (ratios_hold or untold) and low <= found.difference <= high and tests_hold


@pytest.mark.slow
def test_intervals_cover_in_a_long_simulation() -> None:
    """95 ± 2 % at five seeds and more, no less than 95 % at two and three; tests err in at most 5 %.

    Over all worlds together exactly that, nothing added for chance: 9600 intervals (4800 with ten seeds). At two and three seeds
    PGRs alone are left out there, for the lottery's sake.
    """
    print(
        "\n| world | design effect | seeds | PGR | mean of 3 domains | difference | p < .05 | p < .001 | half width | unresolved |"
    )
    print("| :-- | :-: | :-: | :-: | :-: | :-: | :-: | :-: | :-: | :-: |")
    faults = []
    by_seeds: dict[int, list[Found]] = {2: [], 3: [], 5: [], 10: []}
    for world, seeds in product(WORLDS, by_seeds):
        runs = 400 if seeds < 10 else 200
        found = simulate(world, seeds, runs)
        by_seeds[seeds].append(found)
        print(told := line(world, seeds, found), flush=True)
        faults += [] if holds(world, seeds, runs, found) else [told]
    for seeds, of_worlds in by_seeds.items():
        names = ("pgr", "mean", "difference", "errs")
        pgr, mean, difference, errs = (np.mean([getattr(found, name) for found in of_worlds]) for name in names)
        shown = f"PGR {pgr:.3f}, mean {mean:.3f}, difference {difference:.3f}, p < .05 {100 * errs:.1f} %"
        print(told := f"all worlds, {seeds} seeds: {shown}")
        covers = (
            all(0.93 <= share <= 0.97 for share in (pgr, mean, difference))
            if seeds >= 5
            else min(mean, difference) >= 0.95
        )
        faults += [] if covers and errs <= 0.05 else [told]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
def test_boards_of_equal_arms_seldom_show_a_difference() -> None:
    """Four trust functions against three controls over three domains, all equal in truth: what a table shows by chance."""
    print("\n| world | seeds | tests of means, p < .05 | p < .001 | tables with any p < .05 | the same, corrected |")
    print("| :-- | :-: | :-: | :-: | :-: | :-: |")
    runs, lines = 250, []
    for world in (WORLDS[1], WORLDS[2], WORLDS[-1]):
        for seeds in (3, 5):
            rng = default_rng([seeds, *world.name.encode()])
            tables = []
            for _ in range(runs):
                domains = [world.draw(rng, seeds, 7) for _ in range(3)]
                p_values = []
                for pair in product("0123", "456"):
                    ratios = {
                        str(n): statistics.pgr_difference(
                            *(d[arm] for arm in (*pair, "weak", "ceiling")), clusters=world.clusters
                        )
                        for n, d in enumerate(domains)
                    }
                    mean = statistics.mean_over_domains(ratios)
                    p_values += [mean.p] if isinstance(mean, Estimate) and mean.p is not None else []
                tables.append(p_values)
            every = np.array([p for table in tables for p in table])
            plain = np.mean([min(table, default=1.0) < 0.05 for table in tables])
            corrected = np.mean([min(statistics.holm(table), default=1.0) < 0.05 for table in tables])
            errs, rarely = (every < 0.05).mean(), (every < 0.001).mean()
            print(
                f"| {world.name} | {seeds} | {100 * errs:.1f} % | {100 * rarely:.2f} % | {100 * plain:.0f} % | "
                f"{100 * corrected:.0f} % |",
                flush=True,
            )
            # Boards are independent of each other, the twelve tests of one are not: chance is reckoned over boards.
            by_board = [np.mean([p < 0.05 for p in table]) for table in tables if table]
            assert errs <= 0.05 + 2 * np.std(by_board) / np.sqrt(len(by_board))
            assert rarely <= 0.001 + simulation_error(len(every), 0.001)
            assert corrected <= 0.05 + simulation_error(runs)
            lines.append((errs, corrected))
    assert (np.mean(lines, axis=0) <= 0.05).all(), "over all worlds nothing is allowed for chance"
