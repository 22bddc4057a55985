"""One figure, or many at once: formulas of this folder are written once, for a number and for an array of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from w2s_bench.types import BoolArray, FloatArray

#: One number, or one a contrast, shape (contrasts,).
Numbers = float | FloatArray
Condition = bool | BoolArray


def total(parts: Sequence[Numbers]) -> Numbers:
    """The sum, rounded once, so that the order of its parts changes no bit (`math.fsum`)."""
    if all(isinstance(part, float) for part in parts):
        return math.fsum(parts)
    sums = map(math.fsum, np.stack(np.broadcast_arrays(*parts), axis=1).tolist())
    return np.array(list(sums))


def either(condition: Condition, yes: Numbers, no: Numbers) -> Numbers:
    """`yes` where the condition holds; `np.where` makes an array without axes of two numbers."""
    chosen: Numbers = np.where(condition, yes, no)[()]
    return chosen


def divided(a: Numbers, b: Numbers) -> Numbers:
    """a / b, without a word where b is 0: infinite, or no number where a is 0 too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Numbers = np.divide(a, b)
    return quotient
