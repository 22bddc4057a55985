"""Thresholds on trust scores with a guarantee on the labels above them, from a trust set that the scores have not learnt from.

Pure functions of arrays. `scores` (n,) and `correct` (n,) are of the trust set, `pool` (m,) are the scores of rows whose
correctness nobody knows; higher = more trusted. Trust set and pool are taken as draws of one population, each row by itself.
Thresholds are scores of the pool, so that no trust set has a say in which are tried. Abstention is a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

import numpy as np

from w2s_bench.selections import Method
from w2s_bench.types import BoolArray, FloatArray, IntArray

#: Thresholds that are tried: the pool's scores at so many coverages, evenly spaced.
GRID: Final = 64
#: Thresholds from which `learn_then_test` starts, each with its share of the error that it may make.
STARTS: Final = 4


@dataclass(frozen=True)
class Certified:
    """The rows of at least `threshold` are kept; None: the method abstains and `why` says what stood in the way.

    `purity` is what is guaranteed of the kept labels, in [0, 1]; `above` rows of the trust set lie there, `right` of them right.
    """

    method: Method
    threshold: float | None
    purity: float
    above: int = 0
    right: int = 0
    why: str = ""


def binomial_upper(wrong: IntArray, count: IntArray, error: float) -> FloatArray:
    """The largest rate of wrong rows that `wrong` of `count` do not exclude, each with confidence 1 - `error`.

    The exact bound of Clopper & Pearson (1934): the rate at which so few wrong ones have the chance `error`. 1 of no rows.
    """
    from scipy.stats import beta

    wrong, count = np.asarray(wrong, dtype=np.float64), np.asarray(count, dtype=np.float64)
    some = wrong < count
    return np.where(some, beta.ppf(1 - error, wrong + 1, np.where(some, count - wrong, 1.0)), 1.0)


def binomial_lower(wrong: IntArray, count: IntArray, error: float) -> FloatArray:
    """The smallest rate that `wrong` of `count` do not exclude: 1 - `binomial_upper` of the right ones. 0 of no rows."""
    return 1 - binomial_upper(np.asarray(count) - np.asarray(wrong), count, error)


def hoeffding_upper(wrong: IntArray, count: IntArray, error: float) -> FloatArray:
    """As `binomial_upper` by Hoeffding's inequality: wrong / count + sqrt(ln(1 / error) / (2 count)), at most 1."""
    count = np.asarray(count, dtype=np.float64)
    at_least_one = np.maximum(count, 1)
    bound = np.asarray(wrong) / at_least_one + np.sqrt(math.log(1 / error) / (2 * at_least_one))
    return np.where(count > 0, np.minimum(bound, 1.0), 1.0)


def thresholds_of(pool: FloatArray, count: int = GRID) -> FloatArray:
    """At most `count` distinct scores of the pool, falling: those at evenly spaced coverages, the last its lowest score."""
    if not len(pool):
        return np.zeros(0)
    falling = np.sort(pool)[::-1]
    places = np.ceil(np.arange(1, count + 1) * len(pool) / count).astype(np.int64) - 1
    return np.unique(falling[places])[::-1]


def counts_above(scores: FloatArray, correct: BoolArray, thresholds: FloatArray) -> tuple[IntArray, IntArray]:
    """How many rows of at least each threshold there are, and how many of them are wrong; both of the thresholds' shape."""
    every, wrong = np.sort(scores), np.sort(scores[~correct])
    above = len(every) - np.searchsorted(every, thresholds, side="left")
    return above.astype(np.int64), (len(wrong) - np.searchsorted(wrong, thresholds, side="left")).astype(np.int64)


def least_rows(purity: float, error: float) -> int:
    """How many rows of a trust set, all right, it takes above a threshold before a purity can be certified at all."""
    return math.ceil(math.log(error) / math.log(purity))


