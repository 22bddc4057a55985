"""Fit of labels at several points of training → by points for right labels and wrong ones, and where it is saturated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from w2s_bench.types import BoolArray, FloatArray

#: The share of its greatest value at which a fit counts as saturated (Rahman et al. 2026, arXiv 2604.18574, of rewards in training).
SATURATED: Final = 0.99


@dataclass(frozen=True)
class OfSeed:
    """Mean fit of the labels that are right, and of those that are wrong, at each point; None where there are none such.

    `…_saturates`: the first point, from 0, at which it is at least `SATURATED` of its greatest value.
    """

    right: tuple[float | None, ...]
    wrong: tuple[float | None, ...]
    right_saturates: int | None
    wrong_saturates: int | None


def of_seed(fit: FloatArray, is_right: BoolArray) -> OfSeed:
    """`fit` (n, points) from 0 to 1, 1: the student gives the label; `is_right` (n,)."""
    right, wrong = (
        tuple(fit[chosen].mean(axis=0).tolist()) if chosen.any() else (None,) * fit.shape[1]
        for chosen in (is_right, ~is_right)
    )
    return OfSeed(right, wrong, saturates(right), saturates(wrong))


def saturates(fit: tuple[float | None, ...]) -> int | None:
    """The first point at which a fit is at least `SATURATED` of its greatest; None where it is nothing throughout."""
    values = np.array([0.0 if value is None else value for value in fit])
    if not values.max(initial=0.0) > 0:
        return None
    return int(np.argmax(values >= SATURATED * values.max()))
