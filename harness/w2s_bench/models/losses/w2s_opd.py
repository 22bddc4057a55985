"""Objective `w2s_opd`: on-policy distillation from the untuned student, moved by what training changed in the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench.models.losses.opd import ReverseKL, logs_of
from w2s_bench.models.objectives import Targets, Whose, refuse_outside

if TYPE_CHECKING:
    import torch


class Contrast(ReverseKL):
    """Weak-to-strong on-policy distillation: `opd` to the untuned student, moved along the weak direction (arXiv 2607.26246).

    In place of the teacher stands t ∝ s · (w / u)^α, the softmax of z_s + α (z_w − z_u): s is the student before training, w the
    teacher, u the teacher before its own training on gold, so that the direction is what that training changed. `alpha` is
    from 0 (t is s, and a student that begins there stays) on; the authors' 1 is the default. They take two weak models of
    unlike size for w and u. `rollouts` as for `opd`. Options: the same of distributions over an item's options.
    """

    needs: tuple[Whose, ...] = ("teacher", "student", "untuned_teacher")

    def __init__(self, alpha: float = 1.0, rollouts: int = 1) -> None:
        super().__init__(rollouts)
        refuse_outside("alpha", alpha, 0)
        self.alpha = alpha

    def _wanted(self, targets: Targets) -> torch.Tensor:
        logs = {whose: logs_of(targets.probs[whose]) for whose in self.needs}
        return contrast(logs["student"], logs["teacher"], logs["untuned_teacher"], self.alpha)


def contrast(anchor: torch.Tensor, strong: torch.Tensor, weak: torch.Tensor, alpha: float) -> torch.Tensor:
    """(n, k) log-probabilities in proportion to anchor · (strong / weak)^α, of log-probabilities (n, k) of the three."""
    return (anchor + alpha * (strong - weak)).log_softmax(-1)
