"""The cells of one domain side by side: every figure that compares one arm with others.

A figure of an arm uses the seeds that the arm and the references it is measured against all have, so that every
difference is paired. Where one seed of several is left, nothing says how much seeds differ: an arm then has an accuracy, and no
figure that is compared, or whoever lost seeds would seem the surer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from w2s_bench.controls import BASE, CEILING, WEAK, rivals
from w2s_bench.results import statistics
from w2s_bench.results.board import Entry
from w2s_bench.results.cells import Cell
from w2s_bench.results.costs import processor_seconds, seconds_of
from w2s_bench.results.counted import Counted
from w2s_bench.results.figures import is_rate
from w2s_bench.results.seed_results import KEPT_BY, KEPT_BY_STRATUM
from w2s_bench.results.statistics import Estimate, Figures, Ratio, Unresolved
from w2s_bench.types import JSON, BoolArray


class Comparison:
    """The cells of one domain by arm, and what is computed across them."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self.cells = cells
        # Bits are unpacked once: each cell is compared with the references and controls, many times.
        self._correct = {arm: cell.body.correctness() for arm, cell in cells.items()}
        self._by_seeds: dict[tuple[int, ...], Counted] = {}
        self._pgr_by_seed: dict[tuple[str, str], tuple[float, ...]] = {}
        self._seeds = max((len(cell.body.seeds) for cell in cells.values()), default=0)
        #: (items,) one number a cluster, the same in all cells that have items; None where each item is its own.
        self.clusters = next((cell.body.cluster_codes for cell in cells.values() if cell.body.clusters), None)

    def common(self, *arms: str) -> tuple[int, ...]:
        """Seeds that all of these arms have."""
        if any(arm not in self.cells for arm in arms):
            return ()
        return tuple(sorted(set.intersection(*(set(self._correct[arm]) for arm in arms))))

    def matrices(self, *arms: str) -> tuple[BoolArray, ...] | Unresolved:
        """Correctness (seeds, items) of each arm on the seeds that all have, enough of them to compare the arms by."""
        seeds = self._compared(*arms)
        return seeds if isinstance(seeds, Unresolved) else tuple(self.stacked(arm, seeds) for arm in arms)

    def stacked(self, arm: str, seeds: tuple[int, ...]) -> BoolArray:
        """(seeds, items) correctness for the seeds named."""
        return np.stack([self._correct[arm][seed] for seed in seeds])

    def pgr(self, arm: str) -> Ratio:
        return self._ratio(arm, WEAK, WEAK)

    def recovery(self, arm: str) -> Ratio:
        return self._ratio(arm, BASE, BASE)

    def difference(self, a: str, b: str) -> Ratio:
        """a − b in PGR units."""
        return self._ratio(a, b, WEAK, with_p=True)

    def contrast(self, plus: Sequence[str], minus: Sequence[str]) -> Ratio:
        """Σ plus − Σ minus in PGR units, of as many arms on either side."""
        arms = self.matrices(*plus, *minus, WEAK, CEILING)
        if isinstance(arms, Unresolved):
            return arms
        *several, weak, ceiling = arms
        sides = several[: len(plus)], several[len(plus) :]
        return statistics.pgr_contrast(*sides, weak, ceiling, clusters=self.clusters)

    def accuracy(self, arm: str, seeds: tuple[int, ...]) -> Estimate:
        """On the seeds named, which the arm has."""
        return self._counted(seeds).accuracy(arm)

    def accuracy_difference(self, a: str, b: str) -> Estimate | None:
        seeds = self._compared(a, b)
        return None if isinstance(seeds, Unresolved) else self._counted(seeds).accuracy_difference(a, b)

    def has_whole(self, arm: str) -> bool:
        """Whether the arm has every seed that the references have, and these can be compared by."""
        there = self._compared(arm, WEAK, CEILING)
        return not isinstance(there, Unresolved) and there == self.common(WEAK, CEILING)

    def differences(self, pairs: Sequence[tuple[str, str]]) -> Figures | Unresolved:
        """`difference` of each pair, all at once and without p, of arms that `has_whole`."""
        return self._counted(self.common(WEAK, CEILING)).ratios(pairs, WEAK)

    def _ratio(self, a: str, b: str, bottom: str, *, with_p: bool = False) -> Ratio:
        """(a − b) / (ceiling − bottom) on the seeds that all of them have."""
        seeds = self._compared(a, b, bottom, CEILING)
        return seeds if isinstance(seeds, Unresolved) else self._counted(seeds).ratio(a, b, bottom, with_p=with_p)

    def _compared(self, *arms: str) -> tuple[int, ...] | Unresolved:
        """The seeds that all of these arms have; unresolved where it is one of several."""
        seeds = self._shared(*arms)
        if isinstance(seeds, Unresolved) or len(seeds) > 1 or self._seeds == 1:
            return seeds
        return Unresolved(f"one seed of {self._seeds} that {', '.join(dict.fromkeys(arms))} all have", "one seed")

    def _shared(self, *arms: str) -> tuple[int, ...] | Unresolved:
        """The seeds that all of these arms have, or why there is none."""
        missing = [arm for arm in arms if arm not in self.cells]
        if missing:
            return Unresolved(f"no cell of {', '.join(dict.fromkeys(missing))}", "–")
        seeds = self.common(*arms)
        if not seeds and (silent := [arm for arm in arms if self.cells[arm].body.abstained]):
            return Unresolved(f"{', '.join(dict.fromkeys(silent))} kept nothing in any seed", "abstained")
        if not seeds:
            return Unresolved(f"no seed that {', '.join(dict.fromkeys(arms))} all have", "no seeds")
        return seeds

    def _counted(self, seeds: tuple[int, ...]) -> Counted:
        """All arms that have these seeds."""
        if seeds not in self._by_seeds:
            arms = [arm for arm, own in self._correct.items() if own.keys() >= set(seeds)]
            self._by_seeds[seeds] = Counted({arm: self.stacked(arm, seeds) for arm in arms}, self.clusters)
        return self._by_seeds[seeds]

    def pgr_by_seed(self, arm: str, *, beside: str = WEAK) -> tuple[float, ...]:
        """Of each seed that it, the references and the arm `beside` it have, over the gap of these; empty where the gap is
        unresolved."""
        if (arm, beside) not in self._pgr_by_seed:
            matrices = self.matrices(arm, WEAK, CEILING, beside)
            if isinstance(matrices, Unresolved) or isinstance(self.pgr(arm), Unresolved):
                return ()
            self._pgr_by_seed[arm, beside] = statistics.pgr_by_seed(*matrices[:3])
        return self._pgr_by_seed[arm, beside]

    def answered(self, arms: Iterable[str]) -> statistics.Answered:
        """What these arms answered on the seeds that each has with the references, of a domain whose gap is resolved."""
        gap = self.accuracy_difference(CEILING, WEAK)
        assert gap is not None, "means are over domains with a gap"
        correct = {arm: self.stacked(arm, self.common(arm, WEAK, CEILING)) for arm in arms}
        return statistics.Answered(correct, gap.value, self.clusters)

    def units(self, items: int) -> int:
        """How many groups of items are independent of each other, of so many items."""
        return items if self.clusters is None else int(self.clusters.max()) + 1

    def discordant(self, a: str, b: str) -> int:
        """In how many clusters of items the two arms do not have the same number right."""
        matrices = self.matrices(a, b)
        if isinstance(matrices, Unresolved):
            return 0
        apart = matrices[0].sum(axis=0) - matrices[1].sum(axis=0, dtype=np.int64)
        return int((np.bincount(np.arange(len(apart)) if self.clusters is None else self.clusters, apart) != 0).sum())

    def entry(self, arm: str, of_seeds: int) -> Entry:
        """What a board shows of an arm, where it has `of_seeds` seeds in all."""
        body, row = self.cells[arm].body, self.cells[arm].row
        seeds = self.common(arm) if body.arm.role == "reference" else self.common(arm, WEAK, CEILING)
        used = [s for s in body.seeds if s.seed in seeds]
        kept = [s.kept for s in used if s.kept is not None]
        return Entry(
            row=row,
            role=body.arm.role,
            seeds=seeds,
            of_seeds=of_seeds,
            accuracy=self.accuracy(arm, seeds) if seeds else None,
            pgr=self.pgr(arm),
            recovery=self.recovery(arm),
            kept=(min(kept), max(kept)) if kept else None,
            shortfall=max((s.shortfall for s in used), default=0),
            purity=mean([s.purity for s in used]),
            coverage=mean([s.coverage for s in used]),
            diagnostics=_mean_by_name([_rates(s.diagnostics) for s in used]),
            by_stratum=_mean_by_name([s.by_stratum for s in used]),
            kept_by_stratum=_mean_by_name([s.diagnostics.get(KEPT_BY_STRATUM, {}) for s in used]),
            minus={rival: self.difference(arm, rival) for rival in rivals()}
            if body.arm.role == "trust_function"
            else {},
            pgr_by_seed=self.pgr_by_seed(arm),
            abstained=len(body.abstained),
            seconds=seconds_of(self.cells[arm], "seconds"),
            gold_labels=body.spent.gold_labels if body.spent else None,
            cpu_seconds=processor_seconds(self.cells[arm]),
            kept_by={
                name: _mean_by_name([s.diagnostics.get(name, {}) for s in used])
                for name in KEPT_BY
                if name != KEPT_BY_STRATUM
            },
        )

    def of_labels(self, name: str) -> float | None:
        """A diagnostic of the teacher's labels, mean over its seeds."""
        cell = self.cells.get(WEAK)
        return mean([s.diagnostics.get(name) for s in cell.body.seeds]) if cell else None

    def shortfall(self, arm: str) -> int | None:
        """The most rows that an arm lacks of those it was asked for; None where there is no cell of it."""
        cell = self.cells.get(arm)
        return max((s.shortfall for s in cell.body.seeds), default=0) if cell else None


