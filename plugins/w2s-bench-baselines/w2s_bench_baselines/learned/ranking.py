"""How well scores rank right labels above wrong ones."""

from __future__ import annotations

from w2s_bench import BoolArray, FloatArray


def auroc(scores: FloatArray, correct: BoolArray) -> float:
    """Share of (right, wrong) pairs in which the right label scores higher; ties count half. Needs both kinds."""
    from scipy.stats import rankdata

    right = int(correct.sum())
    pairs = right * (len(correct) - right)
    return float((rankdata(scores)[correct].sum() - right * (right + 1) / 2) / pairs)
