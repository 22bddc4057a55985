"""What `check_objective` finds: nothing in the harness's own, and each broken rule in one that breaks it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from other_objectives import Confident, Generalised, Product, Soft
from w2s_bench.models.objectives import XENT
from w2s_bench.protocol.objectives import OBJECTIVES, objective_of
from w2s_bench.testing import check_objective

OWN = [
    *OBJECTIVES,
    *(
        "xent:over=options",
        "logconf:labels=soft",
        "logconf:threshold=none",
        "product:prior=current",
        "bootstrap:belief=soft",
    ),
]


@pytest.mark.parametrize("spec", OWN)
def test_the_harness_keeps_the_contract(spec: str) -> None:
    check_objective(objective_of(spec))


@pytest.mark.parametrize("made", [Generalised(), Confident(), Soft(), Product()], ids=lambda one: type(one).__name__)
def test_a_third_partys_is_sound(made: Any) -> None:
    check_objective(made)


class Plain:
    """Cross-entropy, to be spoilt."""

    over, needs = XENT.over, ()

    def each(self, logits: Any, targets: Any) -> Any:
        return torch.nn.functional.cross_entropy(logits, targets.label, reduction="none")

    def loss(self, logits: Any, targets: Any, weights: Any, step: Any) -> Any:
        each = self.each(logits, targets)
        return each.mean() if weights is None else (weights * each).mean()


class Raw(Plain):
    def each(self, logits: Any, targets: Any) -> Any:
        return -logits.gather(1, targets.label[:, None])[:, 0]


class Root(Plain):
    def each(self, logits: Any, targets: Any) -> Any:
        return (1 - logits.softmax(-1).gather(1, targets.label[:, None])[:, 0]).sqrt()


class Smooth(Plain):
    """Label smoothing over options that an item lacks, too."""

    def each(self, logits: Any, targets: Any) -> Any:
        return 0.9 * super().each(logits, targets) - 0.1 * logits.log_softmax(-1).mean(-1)


class Unweighted(Plain):
    def loss(self, logits: Any, targets: Any, weights: Any, step: Any) -> Any:
        return self.each(logits, targets).mean()


class Counting(Plain):
    calls = 0

    def loss(self, logits: Any, targets: Any, weights: Any, step: Any) -> Any:
        self.calls += 1
        return super().loss(logits, targets, weights, step) * self.calls


class Writing(Plain):
    def loss(self, logits: Any, targets: Any, weights: Any, step: Any) -> Any:
        if weights is not None:
            weights.clamp_(max=1.0)
        return super().loss(logits, targets, weights, step)


class Flat(Plain):
    def each(self, logits: Any, targets: Any) -> Any:
        return super().each(logits, targets) * 0


class Late(Plain):
    """Sound until training is half over."""

    def loss(self, logits: Any, targets: Any, weights: Any, step: Any) -> Any:
        loss = super().loss(logits, targets, weights, step)
        return loss if step.number < step.of / 2 else loss.detach()


class Underflowing(Plain):
    """Finite in double precision, where a probability is not 0 so soon."""

    def each(self, logits: Any, targets: Any) -> Any:
        return -logits.softmax(-1).gather(1, targets.label[:, None])[:, 0].log()


class OfRows(Plain):
    """`made` of the rows' losses and weights, the latter 1 where there are none."""

    def made(self, each: Any, weights: Any) -> Any:
        raise NotImplementedError

    def loss(self, logits: Any, targets: Any, weights: Any, step: Any) -> Any:
        each = self.each(logits, targets)
        return self.made(each, torch.ones_like(each) if weights is None else weights)


class Summed(OfRows):
    def made(self, each: Any, weights: Any) -> Any:
        return (weights * each).sum()


class Divided(OfRows):
    def made(self, each: Any, weights: Any) -> Any:
        return (weights * each).sum() / weights.sum()


class Squared(OfRows):
    def made(self, each: Any, weights: Any) -> Any:
        return (weights**2 * each).mean()


class HalfWeighted(OfRows):
    """Weights of some rows alone, wherever they stand; a row of weight 0 is none all the same."""

    def made(self, each: Any, weights: Any) -> Any:
        return (torch.where(each.detach() > 0.5, weights, (weights > 0).to(each)) * each).mean()


class LastTwice(OfRows):
    def made(self, each: Any, weights: Any) -> Any:
        return ((weights * each).sum() + weights[-1] * each[-1]) / len(each)


class Placed(OfRows):
    """A row counts by its place, of which doubling is the same mean."""

    def made(self, each: Any, weights: Any) -> Any:
        return (weights * each * torch.linspace(0.5, 1.5, len(each)).repeat_interleave(2)[::2].to(each)).mean()


class Doubled(Plain):
    """Without weights it is twice the loss."""

    def loss(self, logits: Any, targets: Any, weights: Any, step: Any) -> Any:
        each = self.each(logits, targets)
        return 2 * each.mean() if weights is None else (weights * each).mean()


class Easy(OfRows):
    """Rows up to a quantile of the batch, which it takes without `settled`."""

    def made(self, each: Any, weights: Any) -> Any:
        return (weights * each * (each.detach() <= each.detach().quantile(0.7))).mean()


class Settling(Easy):
    """The same with `settled`, as it is to be."""

    def settled(self, logits: Any, targets: Any, step: Any) -> Any:
        made = UpTo()
        made.most = float(self.each(logits, targets).quantile(0.7))
        return made


class UpTo(OfRows):
    most = 0.0

    def made(self, each: Any, weights: Any) -> Any:
        return (weights * each * (each.detach() <= self.most)).mean()


def test_a_figure_of_the_batch_is_sound_where_it_is_settled() -> None:
    check_objective(Settling())


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Underflowing, "keep logarithms and roots from 0 (of logits in float32, as students have them)"),
        (Summed, "all rows twice give another loss"),
        (Divided, "not in proportion to the weights"),
        (Squared, "not in proportion to the weights"),
        (HalfWeighted, "not in proportion to the weights"),
        (LastTwice, "all rows twice give another loss"),
        (Placed, "another loss"),
        (Doubled, "weights of 1 give another loss than no weights"),
        (Easy, "another loss"),
        (Raw, "a constant added to all logits of a row changes the loss"),
        (Root, "whose derivative is not finite, of finite logits"),
        (Smooth, "an option that no item has"),
        (Unweighted, "rows of weight 0 have a part in the loss"),
        (Counting, "a second call with the same arguments gives another loss"),
        (Writing, "loss changed its targets or weights"),
        (Flat, "the derivative of the loss by the logits is 0 everywhere at step 1 of 20"),
        (Late, "step 11 of 20: gave a loss that no longer hangs on the logits"),
    ],
)
def test_a_broken_rule_is_named(broken: Any, said: str) -> None:
    check_objective(Plain())
    with pytest.raises(AssertionError, match=re.escape(said)):
        check_objective(broken())
