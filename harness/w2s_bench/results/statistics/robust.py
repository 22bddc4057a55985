"""What seeds have one by one, and summaries that no single seed decides (Agarwal et al. 2021, arXiv 2108.13264)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from w2s_bench.types import BoolArray


def pgr_by_seed(student: BoolArray, weak: BoolArray, ceiling: BoolArray) -> tuple[float, ...]:
    """(student − weak) of each seed over the gap of all seeds; all (S, I). Their mean is the PGR. Empty where the gap is 0.

    Whole numbers of items are subtracted: two seeds that are as many items better than the teacher have one and the same value.
    """
    won = student.sum(axis=1) - weak.sum(axis=1)
    gap = float((ceiling.mean(axis=1) - weak.mean(axis=1)).mean())
    return tuple(int(of_seed) / weak.shape[1] / gap for of_seed in won) if gap else ()


def interquartile_mean(values: Iterable[float]) -> float | None:
    """Mean of the middle half, the outer quarters cut off to the item below; None of nothing."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return math.fsum(middle) / len(middle) if middle else None


def improvement(pairs: Iterable[tuple[Sequence[float], Sequence[float]]]) -> float | None:
    """Chance that a run of the first outdoes a run of the second, ties counting half: mean over domains; None of nothing."""
    chances = []
    for first, second in pairs:
        if first and second:
            apart = np.subtract.outer(np.array(first), np.array(second))
            chances.append(float((apart > 0).mean() + (apart == 0).mean() / 2))
    return math.fsum(chances) / len(chances) if chances else None
