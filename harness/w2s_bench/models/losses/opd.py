"""Objective `opd`: on-policy distillation by the reverse divergence from the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_bench.models.objectives import Over, Step, Targets, Whose, mean_of, refuse_outside

if TYPE_CHECKING:
    import torch

#: What a model gives each class at least, so that one that it held impossible has a logarithm.
LEAST = float(np.finfo(np.float32).tiny)


class ReverseKL:
    """On-policy distillation: KL(p ‖ w) = Σₖ pₖ ln (pₖ / wₖ), from the student p to the teacher w (Agarwal et al. 2024).

    Generated answers: at every step the student, as it is then, writes `rollouts` answers (1 to 64) to the prompt of each row,
    token by token at temperature 1, and the loss is the mean over their tokens, of the whole vocabulary. What is written has
    no gradient, is graded by nobody, and the row's label is not looked at. Options: p and w are distributions over the
    item's options, so that nothing is drawn. The teacher is the weak one.

    A suite's `objectives` alone: what it learns is the teacher's, and references learn from gold.
    """

    over: tuple[Over, ...] = ("options", "tokens")
    needs: tuple[Whose, ...] = ("teacher",)

    def __init__(self, rollouts: int = 1) -> None:
        refuse_outside("rollouts", rollouts, 1, 64)
        if not isinstance(rollouts, int):
            raise ValueError(f"rollouts is {rollouts!r}, expected a whole number from 1 to 64")
        self.rollouts = rollouts

    def budget(self, step: Step) -> float:
        return 0.0

    def opening(self, step: Step) -> float:
        return 0.0

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        return mean_of(reverse_kl(logits, self._wanted(targets)), weights)

    def _wanted(self, targets: Targets) -> torch.Tensor:
        """(n, k) the log-probabilities that the student is to come near to."""
        return logs_of(targets.probs["teacher"])


def reverse_kl(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(n,) nats of KL(p ‖ w), of logits (n, k) of p and log-probabilities (n, k) of w."""
    logs = logits.log_softmax(-1)
    return (logs.exp() * (logs - wanted)).sum(-1)


def logs_of(probs: torch.Tensor) -> torch.Tensor:
    """Finite logarithms of probabilities."""
    return probs.clamp(min=LEAST).log()