def mean_differences(
    domains: Mapping[str, Comparison], pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Ratio]:
    """Each pair's difference in PGR units, mean over the domains.

    A board of a hundred arms has five thousand pairs, so those of arms that lack no seed are computed together.
    """
    asked = list(pairs)
    arms = {arm for pair in asked for arm in pair}
    whole = {arm for arm in arms if domains and all(domain.has_whole(arm) for domain in domains.values())}
    together = [pair for pair in asked if whole.issuperset(pair)]
    means: dict[tuple[str, str], Ratio] = {}
    if together:
        figures = {name: domain.differences(together) for name, domain in domains.items()}
        found = statistics.means_over_domains(figures, with_p=True)
        means.update({} if isinstance(found, Unresolved) else zip(together, found.each(), strict=True))
    for a, b in asked:
        if (a, b) not in means:
            means[a, b] = statistics.mean_over_domains({name: d.difference(a, b) for name, d in domains.items()})
    return {pair: means[pair] for pair in asked}


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is there; None where nothing is."""
    present = [v for v in values if v is not None]
    return float(np.mean(present)) if present else None


def _rates(diagnostics: Mapping[str, JSON]) -> dict[str, float]:
    """The diagnostics that are numbers from 0 to 1; others may be anything."""
    return {name: value for name, value in diagnostics.items() if is_rate(value)}


def _mean_by_name(values: list[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for value in values for name in value})
    return {n: float(np.mean([value[n] for value in values if n in value])) for n in names}
