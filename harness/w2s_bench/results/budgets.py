"""What half and twice the steps do to a suite's students, and when a budget of steps is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from w2s_bench.controls import CEILING, NAIVE
from w2s_bench.types import FloatArray, IntArray

#: Whose students are trained at every budget: the one that PGR divides by, and the one that has all weak labels.
ARMS: Final = (CEILING, NAIVE)
#: Their steps, in units of the suite's own.
FACTORS: Final = (0.5, 1.0, 2.0)
#: A student's accuracy is flat where twice the steps change it by no more than this: one point.
FLAT: Final = 0.01
#: What twice the steps do to an accuracy.
Verdict = Literal["flat", "rises", "falls"]
_ROUNDING: Final = 1e-9  # four of 400 items are one point, and count as such
_NORMAL: Final = 1.96


@dataclass(frozen=True)
class Budget:
    """A student's mean accuracy on `dev` after so many steps, over a few seeds; `factor` times as many as the suite says.

    `more`: how much higher the accuracy is after twice as many, where that was trained, and `within`: half of the 95 %
    interval of that over clusters of dev items, these seeds given (None of a single cluster). `verdict`: whether that is within a point.
    """

    arm: str
    factor: float
    steps: int
    accuracy: float
    more: float | None = None
    within: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class DomainBudget:
    """One domain's budgets, arm by arm, each from the fewest steps to the most; `items`: how many of `dev` were asked."""

    domain: str
    items: int
    budgets: tuple[Budget, ...]

    def at(self, arm: str, factor: float) -> Budget:
        return next(one for one in self.budgets if (one.arm, one.factor) == (arm, factor))


@dataclass(frozen=True)
class SuiteBudget:
    """What a board shows of a budget file: over so many seeds, each domain."""

    seeds: int
    domains: tuple[DomainBudget, ...]


def budgets_of(
    arm: str, steps: Mapping[float, int], right: Mapping[float, FloatArray], codes: IntArray | None
) -> tuple[Budget, ...]:
    """An arm's budgets: factor → steps, and factor → (items,) share of the seeds that answer each item right; `codes` as below."""
    told = []
    for factor, shares in right.items():
        accuracy = float(shares.mean())
        if 2 * factor not in right:
            told.append(Budget(arm, factor, steps[factor], accuracy))
            continue
        gain = right[2 * factor] - shares
        more = float(gain.mean())
        told.append(Budget(arm, factor, steps[factor], accuracy, more, half_width(gain, codes), verdict(more)))
    return tuple(told)


def verdict(more: float) -> Verdict:
    """What twice the steps do, where they change the accuracy by `more`."""
    if abs(more) <= FLAT + _ROUNDING:
        return "flat"
    return "rises" if more > 0 else "falls"


def half_width(gain: FloatArray, clusters: IntArray | None) -> float | None:
    """Half of the 95 % interval of the mean of `gain` (items,) over `clusters` (items,); None: each item is its own.

    Sums by cluster, times C / (C − 1) (Liang & Zeger 1986). None: one cluster has no spread to tell.
    """
    codes = np.arange(len(gain)) if clusters is None else clusters
    sums = np.bincount(codes, weights=gain - gain.mean())
    count = len(sums)
    if count < 2:
        return None
    return float(_NORMAL * np.sqrt(count / (count - 1) * (sums**2).sum()) / len(gain))
