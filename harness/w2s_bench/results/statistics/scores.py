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
    _, value, times = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    ranks = (last - (times - 1) / 2)[value]  # tied scores get the mean of their ranks
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
