"""Objective `soft`: the teacher's distribution in place of its hard label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench.models.objectives import ABSENT, Over, Step, Targets, Whose, mean_of, refuse_outside

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


def log_of(probs: torch.Tensor) -> torch.Tensor:
    """Their logarithms, and that of an absent option where a probability is 0."""
    return probs.log().clamp(min=ABSENT)


def sharpened(probs: torch.Tensor, power: float) -> torch.Tensor:
    """(n, k) in proportion to each probability to this power; what is 0 stays 0."""
    return probs if power == 1 else (power * log_of(probs)).softmax(-1)


def towards(wanted: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """(n,) the cross-entropy of the logits (n, k) to distributions (n, k)."""
    return -(wanted * logits.log_softmax(-1)).sum(-1)
