"""A scalar head on frozen states, a logit an option, trained by AdamW in numpy: no language model, and of torch what a loss takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import ModelError
from w2s_bench.models.batching import batches, learning_rate_factor, refuse_divergence
from w2s_bench.models.objectives import (
    ABSENT,
    XENT,
    ClosedForm,
    Objective,
    Step,
    Targets,
    Whose,
    distributions,
    flat,
    places,
)
from w2s_bench.models.weights import WEIGHTS
from w2s_bench.record import read_arrays, write_arrays
from w2s_bench.types import FloatArray, IntArray

States = NDArray[np.float32]  # (options of all items, …, d)

_BETAS, _EPSILON, _DECAY = (0.9, 0.98), 1e-8, 0.01
_NAMES = ("head.mean", "head.scale", "head.weight", "head.zero_shot")
_ROWS = 65_536  # rows of states in double precision at once


@dataclass(frozen=True)
class Head:
    """`weight` reads states standardised by the `mean` and `scale` of those it was trained on; each (d,).

    `zero_shot` is what the untuned model's score is multiplied by.
    """

    weight: NDArray[np.float32]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    zero_shot: float = 1.0

    def scores(self, states: States, zero_shot: FloatArray | None = None) -> FloatArray:
        """(n,) one logit a state: what the untuned model says, `zero_shot` (n,), and the head's correction of it."""
        if states.shape[1:] != self.weight.shape:
            raise ModelError(
                f"a head of width {len(self.weight)} cannot read states of shape {states.shape}: it was trained on those "
                "of another model; train it again"
            )
        parts = [self._standardised(states[start : start + _ROWS]) for start in range(0, len(states), _ROWS)]
        correction = np.concatenate([part @ self.weight.astype(np.float64) for part in parts] or [np.zeros(0)])
        return correction if zero_shot is None else self.zero_shot * zero_shot + correction

    def _standardised(self, states: States) -> FloatArray:
        return (states.astype(np.float64) - self.mean) / self.scale

    def save(self, folder: Path) -> None:
        arrays = {"head.weight": self.weight, "head.mean": self.mean, "head.scale": self.scale}
        write_arrays(folder / WEIGHTS, {**arrays, "head.zero_shot": np.array([self.zero_shot])})

    @classmethod
    def load(cls, folder: Path) -> Head:
        arrays: dict[str, Any] = read_arrays(folder / WEIGHTS)
        wide = {array.shape for name, array in arrays.items() if name != "head.zero_shot"}
        if tuple(sorted(arrays)) != _NAMES or len(wide) > 1 or arrays["head.zero_shot"].shape != (1,):
            shapes = {name: array.shape for name, array in sorted(arrays.items())}
            raise ModelError(
                f"weights in {folder} are no head: {', '.join(_NAMES)} are expected, the "
                f"last (1,), the others (d,), found {shapes}; train it again"
            )
        return cls(arrays["head.weight"], arrays["head.mean"], arrays["head.scale"], float(arrays["head.zero_shot"][0]))


