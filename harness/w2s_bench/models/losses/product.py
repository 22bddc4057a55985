"""Objective `product`: the teacher's distribution times the student's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from w2s_bench.models.losses.soft import log_of, log_of_array, normalised, towards
from w2s_bench.models.objectives import (
    Objective,
    Over,
    Step,
    Targets,
    Whose,
    distribution_readings,
    mean_of,
    refuse_outside,
    refuse_unknown,
)
from w2s_bench.types import FloatArray, IntArray

if TYPE_CHECKING:
    import torch

#: What an option counts as at least that the untuned student held to be impossible: the label of a gold row keeps all the weight.
_LEAST = float(np.finfo(np.float32).tiny)


def product(alpha: float = 1.0, beta: float = 1.0, prior: str = "untuned") -> Objective:
    """Cross-entropy to a product of experts: −Σₖ tₖ ln pₖ with t ∝ wᵅ · sᵝ, made to sum to 1 and held constant.

    w is the teacher's distribution over the options. s is the student's own: as it was before training, where `prior` is
    `untuned`, as it is at this step where it is `current` (`product_loss_fn` of openai/weak-to-strong). `alpha` is above 0,
    `beta` from 0; at α = 1 and β = 0 it is `soft`. Where a row's label is gold, w is all on the label and so is t. Over
    options alone.
    """
    refuse_outside("alpha", alpha, 0, above=True)
    refuse_outside("beta", beta, 0)
    refuse_unknown("prior", prior, ("untuned", "current"))
    return Untuned(alpha, beta) if prior == "untuned" else Current(alpha, beta)


@dataclass(frozen=True)
class Current:
    """`product` with the student as it is."""

    alpha: float
    beta: float
    over: tuple[Over, ...] = ("options",)
    needs: tuple[Whose, ...] = ("teacher",)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        own = self._own(logits, targets)
        wanted = (self.alpha * log_of(targets.probs["teacher"]) + self.beta * own).softmax(-1)
        return mean_of(towards(wanted, logits), weights)

    def _own(self, logits: torch.Tensor, targets: Targets) -> torch.Tensor:
        return logits.detach().log_softmax(-1)


@dataclass(frozen=True)
class Untuned(Current):
    """`product` with the student as it was."""

    needs: tuple[Whose, ...] = ("teacher", "student")

    def _own(self, logits: torch.Tensor, targets: Targets) -> torch.Tensor:
        return targets.probs["student"].clamp(min=_LEAST).log()

    def losses_and_slopes(
        self, logits: FloatArray, starts: IntArray, labels: IntArray, step: Step, probs: Mapping[Whose, FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        logs = self.alpha * log_of_array(probs["teacher"]) + self.beta * np.log(np.maximum(probs["student"], _LEAST))
        return distribution_readings(logits, starts, normalised(logs, starts))
