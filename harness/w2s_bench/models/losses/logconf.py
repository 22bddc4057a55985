"""Objective `logconf`: the auxiliary confidence loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from w2s_bench.models.losses.soft import towards
from w2s_bench.models.objectives import (
    ABSENT,
    Objective,
    Over,
    Step,
    Targets,
    Whose,
    mean_of,
    over_asked,
    refuse_outside,
    refuse_unknown,
)

if TYPE_CHECKING:
    import torch


def logconf(
    alpha: float = 0.5, warm: float = 0.2, labels: str = "hard", threshold: str = "adaptive", over: str = "tokens"
) -> Objective:
    """Auxiliary confidence loss: (1 − a) · cross-entropy to the label + a · to the student's own choice (Burns et al. 2023).

    a rises linearly from 0 to `alpha` (from 0 to 1; the authors: .5, and .75 where teacher and student are far apart) over the
    share `warm` of all steps (from 0 to 1), and stays. The student's choice, which has no gradient, is its likeliest class.
    With `threshold` `adaptive`, where every item of a batch has two options, it is instead the first option for those items
    whose probability of it is at least a quantile of the batch, so that the student chooses each option as often as the labels
    do; more options or tokens have no such threshold. `threshold` `none`: always the likeliest.

    `labels` `soft`: the label is the teacher's distribution, as the authors have it, and the loss over options alone whatever
    `over` is; `hard`: the class that it names. A label of gold is all on its class. `over` as for `xent`.

    The authors' code (`logconf_loss_fn`) multiplies `alpha` by the share of steps done until its warm-up ends and then leaps to
    the whole; this one does as the paper says.
    """
    refuse_outside("alpha", alpha, 0, 1)
    refuse_outside("warm", warm, 0, 1)
    refuse_unknown("labels", labels, ("hard", "soft"))
    refuse_unknown("threshold", threshold, ("adaptive", "none"))
    asked = over_asked(over)
    if labels == "soft":
        asked = ("options",)
    made = Adaptive if threshold == "adaptive" and "options" in asked else Confident
    return made(alpha, warm, ("teacher",) if labels == "soft" else (), asked)


@dataclass(frozen=True)
class Confident:
    """`logconf` with the student's likeliest class as its choice, or the first of two where it is at least `first`.

    `first` is a probability; None: the likeliest.
    """

    alpha: float
    warm: float
    needs: tuple[Whose, ...]
    over: tuple[Over, ...]
    first: float | None = None

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        share = self.alpha * step.warmed(self.warm)
        to_own = cross_entropy(logits, self._own(logits.detach()), reduction="none")
        to_label = (
            towards(targets.probs["teacher"], logits)
            if self.needs
            else cross_entropy(logits, targets.label, reduction="none")
        )
        return mean_of((1 - share) * to_label + share * to_own, weights)

    def _own(self, logits: torch.Tensor) -> torch.Tensor:
        """(n,) the class that the student chooses."""
        if self.first is None:
            return logits.argmax(-1)
        return (logits.softmax(-1)[:, 0] < self.first).long()


class Adaptive(Confident):
    """`logconf` whose threshold is one of the batch."""

    def settled(self, logits: torch.Tensor, targets: Targets, step: Step) -> Objective:
        """With the threshold under which as many choose the second option as the labels do; see `OfBatch`."""
        import torch

        first = None
        if logits.shape[-1] == 2 and bool((logits > ABSENT / 2).all()):
            second = targets.probs["teacher"][:, 1].mean() if self.needs else targets.label.to(logits).mean()
            first = torch.quantile(logits.softmax(-1)[:, 0], second).item()
        return Confident(self.alpha, self.warm, self.needs, self.over, first)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        return self.settled(logits.detach(), targets, step).loss(logits, targets, weights, step)
