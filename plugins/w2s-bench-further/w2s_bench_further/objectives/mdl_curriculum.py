"""Labels that the teacher is sure of first, then all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench import Objective, Over, Step, Targets, Whose

if TYPE_CHECKING:
    import torch


class MdlCurriculum:
    """MDL curriculum: cross-entropy of the label, in the first part of training of the batch's surest labels alone, then of all.

    For the first `share` of the steps a row counts where the teacher's probability of its label is at least the batch's 1 - `top` quantile;
    afterwards every row does. Labels that are short to describe for a student that has seen the sure ones fit what it has learned by then,
    and the others have to overcome it: minimum description length by order. Rows of gold, of which the teacher said nothing, are sure. The
    automated weak-to-strong researcher (2026) has two epochs on the surer half of all labels, then three on all at half the learning rate:
    here the half is each batch's, 2 / 5 of the steps are the first part, and the learning rate is the suite's throughout. Domains with
    options alone.
    """

    over: tuple[Over, ...] = ("options",)
    needs: tuple[Whose, ...] = ("teacher",)

    def __init__(self, share: float = 0.4, top: float = 0.5, least: float | None = None) -> None:
        for name, value in (("share", share), ("top", top)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {value!r}")
        if least is not None and not 0 <= least <= 1:
            raise ValueError(f"least must be a probability, or left out (the batch's own quantile), got {least!r}")
        self.share, self.top, self.least = float(share), float(top), least

    def settled(self, logits: torch.Tensor, targets: Targets, step: Step) -> Objective:
        """With the quantile of the whole batch."""
        if step.number >= self.share * step.of:
            return MdlCurriculum(self.share, self.top, 0.0)
        import torch

        return MdlCurriculum(self.share, self.top, float(torch.quantile(_sure(targets), 1 - self.top)))

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        if self.least is None:
            settled: torch.Tensor = self.settled(logits.detach(), targets, step).loss(logits, targets, weights, step)
            return settled
        losses = cross_entropy(logits, targets.label, reduction="none")
        if step.number < self.share * step.of:
            losses = losses * (_sure(targets) >= self.least).to(losses) / self.top
        return losses.mean() if weights is None else (weights * losses).mean()


def _sure(targets: Targets) -> torch.Tensor:
    """(n,) the teacher's probability of each label."""
    return targets.probs["teacher"].gather(-1, targets.label[:, None])[:, 0].float()  # type: ignore[no-any-return]
