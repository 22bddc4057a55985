"""Objectives that the harness does not ship, written as a third party would: they must fit through the same door."""

from __future__ import annotations

import torch
from torch.nn import functional

from w2s_bench.models.objectives import Over, Step, Targets, Whose, mean_of


class Generalised:
    """Generalised cross-entropy (1 − pᑫ) / q of the label's p: robust to wrong labels (Zhang & Sabuncu 2018)."""

    over: tuple[Over, ...] = ("tokens", "options")
    needs: tuple[Whose, ...] = ()

    def __init__(self, q: float = 0.7) -> None:
        if not 0 < q <= 1:
            raise ValueError(f"q is {q}, expected a number above 0 and at most 1")
        self.q = q

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        logprob = -functional.cross_entropy(logits, targets.label, reduction="none")
        return mean_of((1 - torch.exp(self.q * logprob)) / self.q, weights)


class Confident:
    """Burns et al.: (1 − α) of cross-entropy to the label and α to the student's own choice; α rises, and does not jump."""

    over: tuple[Over, ...] = ("options",)
    needs: tuple[Whose, ...] = ()

    def __init__(self, alpha: float = 0.5, warm: float = 0.2) -> None:
        self.alpha, self.warm = alpha, warm

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        own, alpha = logits.detach().argmax(-1), self.alpha * step.warmed(self.warm)
        to_label, to_own = (functional.cross_entropy(logits, to, reduction="none") for to in (targets.label, own))
        return mean_of((1 - alpha) * to_label + alpha * to_own, weights)


class Soft:
    """Cross-entropy to the teacher's distribution over the options."""

    over: tuple[Over, ...] = ("options",)
    needs: tuple[Whose, ...] = ("teacher",)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        return mean_of(-(targets.probs["teacher"] * logits.log_softmax(-1)).sum(-1), weights)


class Product(Soft):
    """Cross-entropy to the product of the teacher's distribution and the untuned student's, made to sum to 1."""

    needs: tuple[Whose, ...] = ("teacher", "student")

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        joined = targets.probs["teacher"] * targets.probs["student"]
        joined = joined / joined.sum(-1, keepdim=True)
        return mean_of(-(joined * logits.log_softmax(-1)).sum(-1), weights)


class Tokens(Generalised):
    """Over tokens alone."""

    over: tuple[Over, ...] = ("tokens",)
