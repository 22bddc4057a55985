"""Objective `bootstrap`: the label mixed with the student's own belief."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench.models.objectives import Step, Targets, Whose, mean_of, over_asked, refuse_outside, refuse_unknown

if TYPE_CHECKING:
    import torch


class Bootstrap:
    """Bootstrapping: −Σₖ (β [k = y] + (1 − β) bₖ) ln pₖ (Reed et al. 2015).

    b is the student's own belief at this step. `belief` `hard`: all on its likeliest class, held constant; `soft`: p itself,
    with its gradient, which makes the second term (1 − β) times p's entropy. `beta` is from 0 to 1 (1: the cross-entropy);
    where it is not given, the authors': .8 for `hard`, .95 for `soft`. A label of gold is mixed as any other. `over` as for
    `xent`.
    """

    needs: tuple[Whose, ...] = ()

    def __init__(self, belief: str = "hard", beta: float | None = None, over: str = "tokens") -> None:
        refuse_unknown("belief", belief, ("hard", "soft"))
        self.belief, self.beta = belief, beta if beta is not None else {"hard": 0.8, "soft": 0.95}[belief]
        refuse_outside("beta", self.beta, 0, 1)
        self.over = over_asked(over)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        to_label = cross_entropy(logits, targets.label, reduction="none")
        if self.belief == "hard":
            to_own = cross_entropy(logits, logits.detach().argmax(-1), reduction="none")
        else:
            logprobs = logits.log_softmax(-1)
            to_own = -(logprobs.exp() * logprobs).sum(-1)
        return mean_of(self.beta * to_label + (1 - self.beta) * to_own, weights)
