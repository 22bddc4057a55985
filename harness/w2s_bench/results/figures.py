"""Which figures can be true together, from their sizes alone."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from w2s_bench.text import shortened
from w2s_bench.types import JSON


def is_rate(value: JSON) -> bool:
    """Whether it is a number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_purity_at(value: JSON) -> bool:
    """Whether it maps coverages from 0 to 1, as text and in their order, to numbers from 0 to 1."""
    if not isinstance(value, Mapping) or not all(is_rate(share) for share in value.values()):
        return False
    try:
        coverages = [float(name) for name in value]
    except ValueError:
        return False
    return all(0 < at <= 1 for at in coverages) and coverages == sorted(set(coverages))


def is_reliability(value: JSON) -> bool:
    """Whether it is a list of bins, each with a number of rows, their mean score and the share of right ones among them."""
    return isinstance(value, list | tuple) and all(_is_bin(each) for each in value)


def _is_bin(value: JSON) -> bool:
    if not isinstance(value, Mapping) or {*value} != {"rows", "score", "right"}:
        return False
    rows = value["rows"]
    whole = isinstance(rows, int) and not isinstance(rows, bool) and rows > 0
    return whole and is_rate(value["score"]) and is_rate(value["right"])


def is_whole(value: float) -> bool:
    """Whether it is a whole number but for rounding."""
    return abs(value - round(value)) <= 1e-9 * max(1.0, value)


def denominator(share: float, most: int) -> int:
    """The least number of items, at most `most`, of which a share can be; of another share, that of the nearest."""
    return Fraction(share).limit_denominator(most).denominator


def shown(value: JSON) -> str:
    """A value as an error names it."""
    return shortened(repr(value), 80)


def refuse_impossible(shares: Mapping[str, float], share: float, count: int, whole: str, parts: str) -> None:
    """Refuse shares by stratum (or label) that no strata of `count` items in all can have, where the share of all is `share`.

    Each share is a fraction whose denominator divides the size of its stratum, so the smallest such denominators give the
    fewest items that the strata can have.
    """
    if len(shares) > count:
        raise ValueError(f"{whole}: {parts} has {len(shares)} parts, of {count} items")
    low, high = min(shares.values()), max(shares.values())
    if not low - 1e-9 <= share <= high + 1e-9:
        raise ValueError(f"{whole} {share} lies outside its {parts}, {low} to {high}")
    fractions = {name: Fraction(value).limit_denominator(count) for name, value in shares.items()}
    for name, fraction in fractions.items():
        if abs(float(fraction) - shares[name]) > 1e-9:
            raise ValueError(f"{whole}: {parts} {shown(name)} {shares[name]} is no share of at most {count} items")
    if (fewest := sum(fraction.denominator for fraction in fractions.values())) > count:
        raise ValueError(f"{whole}: {parts} needs {fewest} items at least, of {count}")
