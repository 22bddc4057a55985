"""Would other test items order the arms otherwise? Split-half agreement of orders (Kendall's τ between two halves)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench.types import BoolArray, FloatArray, IntArray

#: How often items are halved: by other draws as many, τ differs by less than a hundredth on boards of three domains and seeds.
HALVINGS = 2000
_AT_ONCE = 64  # pairs that are compared side by side, so that little memory is gone through


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
    input everywhere: halves are drawn by a generator of numpy's whose stream is frozen, and what is summed are whole numbers.
    """
    wanted = list(pairs)
    if not domains or not wanted:
        return None
    arms = sorted({arm for pair in wanted for arm in pair})
    drawn = np.random.RandomState(0)
    halves = np.zeros((2, HALVINGS, len(arms)))
    for domain in domains:
        halves += _scores(domain, arms, drawn)
    place = {arm: at for at, arm in enumerate(arms)}
    first, second = (np.array([place[pair[side]] for pair in wanted]) for side in (0, 1))
    one, other = np.ascontiguousarray(halves.transpose(0, 2, 1))  # (arms, HALVINGS)
    agree = 0
    for start in range(0, len(wanted), _AT_ONCE):
        a, b = (numbers[start : start + _AT_ONCE] for numbers in (first, second))
        alike = np.sign(one[a] - one[b]) * np.sign(other[a] - other[b])
        agree += int(alike.sum())
    return agree / (len(wanted) * HALVINGS)


def _scores(domain: Answered, arms: Sequence[str], drawn: np.random.RandomState) -> FloatArray:
    """(2, HALVINGS, arms) accuracy over gap on either half."""
    items = next(iter(domain.correct.values())).shape[1]
    codes = np.arange(items) if domain.clusters is None else domain.clusters
    sizes = np.bincount(codes).astype(np.float64)
    right = np.stack([np.bincount(codes, domain.correct[arm].sum(axis=0)) for arm in arms], axis=1)  # (clusters, arms)
    seeds = np.array([len(domain.correct[arm]) for arm in arms])
    # Whoever has one of the lower half of all draws is in the first half.
    half = len(sizes) // 2
    lower = np.argpartition(drawn.random_sample((HALVINGS, len(sizes))), half, axis=1)[:, :half]
    member = np.zeros((HALVINGS, len(sizes)))
    np.put_along_axis(member, lower, 1.0, axis=1)
    parts = np.stack([member, 1.0 - member])
    accuracy: FloatArray = (parts @ right) / (parts @ sizes)[:, :, None] / seeds
    return accuracy / domain.gap
