"""Two students trained side by side, each on what the other finds easiest in its batch. Gold is at hand in no place here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.assumptions import anatomy_of
from w2s_bench.models.finetuning import Examples, course
from w2s_bench.models.memory import by_halves
from w2s_bench.models.objectives import Paired, Step


def peers_seed(seed: int) -> int:
    """The seed of the second of two students."""
    return int(np.random.default_rng([seed, 3]).integers(1 << 63))


def co_teach(
    model: Any, peer: Any, examples: Examples, *, objective: Paired, seed: int, steps: int, **settings: Any
) -> list[float]:
    """Train both in place as `finetune` does one; returns the loss of every step of `model`, over the rows that `peer` chose.

    `peer` draws by `peers_seed` what its batches are, so that of `examples` the rows that either draws are looked at. Raises
    `ModelError` where the share that is left out is no whole row of a batch: both would be trained by plain cross-entropy.
    """
    batch_size, left = settings["batch_size"], objective.share_left(Step(steps - 1, steps))
    if left < 1 and _kept(left, batch_size) == batch_size:
        raise ModelError(
            f"of a batch of {batch_size} rows the objective leaves {1 - left:.3g} out, which is none of them, so that two students "
            f"would learn from all: take a batch_size of {int(0.5 / (1 - left)) + 1} or more, or leave more out"
        )
    settings |= {"steps": steps, "objective": objective}
    first = course(model, examples, seed=seed, **settings)
    second = course(peer, examples, seed=peers_seed(seed), **settings)
    try:
        own, other = next(first), next(second)
        for number in range(steps):
            step = Step(number, steps)
            # Both choose before either learns.
            chosen, given = (
                easiest(peer, examples, own, objective, step),
                easiest(model, examples, other, objective, step),
            )
            other = second.send(given) if number + 1 < steps else _ended(second, given)
            own = first.send(chosen)
    except StopIteration as done:
        losses: list[float] = done.value
        return losses
    raise AssertionError("a course ends after its steps")


def _ended(of: Any, rows: Sequence[int]) -> list[int]:
    """The last step of a course."""
    try:
        of.send(list(rows))
    except StopIteration:
        return []
    raise AssertionError("a course ends after its steps")


def _kept(share: float, rows: int) -> int:
    """How many rows of a batch are trained on."""
    return max(1, round(share * rows))


@torch.no_grad()
def easiest(judge: Any, examples: Examples, batch: Sequence[int], objective: Paired, step: Step) -> list[int]:
    """The rows of a batch, in its order, whose labels cost the judge least: as many as the objective keeps, at least one.

    The judge answers as it does in use, without dropout. Of rows that cost the same the first are taken.
    """
    was_training, anatomy = judge.training, anatomy_of(judge)
    judge.eval()

    def cost(rows: list[int]) -> list[float]:
        logits, targets, own = examples.logits(judge, anatomy, rows)
        each = torch.nn.functional.cross_entropy(logits, targets.label, reduction="none").double()
        sums = torch.zeros(len(rows), dtype=each.dtype, device=each.device).index_add(0, own, each)
        counts = torch.bincount(own, minlength=len(rows)).clamp(min=1)
        means: list[float] = (sums / counts).tolist()
        return means

    costs = np.array(by_halves(judge, cost, list(batch)))
    judge.train(was_training)
    count = _kept(objective.share_left(step), len(batch))
    places = np.sort(np.argsort(costs, kind="stable")[:count])
    return [batch[place] for place in places]
