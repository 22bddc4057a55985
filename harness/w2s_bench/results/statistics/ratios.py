"""Accuracies, PGR, Recovery and their differences, each with the interval that its seeds and clusters of items allow.

A ratio's interval is Fieller's: all r for which "numerator − r · denominator has mean 0" is not rejected. It keeps the
covariance that numerator and denominator have through the weak accuracy they share.

Sources: Burns et al. 2023, arXiv 2312.09390 (PGR); the trust-functions paper, arXiv 2606.01000 (Recovery);
Fieller 1954, J. R. Stat. Soc. B 16, 175; Cochran & Cox 1950, Experimental Designs, section 4.14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from w2s_bench.results.statistics.estimate import Estimate, Ratio, Unresolved
from w2s_bench.results.statistics.table import Form, Table
from w2s_bench.results.statistics.variance import Variance
from w2s_bench.types import BoolArray, IntArray

_GAP = "ceiling − weak"


def accuracy(correct: BoolArray, *, clusters: IntArray | None = None) -> Estimate:
    """Mean of correct (S, I) over seeds and items; the interval is cut to [0, 1], where accuracies live."""
    zero = np.zeros(np.shape(correct), dtype=np.bool_)
    table = Table.of(correct, zero, zero, zero, clusters)
    variance = table.variance(1.0, 0.0)
    half, value = variance.half_width(), table.numerator
    return _estimate(table, value, max(value - half, 0.0), min(value + half, 1.0), variance)


def accuracy_difference(a: BoolArray, b: BoolArray, *, clusters: IntArray | None = None) -> Estimate:
    """Mean of a − b, both (S, I) on the same seeds and items, with the p-value of "no difference"."""
    table = Table.of(a, b, a, b, clusters)
    variance = table.variance(1.0, 0.0)
    half, value = variance.half_width(), table.numerator
    return _estimate(table, value, value - half, value + half, variance, variance.p_value(value))


def pgr(student: BoolArray, weak: BoolArray, ceiling: BoolArray, *, clusters: IntArray | None = None) -> Ratio:
    """Performance gap recovered, (student − weak) / (ceiling − weak), of means over seeds; all (S, I)."""
    return _ratio(Table.of(student, weak, ceiling, weak, clusters), _GAP)


def recovery(student: BoolArray, base: BoolArray, ceiling: BoolArray, *, clusters: IntArray | None = None) -> Ratio:
    """(student − base) / (ceiling − base) of means over seeds; all (S, I). arXiv 2606.01000."""
    return _ratio(Table.of(student, base, ceiling, base, clusters), "ceiling − base")


def pgr_difference(
    a: BoolArray, b: BoolArray, weak: BoolArray, ceiling: BoolArray, *, clusters: IntArray | None = None
) -> Ratio:
    """Paired difference of two arms in PGR units, (a − b) / (ceiling − weak); all (S, I). `p` tests a = b."""
    return _ratio(Table.of(a, b, ceiling, weak, clusters), _GAP, with_p=True)


def pgr_contrast(
    plus: Sequence[BoolArray],
    minus: Sequence[BoolArray],
    weak: BoolArray,
    ceiling: BoolArray,
    *,
    clusters: IntArray | None = None,
) -> Ratio:
    """The same of several arms, as many on either side: (Σ plus − Σ minus) / (ceiling − weak). `p` tests that it is 0."""
    if len(plus) != len(minus):
        raise ValueError(f"{len(plus)} arms minus {len(minus)}; as many on either side are expected")
    sums = [np.sum([np.asarray(arm, dtype=np.int64) for arm in side], axis=0) for side in (plus, minus)]
    return _ratio(Table.of(sums[0], sums[1], ceiling, weak, clusters), _GAP, with_p=True)


def _ratio(table: Table, denominator: str, with_p: bool = False) -> Ratio:
    """The ratio of the table's means with Fieller's interval, or the reason why there is none."""
    gap, half_gap = table.denominator, table.variance(0.0, 1.0).half_width()
    if gap - half_gap <= 0:
        return Unresolved(f"{denominator} is {gap:.3f}, 95 % interval [{gap - half_gap:.3f}, {gap + half_gap:.3f}]")
    value = table.numerator / gap
    variance = table.variance(1.0, -value)
    low, high = _fieller(table, value, variance)
    p = table.variance(1.0, 0.0).p_value(table.numerator) if with_p else None
    return _estimate(table, value, low, high, variance.times(gap**-2), p)


def _estimate(
    table: Table, value: float, low: float, high: float, variance: Variance, p: float | None = None
) -> Estimate:
    return Estimate(value, low, high, variance.df, table.seeds, table.items, p, variance)


def _fieller(table: Table, value: float, variance: Variance) -> tuple[float, float]:
    """The outermost r on either side that the test does not reject.

    The square of the half width at r is the greatest of three quadratics in r, so what is kept is the union of what each of
    them keeps, and each ends at the roots of a quadratic. All have ends: that of the gap is above 0.
    """
    squared = Variance(1.0, 0.0, 0.0, variance.seeds_df, variance.items_df)
    items = Variance(0.0, 1.0, 1.0, 0.0, variance.items_df).half_width() ** 2
    weights = [(0.0, items, 0.0)]
    if table.seeds > 1:
        seeds = squared.half_width() ** 2
        weights += [(seeds, 0.0, 0.0), (seeds, items, -items)]
    cells = table.seeds * table.clusters
    forms = [_around(form, value) for form in (table.seed, table.item, table.rest)]
    low = high = 0.0
    for parts in weights:
        uu, uy, yy = (
            math.fsum(weight * getattr(form, name) for weight, form in zip(parts, forms, strict=True)) / cells
            for name in ("xx", "xy", "yy")
        )
        leading = table.denominator**2 - yy
        if (root := uy * uy + leading * uu) >= 0:
            low = min(low, (-uy - math.sqrt(root)) / leading)
            high = max(high, (-uy + math.sqrt(root)) / leading)
    return value + low, value + high


def _around(form: Form, value: float) -> Form:
    """Of x − value · y and y: nothing of the first but rounding is nothing."""
    square = form.square(1.0, -value)
    return Form(square, form.xy - value * form.yy if square else 0.0, form.yy)