def moments(states: States) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(d,) mean and (d,) deviation of states, by which they are standardised."""
    scale = (states.std(0, dtype=np.float64) + 1e-6).astype(np.float32)
    return states.mean(0, dtype=np.float64).astype(np.float32), scale


def train_head(
    states: States,
    offsets: IntArray,
    labels: IntArray,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    objective: Objective = XENT,
    weights: FloatArray | None = None,
    probs: Mapping[Whose, Sequence[FloatArray]] | None = None,
    zero_shot: FloatArray | None = None,
    ridge: float = 0.0,
    order: Sequence[int] | None = None,
) -> tuple[Head, list[float]]:
    """The head after exactly `steps` steps, and the loss of every step.

    It corrects the untuned model's own summed log-probabilities `zero_shot` (options of all items,), from no correction on:
    before its first step it predicts what the untuned model does. Without them it begins at nothing.

    Item i has rows `offsets[i]:offsets[i + 1]` of `states`, and is trained towards its option `labels[i]` (items,). `weights`
    (items,) are as `Objective.loss` has them; `probs` hold for every item a distribution over its options, empty where it has
    none.

    `ridge` · |w|² / 2 is added to the loss that is minimised, not to those returned. `order` is as `batching.batches` has it.

    The arithmetic is in double precision: AdamW divides by the size of gradients, so that of one near zero every digit counts.
    """
    mean, scale = moments(states)
    weight, first, second = (np.zeros(states.shape[1]) for _ in range(3))
    widths = np.diff(offsets)
    losses = []
    rng = np.random.default_rng(seed)
    for step, items in enumerate(batches(widths.tolist(), steps=steps, batch_size=batch_size, rng=rng, order=order)):
        rows = np.concatenate([np.arange(offsets[item], offsets[item + 1]) for item in items])
        starts = np.concatenate([[0], np.cumsum(widths[items])])
        x = (states[rows].astype(np.float64) - mean) / scale
        own = None if weights is None else weights[items]
        given = {whose: [rows_of[item] for item in items] for whose, rows_of in (probs or {}).items()}
        logits = x @ weight if zero_shot is None else zero_shot[rows] + x @ weight
        loss, slopes = _slopes(objective, logits, starts, labels[items], own, given, Step(step, steps))
        losses.append(loss)
        gradient = slopes @ x / len(items) + ridge * weight
        # AdamW as torch has it: decay apart from the gradient, moments corrected for their start at zero.
        rate = learning_rate * learning_rate_factor(step, steps)
        first += (1 - _BETAS[0]) * (gradient - first)
        second += (1 - _BETAS[1]) * (gradient**2 - second)
        size = np.sqrt(second / (1 - _BETAS[1] ** (step + 1))) + _EPSILON
        weight = weight * (1 - rate * _DECAY) - rate / (1 - _BETAS[0] ** (step + 1)) * first / size
        with np.errstate(over="ignore"):  # a weight beyond float32 becomes infinite
            largest = float(np.float32(np.abs(weight).max(initial=0.0)))
        refuse_divergence(step, steps, learning_rate, loss=loss, largest_weight=largest)
    return Head(weight.astype(np.float32), mean, scale), losses


def _slopes(
    objective: Objective,
    logits: FloatArray,
    starts: IntArray,
    labels: IntArray,
    weights: FloatArray | None,
    probs: Mapping[Whose, Sequence[FloatArray]],
    step: Step,
) -> tuple[float, FloatArray]:
    """The loss of a batch, and the derivative (options,) of its sum over the items by each logit."""
    if isinstance(objective, ClosedForm):
        losses, slopes = objective.losses_and_slopes(logits, starts, labels, step, flat(probs, starts, labels))
        if weights is not None:
            losses, slopes = weights * losses, np.repeat(weights, np.diff(starts)) * slopes
        return float(np.mean(losses)), slopes
    import torch

    widths = np.diff(starts)
    row, column = places(widths)
    table = torch.full((len(labels), int(widths.max())), ABSENT, dtype=torch.float64)
    table[row, column] = torch.from_numpy(logits)
    wanted = torch.from_numpy(labels)
    targets = Targets(wanted, distributions(probs, wanted, table))
    own = None if weights is None else torch.from_numpy(weights)
    loss = objective.loss(table.requires_grad_(), targets, own, step)
    (by_logit,) = torch.autograd.grad(loss, table)
    return loss.item(), by_logit[row, column].numpy() * len(labels)


def gradients_of(
    states: States,
    zero_shot: FloatArray,
    offsets: IntArray,
    labels: IntArray,
    *,
    like: States,
    begun: Head | None = None,
) -> NDArray[np.float32]:
    """(items, d) of every item the gradient of its cross-entropy by a head's weights, before their first step or as `begun` has them.

    Arguments as for `train_head`; states are standardised as those of `like` (any number, d), the pool that heads are trained on.
    """
    mean, scale = moments(like)
    logits = zero_shot if begun is None else begun.scores(states, zero_shot)
    gradients = np.zeros((len(labels), states.shape[1]), dtype=np.float32)
    for item, label in enumerate(labels):
        here = slice(int(offsets[item]), int(offsets[item + 1]))
        slopes = np.exp(logits[here] - np.logaddexp.reduce(logits[here]))
        slopes[label] -= 1
        gradients[item] = slopes @ ((states[here].astype(np.float64) - mean) / scale)
    return gradients
