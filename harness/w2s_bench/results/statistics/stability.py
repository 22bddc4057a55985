"""Would other test items order the arms otherwise? Split-half agreement of orders (Kendall's τ between two halves)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench.types import BoolArray, FloatArray, IntArray

#: How often items are halved.
HALVINGS = 200


@dataclass(frozen=True)
class Answered:
    """One domain: arm → (S, I) correctness, the seeds may differ; the gap of all items; (I,) one number a cluster, or None."""

    correct: Mapping[str, BoolArray]
    gap: float
    clusters: IntArray | None = None


def split_half(domains: Sequence[Answered], pairs: Iterable[tuple[str, str]]) -> float | None:
    """Kendall's τ between the orders of arms on two random halves of each domain's clusters, mean over `HALVINGS` halvings.

    Only the `pairs` given are compared, by the mean over domains of accuracy over gap; a pair that ties in either half counts
    0. 1: both halves always give the same order; 0: as if by lot. None without a domain or a pair. The same for the same
    input everywhere: halves are drawn by Python's own generator, and what is summed are whole numbers.
    """
    wanted = list(pairs)
    if not domains or not wanted:
        return None
    arms = sorted({arm for pair in wanted for arm in pair})
    drawn = random.Random(0)
    halves = np.zeros((2, HALVINGS, len(arms)))
    for domain in domains:
        halves += _scores(domain, arms, drawn)
    place = {arm: at for at, arm in enumerate(arms)}
    first, second = (np.array([place[pair[side]] for pair in wanted]) for side in (0, 1))
    agree = np.sign(halves[:, :, first] - halves[:, :, second]).prod(axis=0)  # (HALVINGS, pairs)
    return float(agree.sum() / agree.size)


def _scores(domain: Answered, arms: Sequence[str], drawn: random.Random) -> FloatArray:
    """(2, HALVINGS, arms) accuracy over gap on either half."""
    items = next(iter(domain.correct.values())).shape[1]
    codes = np.arange(items) if domain.clusters is None else domain.clusters
    sizes = np.bincount(codes).astype(np.float64)
    right = np.stack([np.bincount(codes, domain.correct[arm].sum(axis=0)) for arm in arms], axis=1)  # (clusters, arms)
    seeds = np.array([len(domain.correct[arm]) for arm in arms])
    # Whoever has one of the lower half of all draws is in the first half.
    order = np.argsort([[drawn.random() for _ in sizes] for _ in range(HALVINGS)], axis=1)
    member = np.zeros((HALVINGS, len(sizes)))
    np.put_along_axis(member, order[:, : len(sizes) // 2], 1.0, axis=1)
    parts = np.stack([member, 1.0 - member])
    accuracy: FloatArray = (parts @ right) / (parts @ sizes)[:, :, None] / seeds
    return accuracy / domain.gap
