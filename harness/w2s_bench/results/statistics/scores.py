"""How well scores tell right from wrong."""

from __future__ import annotations

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
    ranks = (last - (times - 1) / 2)[value]  # ties get the mean of their ranks
    return float((ranks[correct].sum() - right * (right + 1) / 2) / (right * wrong))