def learn_then_test(
    scores: FloatArray, correct: BoolArray, pool: FloatArray, *, purity: float, confidence: float
) -> Certified:
    """Learn then Test (Angelopoulos et al. 2021): with `confidence`, the population's rows above the threshold have `purity`.

    Each threshold's hypothesis "less pure than that" has the exact binomial p-value P(Bin(above, 1 - purity) ≤ wrong). From
    each of `STARTS` thresholds they are tested in turn towards the lower ones until one is not rejected; each start has an
    equal share of 1 - confidence. The first start is where a trust set without a wrong label would just do, by the pool's
    coverage alone; where it would nowhere but at the lowest threshold, that is the only one. The lowest threshold that was
    rejected is taken.
    """
    from scipy.stats import binom

    _check(scores, correct, purity, confidence)
    thresholds = thresholds_of(pool)
    above, wrong = counts_above(scores, correct, thresholds)
    coverage = counts_above(pool, np.ones(len(pool), dtype=np.bool_), thresholds)[0] / max(len(pool), 1)
    share = (1 - confidence) / STARTS
    if not len(thresholds) or len(scores) < least_rows(purity, share):
        return Certified("ltt", None, purity, why=_too_few(len(scores), purity, share))
    # A fifth more than would just do: the count above a threshold varies with the trust set.
    enough = np.flatnonzero(coverage * len(scores) >= 1.2 * least_rows(purity, share))
    last = len(thresholds) - 1
    starts = np.unique(np.linspace(enough[0] if len(enough) else last, last, STARTS).round().astype(np.int64))
    passed = (binom.cdf(wrong, above, 1 - purity) <= share) & (above > 0)
    ends = [start + _run_of(passed[start:]) - 1 for start in starts if passed[start]]
    if not ends:
        return Certified("ltt", None, purity, why=_nowhere(above, wrong))
    return _at(max(ends), "ltt", thresholds, above, wrong, purity)


def risk_control(
    scores: FloatArray, correct: BoolArray, pool: FloatArray, *, purity: float, confidence: float
) -> Certified:
    """Selection with guaranteed risk (SGR; Geifman & El-Yaniv 2017): as `learn_then_test` by a binary search.

    Each of its ⌈log2(thresholds + 1)⌉ steps bounds the rate of wrong rows with an equal share of 1 - confidence, by the binomial
    tail, and goes on to a lower threshold where the bound is at most 1 - purity, to a higher one where not. The lowest that
    passed is taken (the paper: the last that was looked at), its own bound is what is guaranteed.
    """
    _check(scores, correct, purity, confidence)
    thresholds = thresholds_of(pool)
    above, wrong = counts_above(scores, correct, thresholds)
    steps = math.ceil(math.log2(max(len(thresholds), 1) + 1))
    share = (1 - confidence) / max(steps, 1)
    bounds = binomial_upper(wrong, above, share)
    low, high, lowest = 0, len(thresholds) - 1, None
    while low <= high:
        middle = (low + high) // 2
        if bounds[middle] <= 1 - purity:
            lowest, low = middle, middle + 1
        else:
            high = middle - 1
    if lowest is None:
        few = len(scores) < least_rows(purity, share)
        return Certified(
            "sgr", None, purity, why=_too_few(len(scores), purity, share) if few else _nowhere(above, wrong)
        )
    return _at(lowest, "sgr", thresholds, above, wrong, float(1 - bounds[lowest]))


def hoeffding(
    scores: FloatArray, correct: BoolArray, pool: FloatArray, *, purity: float, confidence: float
) -> Certified:
    """The lowest threshold whose Hoeffding bound on the rate of wrong rows is at most 1 - purity, with `confidence`.

    1 - confidence is parted equally among the thresholds, as the lowest is chosen by what the trust set says; without that,
    as the bound is often written, nothing is guaranteed of the one chosen. It takes the largest trust sets of all.
    """
    _check(scores, correct, purity, confidence)
    thresholds = thresholds_of(pool)
    above, wrong = counts_above(scores, correct, thresholds)
    share = (1 - confidence) / max(len(thresholds), 1)
    passed = np.flatnonzero(hoeffding_upper(wrong, above, share) <= 1 - purity)
    if not len(passed):
        needed = math.ceil(math.log(1 / share) / (2 * (1 - purity) ** 2))
        few = f"the bound takes {needed} rows above a threshold even if all are right, and the trust set has {len(scores)}"
        return Certified("hoeffding", None, purity, why=few if len(scores) < needed else _nowhere(above, wrong))
    return _at(int(passed[-1]), "hoeffding", thresholds, above, wrong, purity)


