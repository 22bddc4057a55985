"""Student's t: quantiles and tails, and the p-value at which two parts of a variance, each with its own t, reach a value.

`scipy.special` gives what `scipy.stats.t` would, a hundred times as fast, and is imported where it is first asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from w2s_bench.results.statistics.numbers import Numbers, divided, either

LEAST_P = 1e-30  # what is smaller is no longer told apart
_TINY = 1e-300
_STEPS = 60
_CLOSE = 1e-12


def quantile(df: Numbers, tail: Numbers) -> Numbers:
    """What t exceeds with chance `tail`."""
    from scipy.special import stdtrit

    exceeded: Numbers = -stdtrit(df, tail)
    return exceeded


def two_sided(df: Numbers, t: Numbers) -> Numbers:
    """The chance that |t| is greater, t ≥ 0. On one degree of freedom `stdtr` is 3e-9 off where t is near 0; the arc is not."""
    from scipy.special import stdtr

    return either(df == 1, np.arctan2(1.0, t) * 2 / np.pi, 2 * stdtr(df, np.negative(t)))


def density(df: Numbers, t: Numbers) -> Numbers:
    """Of t at t: Γ((ν + 1) / 2) / (√(νπ) Γ(ν / 2)) · (1 + t² / ν)^(−(ν + 1) / 2)."""
    from scipy.special import gammaln

    scale = gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(np.pi * df) / 2
    dense: Numbers = np.exp(scale - (df + 1) / 2 * np.log1p(t**2 / df))
    return dense


def p_alone(value: Numbers, variance: Numbers, df: Numbers) -> Numbers:
    """The p of a value whose variance is this."""
    return two_sided(df, divided(np.abs(value), np.sqrt(variance)))


def p_of_sum(value: Numbers, first: Numbers, first_df: Numbers, second: Numbers, second_df: Numbers) -> Numbers:
    """The p at which t²(first_df) · first + t²(second_df) · second = value², the quantiles t taken at tail p / 2.

    Student's own where one of the two is 0. Else it is no less than that of either alone, and no more than the greater of
    those that either would give were it half of the square; between them Newton's method finds it.
    """
    parts = ((first, first_df), (second, second_df))
    least, most = (  # 0 / 0 says nothing, of a part that is 0 where the value is
        np.fmax(_TINY, np.fmax(p_alone(value, first * share, first_df), p_alone(value, second * share, second_df)))
        for share in (1.0, 2.0)
    )
    found = (np.minimum(first, second) == 0) | (value == 0) | (most <= LEAST_P)
    if np.all(found):
        return np.maximum(least, LEAST_P)
    root = _newton(np.square(value), parts, least, either(found, least, most))
    return np.maximum(either(found, least, np.exp(root)), LEAST_P)


@np.errstate(all="ignore")  # of those that are found already, and at p = 1, whose square is 0
def _newton(square: Numbers, parts: Sequence[tuple[Numbers, Numbers]], least: Numbers, most: Numbers) -> Numbers:
    """log p, by Newton's method on log square against log p, which t's tails make straight.

    Where a step would leave the range that holds the root, the range is halved instead.
    """
    low: Numbers = np.log(least)
    high: Numbers = np.log(most)
    log_p: Numbers = (low + high) / 2
    for _ in range(_STEPS):
        tail = np.exp(log_p) / 2
        reached: Numbers = 0.0  # the square that p stands for
        slope: Numbers = 0.0  # of it against log p, from d t / d tail = −1 / density
        for part, df in parts:
            t = quantile(df, tail)
            reached = reached + part * t**2
            slope = slope - 2 * part * t * tail / density(df, t)
        error = np.log(divided(reached, square))
        low, high = either(error > 0, log_p, low), either(error > 0, high, log_p)
        step = log_p - divided(error * reached, slope)
        following = either((step >= low) & (step <= high), step, (low + high) / 2)
        if np.all(np.abs(following - log_p) < _CLOSE):
            break
        log_p = following
    return following
