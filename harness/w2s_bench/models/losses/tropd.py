"""Objective `tropd`: on-policy distillation that trusts the reverse divergence where the teacher might have said the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from w2s_bench.models.losses.opd import ReverseKL, logs_of
from w2s_bench.models.objectives import Step, Targets, mean_of, refuse_outside, refuse_unknown

if TYPE_CHECKING:
    import torch


class Accepted(ReverseKL):
    """Trust Region On-Policy Distillation (arXiv 2606.01249): `opd` on tokens that the teacher accepts, forward KL on others.

    A token v that the student p wrote is accepted with chance min(w_v / p_v, 1), w the teacher's, as in speculative decoding.
    An accepted one pulls by ln (p_v / w_v), as the reverse divergence does; a rejected one, an outlier, is estimated by
    the forward divergence Σ w ln (w / p) over the teacher's `top` likeliest tokens (64; at least 1). Both chances are known, so that
    neither the token nor its acceptance need be drawn for the loss: it is their expectation over all v,
    Σ_v min(p_v, w_v) ln (p_v / w_v) + (1 − Σ_v min(p_v, w_v)) Σ w ln (w / p), chances and pull held constant. `outliers` `none`:
    without the second part.

    Generated answers: an answer begins with the first l tokens of the row's label, the teacher's own; the student goes on. l is
    drawn from 0 to a most that falls, as a cosine does, from `prefix` (a share of the label, from 0 to 1; at least its last token
    is the student's) to 0 at the end of training. These tokens y count by `beta` (.001; from 0) times ln (w_y / p_y).
    `rollouts` as for `opd`. Options: one choice without such a beginning.
    """

    def __init__(
        self, top: int = 64, outliers: str = "fkl", prefix: float = 1.0, beta: float = 0.001, rollouts: int = 1
    ) -> None:
        super().__init__(rollouts)
        refuse_outside("top", top, 1)
        if not isinstance(top, int):
            raise ValueError(f"top is {top!r}, expected a whole number from 1")
        refuse_unknown("outliers", outliers, ("fkl", "none"))
        refuse_outside("prefix", prefix, 0, 1)
        refuse_outside("beta", beta, 0)
        self.top, self.outliers, self.prefix, self.beta = top, outliers, prefix, beta

    def opening(self, step: Step) -> float:
        return self.prefix * (1 + math.cos(math.pi * step.number / step.of)) / 2

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        import torch

        teacher = targets.probs["teacher"]
        logs, wanted = logits.log_softmax(-1), logs_of(teacher)
        chance = accepted(logs.detach(), wanted)
        losses = (logs.exp() * (chance * (logs.detach() - wanted))).sum(-1)
        if self.outliers == "fkl":
            rejected = 1 - (logs.detach().exp() * chance).sum(-1)
            losses = losses + rejected * forward_kl(logs, teacher, self.top)
        if targets.off_policy is not None:
            label = targets.label[:, None]
            given = (wanted.gather(-1, label) - logs.gather(-1, label))[:, 0]
            losses = torch.where(targets.off_policy, self.beta * given, losses)
        return mean_of(losses, weights)


def accepted(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """(n, k) with what chance each class is accepted where the student chose it, of log-probabilities (n, k) of both."""
    return (teacher - student).clamp(max=0).exp()


def forward_kl(logs: torch.Tensor, teacher: torch.Tensor, top: int) -> torch.Tensor:
    """(n,) Σ w ln (w / p) over the `top` likeliest classes of the teacher w (n, k), of the student's log-probabilities (n, k)."""
    likeliest, places = teacher.topk(min(top, teacher.shape[-1]), dim=-1)
    return (likeliest * (logs_of(likeliest) - logs.gather(-1, places))).sum(-1)
