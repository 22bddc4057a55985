"""The cells of one domain side by side: every figure that compares one arm with others.

A figure of an arm uses the seeds that the arm and the references it is measured against all have, so that every
difference is paired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from w2s_bench.controls import BASE, CEILING, WEAK, rivals
from w2s_bench.results import statistics
from w2s_bench.results.board import Entry
from w2s_bench.results.cells import Cell
from w2s_bench.results.costs import processor_seconds, seconds_of
from w2s_bench.results.figures import is_rate
from w2s_bench.results.seed_results import KEPT_BY, KEPT_BY_STRATUM
from w2s_bench.results.statistics import Estimate, Ratio, Unresolved
from w2s_bench.types import JSON, BoolArray


class Comparison:
    """The cells of one domain by arm, and what is computed across them."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self.cells = cells
        # Bits are unpacked once: each cell is compared with the references and controls, many times.
        self._correct = {arm: cell.body.correctness() for arm, cell in cells.items()}
        #: (items,) one number a cluster, the same in all cells that have items; None where each item is its own.
        self.clusters = next((cell.body.cluster_codes for cell in cells.values() if cell.body.clusters), None)

    def common(self, *arms: str) -> tuple[int, ...]:
        """Seeds that all of these arms have."""
        if any(arm not in self.cells for arm in arms):
            return ()
        return tuple(sorted(set.intersection(*(set(self._correct[arm]) for arm in arms))))

    def matrices(self, *arms: str) -> tuple[BoolArray, ...] | Unresolved:
        """Correctness (seeds, items) of each arm on the seeds that all have."""
        missing = [arm for arm in arms if arm not in self.cells]
        if missing:
            return Unresolved(f"no cell of {', '.join(missing)}", "–")
        seeds = self.common(*arms)
        if not seeds and (silent := [arm for arm in arms if self.cells[arm].body.abstained]):
            return Unresolved(f"{', '.join(dict.fromkeys(silent))} kept nothing in any seed", "abstained")
        if not seeds:
            return Unresolved(f"no seed that {', '.join(dict.fromkeys(arms))} all have", "no seeds")
        return tuple(self.stacked(arm, seeds) for arm in arms)

    def stacked(self, arm: str, seeds: tuple[int, ...]) -> BoolArray:
        """(seeds, items) correctness for the seeds named."""
        return np.stack([self._correct[arm][seed] for seed in seeds])

    def pgr(self, arm: str) -> Ratio:
        matrices = self.matrices(arm, WEAK, CEILING)
        return matrices if isinstance(matrices, Unresolved) else statistics.pgr(*matrices, clusters=self.clusters)

    def recovery(self, arm: str) -> Ratio:
        matrices = self.matrices(arm, BASE, CEILING)
        return matrices if isinstance(matrices, Unresolved) else statistics.recovery(*matrices, clusters=self.clusters)

    def difference(self, a: str, b: str) -> Ratio:
        """a − b in PGR units."""
        matrices = self.matrices(a, b, WEAK, CEILING)
        return (
            matrices
            if isinstance(matrices, Unresolved)
            else statistics.pgr_difference(*matrices, clusters=self.clusters)
        )

    def contrast(self, plus: Sequence[str], minus: Sequence[str]) -> Ratio:
        """Σ plus − Σ minus in PGR units, of as many arms on either side."""
        arms = self.matrices(*plus, *minus, WEAK, CEILING)
        if isinstance(arms, Unresolved):
            return arms
        *several, weak, ceiling = arms
        sides = several[: len(plus)], several[len(plus) :]
        return statistics.pgr_contrast(*sides, weak, ceiling, clusters=self.clusters)

    def accuracy_difference(self, a: str, b: str) -> Estimate | None:
        matrices = self.matrices(a, b)
        return (
            None
            if isinstance(matrices, Unresolved)
            else statistics.accuracy_difference(*matrices, clusters=self.clusters)
        )

    def pgr_by_seed(self, arm: str) -> tuple[float, ...]:
        """Of each seed that it and the references have, over the gap of all; empty where the gap is unresolved."""
        matrices = self.matrices(arm, WEAK, CEILING)
        if isinstance(matrices, Unresolved) or isinstance(self.pgr(arm), Unresolved):
            return ()
        return statistics.pgr_by_seed(*matrices)

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
            accuracy=statistics.accuracy(self.stacked(arm, seeds), clusters=self.clusters) if seeds else None,
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
