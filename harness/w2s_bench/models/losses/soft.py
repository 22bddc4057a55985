"""Objective `soft`: the teacher's distribution in place of its hard label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from w2s_bench.models.objectives import (
    ABSENT,
    Over,
    Step,
    Targets,
    Whose,
    distribution_readings,
    mean_of,
    refuse_outside,
)
from w2s_bench.types import FloatArray, IntArray

if TYPE_CHECKING:
    import torch


class Soft:
    """Cross-entropy to the teacher's distribution over the options: −Σₖ wₖ ln pₖ (Burns et al. 2023).

    w is the softmax of the teacher's scores of the item's options, divided by `temperature` (above 0; 1: as they are, smaller:
    nearer to the hard label, larger: nearer to uniform). Where a row's label is gold there is no teacher: w is all on the
    label, and the loss is the cross-entropy. Over options alone.
    """

    over: tuple[Over, ...] = ("options",)
    needs: tuple[Whose, ...] = ("teacher",)

    def __init__(self, temperature: float = 1.0) -> None:
        refuse_outside("temperature", temperature, 0, above=True)
        self.temperature = temperature

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        wanted = sharpened(targets.probs["teacher"], 1 / self.temperature)
        return mean_of(towards(wanted, logits), weights)

    def losses_and_slopes(
        self, logits: FloatArray, starts: IntArray, labels: IntArray, step: Step, probs: Mapping[Whose, FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        wanted = probs["teacher"]
        if self.temperature != 1:
            wanted = normalised(log_of_array(wanted) / self.temperature, starts)
        return distribution_readings(logits, starts, wanted)


def log_of(probs: torch.Tensor) -> torch.Tensor:
    """Their logarithms, and that of an absent option where a probability is 0."""
    return probs.log().clamp(min=ABSENT)


def log_of_array(probs: FloatArray) -> FloatArray:
    """`log_of` of an array."""
    logs: FloatArray = np.log(probs, out=np.full_like(probs, ABSENT), where=probs > 0)
    return logs


def normalised(logs: FloatArray, starts: IntArray) -> FloatArray:
    """(options,) distributions of each item in proportion to exp(logs); item i has `starts[i]` to `starts[i + 1]`."""
    return distribution_readings(logs, starts, np.zeros_like(logs))[1]  # the slopes towards nothing: p itself


def sharpened(probs: torch.Tensor, power: float) -> torch.Tensor:
    """(n, k) in proportion to each probability to this power; what is 0 stays 0."""
    return probs if power == 1 else (power * log_of(probs)).softmax(-1)


def towards(wanted: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """(n,) the cross-entropy of the logits (n, k) to distributions (n, k)."""
    return -(wanted * logits.log_softmax(-1)).sum(-1)
