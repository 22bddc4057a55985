"""What trust scores are worth at every coverage at once. Equal scores stand in random order, and figures are its expectation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from w2s_bench.coverage import count_to_keep
from w2s_bench.results.statistics.scores import auroc
from w2s_bench.types import BoolArray, FloatArray, IntArray

#: The coverages at which purity is told.
GRID: Final = tuple(step / 10 for step in range(1, 11))
#: Into how many bins of equally many rows the calibration error parts probabilities, where nobody says.
BINS: Final = 10


@dataclass(frozen=True)
class Bin:
    """Rows of neighbouring scores: how many, their mean score, and the share of them whose label is right."""

    rows: int
    score: float
    right: float


@dataclass(frozen=True)
class Selective:
    """Of n scores against correctness; each is in [0, 1]. `brier`, `ece` and `reliability` are None where the scores are no
    probabilities; `reliability` has the bins that `ece` is made of, from the lowest scores to the highest.

    `auprc_right`, `auprc_wrong`: average precision in finding right labels from above, wrong ones from below. `aurc`: mean over
    k = 1 … n of the share of wrong labels among the k of highest score (Geifman & El-Yaniv 2017); `e_aurc`: what it is above that
    of a perfect order (Geifman et al. 2019). `augrc`: mean over k of the number of wrong labels among them, over n (Traub et
    al. 2024). `purity_at`: coverage, as text, to the share of right labels among the ⌊coverage · n⌋ highest.
    """

    auprc_right: float | None
    auprc_wrong: float | None
    aurc: float
    e_aurc: float
    augrc: float
    purity_at: Mapping[str, float]
    brier: float | None
    ece: float | None
    reliability: tuple[Bin, ...] | None


def selective_figures(scores: FloatArray, correct: BoolArray) -> Selective:
    """All of them; scores (n,) finite, higher = more trusted, correct (n,), n at least 1."""
    auroc(scores, correct)  # refuses what is no scores
    count = len(scores)
    if not count:
        raise ValueError("expected one score or more; got none")
    kept = np.arange(1, count + 1)
    right = expected_right(scores, correct)
    best = np.minimum(kept, int(correct.sum()))
    aurc, least = (float(np.mean(1 - right_kept / kept)) for right_kept in (right, best))
    purity_at = {
        f"{coverage:.1f}": float(right[k - 1] / k) for coverage in GRID if (k := count_to_keep(coverage, count))
    }
    is_probability = bool(scores.min() >= 0 and scores.max() <= 1)
    return Selective(
        average_precision(scores, correct),
        average_precision(-scores, ~correct),
        aurc,
        max(0.0, aurc - least),
        float(np.mean(kept - right)) / count,
        purity_at,
        float(np.mean((scores - correct) ** 2)) if is_probability else None,
        calibration_error(scores, correct) if is_probability else None,
        reliability(scores, correct) if is_probability else None,
    )


def expected_right(scores: FloatArray, correct: BoolArray) -> FloatArray:
    """(n,) how many of the k highest scores are right, for k = 1 … n."""
    sizes, rights = _ties(scores, correct)
    share = np.repeat(rights / sizes, sizes)
    total: FloatArray = np.cumsum(share)
    return total


def average_precision(scores: FloatArray, correct: BoolArray) -> float | None:
    """Mean over the right rows of the share of right ones among those of at least their rank; None where none is right.

    A right row at place j of m equal scores, r of them right, has (j - 1)(r - 1) / (m - 1) right ones of these before it.
    """
    if not correct.any():
        return None
    sizes, rights = _ties(scores, correct)
    above, right_above = np.cumsum(sizes) - sizes, np.cumsum(rights) - rights
    group = np.repeat(np.arange(len(sizes)), sizes)
    before = np.arange(len(scores)) - above[group]
    share = (rights - 1) / np.maximum(sizes - 1, 1)
    precision = (right_above[group] + 1 + before * share[group]) / (above[group] + before + 1)
    return float(math.fsum((rights / sizes)[group] * precision) / int(correct.sum()))


def calibration_error(scores: FloatArray, correct: BoolArray, bins: int = BINS) -> float:
    """Expected calibration error of probabilities in so many bins of equally many rows, equal scores in one: 0 is best."""
    apart = (abs(float(np.sum(scores[own] - correct[own]))) for own in _parted(scores, bins))
    return math.fsum(apart) / len(scores)


def reliability(scores: FloatArray, correct: BoolArray, bins: int = BINS) -> tuple[Bin, ...]:
    """How often labels of a score are right, in the bins of `calibration_error`."""
    parts = _parted(scores, bins)
    return tuple(Bin(int(own.sum()), float(scores[own].mean()), float(correct[own].mean())) for own in parts)


def _parted(scores: FloatArray, bins: int) -> list[BoolArray]:
    """At most so many bins of about equally many rows, equal scores in one, from the lowest: (n,) whether a row is in it."""
    edges = np.unique(np.quantile(scores, np.arange(1, bins) / bins))
    numbers = np.searchsorted(edges, scores, side="right")
    return [numbers == number for number in np.unique(numbers)]


def _ties(scores: FloatArray, correct: BoolArray) -> tuple[IntArray, IntArray]:
    """Of every distinct score, from the highest: how many rows have it, and how many of these are right."""
    _, group, times = np.unique(-scores, return_inverse=True, return_counts=True)
    return times.astype(np.int64), np.bincount(group, weights=correct).astype(np.int64)
