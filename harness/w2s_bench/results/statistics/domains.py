"""The mean of a figure over a suite's domains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from w2s_bench.results.statistics.estimate import Estimate, Ratio, Unresolved
from w2s_bench.results.statistics.variance import Variance, of_sum


def mean_over_domains(ratios: Mapping[str, Ratio]) -> Ratio:
    """Mean of one ratio over D domains; domains are fixed (not a sample of domains) and independent of each other.

    Each side of each interval has its own variance, in proportion to the square of its width (MOVER, Zou & Donner 2008,
    Stat. Med. 27, 1693), which keeps Fieller's asymmetry. Parts add up: seeds' with seeds', items' with items'.
    """
    unresolved = [name for name, ratio in ratios.items() if isinstance(ratio, Unresolved)]
    estimates = [ratio for ratio in ratios.values() if isinstance(ratio, Estimate)]
    if unresolved or not estimates:
        return Unresolved(f"no figure in {', '.join(unresolved)}" if unresolved else "no domain", "–")
    count = len(estimates)
    value = math.fsum(e.value for e in estimates) / count
    below = _side((e, e.value - e.low) for e in estimates)
    above = _side((e, e.high - e.value) for e in estimates)
    whole = of_sum([_variance(e) for e in estimates]).times(count**-2)
    towards_zero = below if value > 0 else above
    return Estimate(
        value=value,
        low=value - below.half_width(),
        high=value + above.half_width(),
        df=whole.df,
        seeds=min(e.seeds for e in estimates),
        items=sum(e.items for e in estimates),
        p=towards_zero.p_value(value) if all(e.p is not None for e in estimates) else None,
        variance=whole,
    )


def _side(widths: Iterable[tuple[Estimate, float]]) -> Variance:
    """Of the mean, as far as its interval reaches to one side."""
    sides = []
    for estimate, width in widths:
        half = _variance(estimate).half_width()
        sides.append(_variance(estimate).times((width / half) ** 2 if half else 0.0))
    return of_sum(sides).times(len(sides) ** -2)


def _variance(estimate: Estimate) -> Variance:
    if estimate.variance is None:
        raise ValueError("expected figures that know their variance, as `pgr` and its like give them")
    return estimate.variance
