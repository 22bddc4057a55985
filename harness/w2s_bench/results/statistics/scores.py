"""How well scores tell right from wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from w2s_bench.types import BoolArray, FloatArray


def auroc(scores: FloatArray, correct: BoolArray) -> float | None:
    """Chance that a correct row outscores an incorrect one, ties counting half; scores and correct (n,).

    None where all rows are correct or none is: there is no pair to compare.
    """
    scores, correct = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if scores.ndim != 1 or scores.shape != correct.shape or not np.isfinite(scores).all():
        got = f"{scores.shape} and {correct.shape}"
        raise ValueError(f"expected finite scores and correctness, one value a row each; got {got}")
    right = int(correct.sum())
    wrong = len(correct) - right
    if right == 0 or wrong == 0:
        return None
    ranks = mean_ranks(scores)
    return float((ranks[correct].sum() - right * (right + 1) / 2) / (right * wrong))


def auroc_within(scores: FloatArray, correct: BoolArray, groups: Sequence[str]) -> float | None:
    """Chance that a correct row outscores an incorrect one of its own group, ties counting half; all (n,).

    Pairs of all groups count alike, those of rows of two groups not at all: what the group alone tells is worth one half.
    None where no group has a pair.
    """
    names, group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if len(group) != len(correct):
        raise ValueError(f"expected one group a row; got {len(group)} for {len(correct)} rows")
    won, pairs = 0.0, 0
    for number in range(len(names)):
        here = group == number
        right = int(correct[here].sum())
        of_group = right * (int(here.sum()) - right)
        if (value := auroc(scores[here], correct[here])) is not None:
            won, pairs = won + value * of_group, pairs + of_group
    return won / pairs if pairs else None


def mean_ranks(values: FloatArray) -> FloatArray:
    """(n,) the rank of each value from 1, ties the mean of theirs."""
    _, value, times = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    ranks: FloatArray = (last - (times - 1) / 2)[value]
    return ranks


def spearman(first: FloatArray, second: FloatArray) -> float | None:
    """Rank correlation of two values a row, both (n,), in [−1, 1]: Pearson's of their mean ranks (Spearman 1904).

    None where either has one value in all rows: there is no order to compare. Values that agree to the ninth decimal are equal, since
    means of the same numbers in another order differ in the last digit.
    """
    a, b = (np.asarray(values, dtype=np.float64).round(9) for values in (first, second))
    if a.ndim != 1 or a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"expected two finite values a row; got {a.shape} and {b.shape}")
    if len(a) < 2:
        return None
    x, y = mean_ranks(a), mean_ranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(np.clip(x @ y / size, -1.0, 1.0)) if size > 0 else None
