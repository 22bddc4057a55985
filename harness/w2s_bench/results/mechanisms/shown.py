"""Figures of several seeds, compared and as text."""

from __future__ import annotations

from collections.abc import Iterable

from w2s_bench.results.mechanisms.facts import BySeed
from w2s_bench.results.pages.style import NONE, number


def minus(one: BySeed, other: BySeed) -> BySeed:
    """Seed by seed; None where either has none."""
    pairs = zip(one.values, other.values, strict=True)
    return BySeed(tuple(None if a is None or b is None else a - b for a, b in pairs))


def apart(arm: BySeed, other: BySeed) -> int:
    """Whether one is above the other (1) or below it (−1) on every seed."""
    return minus(arm, other).agrees


def by_seeds(told: BySeed, digits: int = 2) -> str:
    """A mean with the least and the greatest seed."""
    if not told.there:
        return NONE
    if len(told.there) == 1:
        return number(told.mean, digits)
    return f"{number(told.mean, digits)} ({number(min(told.there), digits)} to {number(max(told.there), digits)})"


def spread(of: Iterable[BySeed]) -> str:
    means = [figure.mean for figure in of if figure.mean is not None]
    if len(means) < 2:
        return number(means[0] if means else None)
    return f"{number(min(means))} to {number(max(means))}"
