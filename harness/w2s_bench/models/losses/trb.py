"""Objective `trb`: on-policy distillation whose first answers are written by a blend of student and teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench.models.losses.opd import LEAST, ReverseKL
from w2s_bench.models.objectives import Over, Step, refuse_outside

if TYPE_CHECKING:
    import torch

_HALVINGS = 40  # of the interval in which the blend's share of the teacher lies


class Blended(ReverseKL):
    """Trust-Region behavior Blending: the loss of `opd`, on answers that a blend of student and teacher writes (arXiv 2605.31159).

    The blend is the policy nearest to the teacher among those within ε nats of the student: μ ∝ p^(1−β) w^β, with the largest β
    from 0 to 1 for which KL(μ ‖ p) is at most ε; β is another for every token. ε falls linearly from `epsilon` (above 0;
    the authors': .001 to .05) at the first step to 0 after the share `share` of all steps (above 0, at most 1; theirs: 50 of
    400); from then on it is `opd`. `rollouts` as for `opd`.

    No arm where options are chosen: what is blended is how an answer begins, and of one choice nothing comes before, so that
    it is `opd` there.
    """

    over: tuple[Over, ...] = ("tokens",)

    def __init__(self, epsilon: float = 0.02, share: float = 0.125, rollouts: int = 1) -> None:
        super().__init__(rollouts)
        refuse_outside("epsilon", epsilon, 0, above=True)
        refuse_outside("share", share, 0, 1, above=True)
        self.epsilon, self.share = epsilon, share

    def budget(self, step: Step) -> float:
        return self.epsilon * (1 - step.warmed(self.share))


def blended(student: torch.Tensor, teacher: torch.Tensor, budget: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, k) log-probabilities of the blend, and (n,) its β, of logits (n, k) of both and a budget in nats.

    KL(μ_β ‖ p) never falls as β rises, so that the largest β within the budget is found by halving.
    """
    import torch

    own = student.double().log_softmax(-1)
    other = teacher.double().softmax(-1).clamp(min=LEAST).log()

    def mixed(beta: torch.Tensor) -> torch.Tensor:
        return ((1 - beta)[:, None] * own + beta[:, None] * other).log_softmax(-1)

    def within(beta: torch.Tensor) -> torch.Tensor:
        logs = mixed(beta)
        return (logs.exp() * (logs - own)).sum(-1) <= budget

    low = torch.zeros(len(own), dtype=own.dtype, device=own.device)
    high = torch.ones_like(low)
    whole = within(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = within(middle)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    beta = torch.where(whole, torch.ones_like(low), low)
    return mixed(beta), beta