def conformal(
    scores: FloatArray, correct: BoolArray, pool: FloatArray, *, purity: float, confidence: float = 0.5
) -> Certified:
    """Conformal selection (Jin & Candès 2023): on average over trust sets and pools, 1 - purity of the kept rows are wrong at most.

    Each row of the pool has the p-value (1 + wrong rows of the trust set with at least its score) / (n + 1); the procedure of
    Benjamini & Hochberg (1995) at level 1 - purity takes them. `confidence` has no part in it: the false discovery rate is
    an expectation.
    """
    _check(scores, correct, purity, confidence)
    p_values = conformal_p_values(scores, correct, pool)
    kept = benjamini_hochberg(p_values, 1 - purity)
    if not kept.any():
        least = 1 / (len(scores) + 1)
        why = f"no row of the pool passes; its least p-value is {p_values.min() if len(pool) else 1:.3g}"
        if len(pool) and least > 1 - purity:
            why = f"a trust set of {len(scores)} rows is too small: p-values are at least {least:.3g}"
        return Certified("conformal", None, purity, why=why)
    threshold = float(pool[kept].min())
    above, wrong = counts_above(scores, correct, np.array([threshold]))
    return Certified("conformal", threshold, purity, int(above[0]), int(above[0] - wrong[0]))


def conformal_p_values(scores: FloatArray, correct: BoolArray, pool: FloatArray) -> FloatArray:
    """(m,) in (0, 1]: (1 + the wrong rows of the trust set that score at least as high) / (n + 1)."""
    _, wrong = counts_above(scores, correct, pool)
    return np.asarray((1 + wrong) / (len(scores) + 1), dtype=np.float64)


def benjamini_hochberg(p_values: FloatArray, level: float) -> BoolArray:
    """(m,) which hypotheses are rejected: the k smallest p-values, k the largest with p_(k) ≤ level · k / m."""
    rising = np.sort(p_values)
    passed = np.flatnonzero(rising <= level * np.arange(1, len(rising) + 1) / max(len(rising), 1))
    if not len(passed):
        return np.zeros(len(p_values), dtype=np.bool_)
    return cast(BoolArray, p_values <= rising[passed[-1]])


#: By the word of the command line.
METHODS: Final[Mapping[Method, Callable[..., Certified]]] = MappingProxyType(
    {"ltt": learn_then_test, "sgr": risk_control, "hoeffding": hoeffding, "conformal": conformal}
)


def _run_of(passed: BoolArray) -> int:
    """How many of the first are true in a row."""
    failed = np.flatnonzero(~passed)
    return int(failed[0]) if len(failed) else len(passed)


def _at(
    index: int, method: Method, thresholds: FloatArray, above: IntArray, wrong: IntArray, purity: float
) -> Certified:
    rows = int(above[index])
    return Certified(method, float(thresholds[index]), purity, rows, rows - int(wrong[index]))


def _too_few(count: int, purity: float, error: float) -> str:
    needed = least_rows(purity, error)
    return f"it takes {needed} rows above a threshold even if all are right, and the trust set has {count}"


def _nowhere(above: IntArray, wrong: IntArray) -> str:
    """The best that any threshold came to."""
    rates = np.where(above > 0, 1 - wrong / np.maximum(above, 1), 0.0)
    best = int(np.argmax(np.where(above >= min(20, int(above.max(initial=0))), rates, -1.0))) if len(above) else None
    if best is None:
        return "the pool has no rows"
    shown = f"{int(above[best] - wrong[best])} of {int(above[best])}"
    return f"no threshold passes; the purest above which the trust set has rows to speak of has {shown} right"


def _check(scores: FloatArray, correct: BoolArray, purity: float, confidence: float) -> None:
    if scores.ndim != 1 or scores.shape != correct.shape or not np.isfinite(scores).all():
        raise ValueError(
            f"expected finite scores and correctness of one shape (n,); got {scores.shape}, {correct.shape}"
        )
    for name, value in (("purity", purity), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
