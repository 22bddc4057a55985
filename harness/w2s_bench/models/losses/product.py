"""Objective `product`: the teacher's distribution times the student's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench.models.losses.soft import log_of, towards
from w2s_bench.models.objectives import Over, Step, Targets, Whose, mean_of, refuse_outside, refuse_unknown

if TYPE_CHECKING:
    import torch


class Product:
    """Cross-entropy to a product of experts: −Σₖ tₖ ln pₖ with t ∝ wᵅ · sᵝ, made to sum to 1 and held constant.

    w is the teacher's distribution over the options. s is the student's own: as it was before training, where `prior` is
    `untuned`, as it is at this step where it is `current` (`product_loss_fn` of openai/weak-to-strong). `alpha` is above 0,
    `beta` from 0; at α = 1 and β = 0 it is `soft`. Where a row's label is gold, w is all on the label and so is t. Over
    options alone.
    """

    over: tuple[Over, ...] = ("options",)

    def __init__(self, alpha: float = 1.0, beta: float = 1.0, prior: str = "untuned") -> None:
        refuse_outside("alpha", alpha, 0, above=True)
        refuse_outside("beta", beta, 0)
        refuse_unknown("prior", prior, ("untuned", "current"))
        self.alpha, self.beta, self.prior = alpha, beta, prior

    @property
    def needs(self) -> tuple[Whose, ...]:
        return ("teacher", "student") if self.prior == "untuned" else ("teacher",)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        import torch

        if self.prior == "untuned":
            given = targets.probs["student"]
            own = given.clamp(min=torch.finfo(given.dtype).tiny).log()
        else:
            own = logits.detach().log_softmax(-1)
        # The label of a gold row keeps all the weight, even where the student held it to be impossible.
        wanted = (self.alpha * log_of(targets.probs["teacher"]) + self.beta * own).softmax(-1)
        return mean_of(towards(wanted, logits), weights)
