"""Which rows each optimizer step sees, its learning rate, and whether it diverged: alike for language models and heads. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.types import TrainingRow

_GROUP = 8  # batches cut from one length-sorted group: a quarter less padding, order still random


def batches(
    lengths: Sequence[int], *, steps: int, batch_size: int, rng: np.random.Generator, order: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """`steps` batches of row indices; no row comes again before all were seen.

    Rows are shuffled anew in every pass, and those of like length share a batch. With an `order`, all rows from the first to be
    seen to the last, every pass has that one, and batches are cut from it as it stands.
    """
    passes = _passes(lengths, batch_size, rng) if order is None else _in_order(order, batch_size)
    return islice(passes, steps)


def drawn(
    count: int, *, steps: int, batch_size: int, rng: np.random.Generator, order: Sequence[int] | None = None
) -> list[int]:
    """All rows of `count` that `batches` yields, or whose lengths it asks for, with such a `rng`: no others matter."""
    asked = _Asked(count)
    yielded = [i for batch in batches(asked, steps=steps, batch_size=batch_size, rng=rng, order=order) for i in batch]
    return sorted(asked.rows.union(yielded))


def order_of(rows: Sequence[TrainingRow]) -> list[int] | None:
    """The places of the rows by their turns, the first to be seen first; None where no row has a turn."""
    turns = [row.turn for row in rows if row.turn is not None]
    if not turns:
        return None
    if len(turns) < len(rows):
        raise ModelError(
            f"{len(rows) - len(turns)} of {len(rows)} rows to train on have no turn; give one to all or to none"
        )
    return sorted(range(len(rows)), key=turns.__getitem__)


class _Asked(Sequence[int]):
    """Lengths, all 0, that remember which of them were asked for: which are drawn does not depend on them."""

    def __init__(self, count: int) -> None:
        self.length, self.rows = count, set[int]()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: Any) -> Any:
        self.rows.add(row)
        return 0


def _in_order(order: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """The rows in this order again and again; where one pass ends in the middle of a batch, the next fills it up."""
    rows = cycle(order)
    while True:
        yield list(islice(rows, batch_size))


def _passes(lengths: Sequence[int], batch_size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    left: list[int] = []  # rows left of one pass, fewer than a batch, open the next
    while True:
        rows = left + rng.permutation(len(lengths)).tolist()
        if left and len(rows) >= batch_size:
            yield rows[:batch_size]
            rows = rows[batch_size:]
        whole = len(rows) // batch_size * batch_size
        for start in range(0, whole, _GROUP * batch_size):
            group = sorted(rows[start : min(start + _GROUP * batch_size, whole)], key=lambda i: lengths[i])
            for batch in rng.permutation(len(group) // batch_size).tolist():
                yield group[batch * batch_size : (batch + 1) * batch_size]
        left = rows[whole:]


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear warm-up over the first 5 % of steps, then linear decay to 2 %."""
    warm = max(1, int(steps * 0.05))
    return (step + 1) / warm if step < warm else max(0.02, (steps - step) / (steps - warm))


def refuse_divergence(step: int, steps: int, learning_rate: float, **sizes: float) -> None:
    """Raises `ModelError` if one of `sizes` (as of step `step`, the first is 0) is no finite number: a model of such numbers
    would answer all the same.
    """
    if all(math.isfinite(size) for size in sizes.values()):
        return
    told = ", ".join(f"{name.replace('_', ' ')} {size:g}" for name, size in sizes.items())
    rate = learning_rate * learning_rate_factor(step, steps)
    raise ModelError(
        f"training diverged at step {step + 1} of {steps}: {told}, at learning rate {rate:.3g} "
        f"(learning_rate {learning_rate:g}); lower learning_rate"
    )
