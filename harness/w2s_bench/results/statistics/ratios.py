"""Accuracies, PGR, Recovery and their differences, each with the interval that its seeds and clusters of items allow.

A ratio's interval is Fieller's: all r for which "numerator − r · denominator has mean 0" is not rejected. It keeps the
covariance that numerator and denominator have through the weak accuracy they share.

Sources: Burns et al. 2023, arXiv 2312.09390 (PGR); the trust-functions paper, arXiv 2606.01000 (Recovery);
Fieller 1954, J. R. Stat. Soc. B 16, 175; Cochran & Cox 1950, Experimental Designs, section 4.14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from w2s_bench.results.statistics.counts import Counts
from w2s_bench.results.statistics.estimate import Estimate, Figures, Ratio, Unresolved
from w2s_bench.results.statistics.numbers import Numbers, either, total
from w2s_bench.results.statistics.student import quantile
from w2s_bench.results.statistics.table import Form, Table
from w2s_bench.results.statistics.variance import LEVEL, Variance
from w2s_bench.types import BoolArray, IntArray

_GAP = "ceiling − weak"


def accuracy(correct: BoolArray, *, clusters: IntArray | None = None) -> Estimate:
    """Mean of correct (S, I) over seeds and items; the interval is cut to [0, 1], where accuracies live."""
    return accuracy_of(Table.of_counts(Counts.of([correct], clusters), [(1, 0)], [])).one()


def accuracy_difference(a: BoolArray, b: BoolArray, *, clusters: IntArray | None = None) -> Estimate:
    """Mean of a − b, both (S, I) on the same seeds and items, with the p-value of "no difference"."""
    return difference_of(Table.of_counts(Counts.of([a, b], clusters), [(1, 0), (-1, 1)], [])).one()


def pgr(student: BoolArray, weak: BoolArray, ceiling: BoolArray, *, clusters: IntArray | None = None) -> Ratio:
    """Performance gap recovered, (student − weak) / (ceiling − weak), of means over seeds; all (S, I)."""
    return _one(ratio_of(Table.of(student, weak, ceiling, weak, clusters)))


def recovery(student: BoolArray, base: BoolArray, ceiling: BoolArray, *, clusters: IntArray | None = None) -> Ratio:
    """(student − base) / (ceiling − base) of means over seeds; all (S, I). arXiv 2606.01000."""
    return _one(ratio_of(Table.of(student, base, ceiling, base, clusters), "ceiling − base"))


def pgr_difference(
    a: BoolArray, b: BoolArray, weak: BoolArray, ceiling: BoolArray, *, clusters: IntArray | None = None
) -> Ratio:
    """Paired difference of two arms in PGR units, (a − b) / (ceiling − weak); all (S, I). `p` tests a = b."""
    return pgr_contrast([a], [b], weak, ceiling, clusters=clusters)


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
    signs = [1] * len(plus) + [-1] * len(minus)
    counts = Counts.of([*plus, *minus, ceiling, weak], clusters)
    gap = [(1, len(signs)), (-1, len(signs) + 1)]
    table = Table.of_counts(counts, [(sign, at) for at, sign in enumerate(signs)], gap)
    return _one(ratio_of(table, with_p=True))


def accuracy_of(table: Table) -> Figures:
    """The table's numerator as an accuracy, or its numerators as accuracies."""
    figures = _numerator(table)
    return replace(figures, low=np.maximum(figures.low, 0.0), high=np.minimum(figures.high, 1.0))


def difference_of(table: Table) -> Figures:
    """The same as differences of accuracies."""
    figures = _numerator(table)
    return replace(figures, p=figures.variance.p_value(figures.value))


def ratio_of(table: Table, denominator: str = _GAP, *, with_p: bool = False) -> Figures | Unresolved:
    """The ratio of the table's means with Fieller's interval, or the reason why there is none; `p` tests the numerator."""
    gap, half_gap = float(table.denominator), float(table.gap_variance.half_width())
    if gap - half_gap <= 0:
        return Unresolved(f"{denominator} is {gap:.3f}, 95 % interval [{gap - half_gap:.3f}, {gap + half_gap:.3f}]")
    value = table.numerator / gap
    variance = table.variance(1.0, -value)
    low, high = _fieller(table, value, variance)
    p = table.variance(1.0, 0.0).p_value(table.numerator) if with_p else None
    return Figures(value, low, high, variance.times(gap**-2), table.seeds, table.items, p)


def _one(figures: Figures | Unresolved) -> Ratio:
    return figures if isinstance(figures, Unresolved) else figures.one()


def _numerator(table: Table) -> Figures:
    value, variance = table.numerator, table.variance(1.0, 0.0)
    half = variance.half_width()
    return Figures(value, value - half, value + half, variance, table.seeds, table.items)


def _fieller(table: Table, value: Numbers, variance: Variance) -> tuple[Numbers, Numbers]:
    """The outermost r on either side that the test does not reject.

    The square of the half width at r is the greatest of three quadratics in r, so what is kept is the union of what each of
    them keeps, and each ends at the roots of a quadratic. All have ends: that of the gap is above 0.
    """
    tail = (1 - LEVEL) / 2
    seeds, items = quantile(variance.seeds_df, tail) ** 2, quantile(variance.items_df, tail) ** 2
    weights: list[tuple[Numbers, Numbers, Numbers]] = [(0.0, items, 0.0)]
    if table.seeds > 1:
        weights += [(seeds, 0.0, 0.0), (seeds, items, -items)]
    cells = table.seeds * table.clusters
    forms = [_around(form, value) for form in (table.seed, table.item, table.rest)]
    low: Numbers = 0.0
    high: Numbers = 0.0
    for parts in weights:
        uu, uy, yy = (
            total([weight * getattr(form, name) for weight, form in zip(parts, forms, strict=True)]) / cells
            for name in ("xx", "xy", "yy")
        )
        leading = table.denominator**2 - yy
        root = uy * uy + leading * uu
        reach = np.sqrt(np.maximum(root, 0.0))
        low = either(root >= 0, np.minimum(low, (-uy - reach) / leading), low)
        high = either(root >= 0, np.maximum(high, (-uy + reach) / leading), high)
    return value + low, value + high


def _around(form: Form, value: Numbers) -> Form:
    """Of x − value · y and y: nothing of the first but rounding is nothing."""
    square = form.square(1.0, -value)
    return Form(square, either(square > 0, form.xy - value * form.yy, 0.0), form.yy)
