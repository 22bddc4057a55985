"""Is a loss the mean over a batch's rows of weight × loss? Asked of made-up logits in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from w2s_bench.results.pages.style import significant
from w2s_bench.testing.expecting import expect
from w2s_bench.types import Targets

if TYPE_CHECKING:
    import torch

#: A loss, and its derivative by the logits (n, k).
Given = tuple[float, "torch.Tensor"]
#: The loss of logits (n, k), targets and weights (n,) or None.
Ask = Callable[["torch.Tensor", Targets, "torch.Tensor | None"], Given]

#: How far apart two losses or derivatives in double precision may be that are one number.
ROUNDING: Final = 1e-8


def near(given: Given, other: Given) -> bool:
    size = 1 + abs(given[0])
    return abs(given[0] - other[0]) <= ROUNDING * size and float((given[1] - other[1]).abs().max()) <= ROUNDING * size


def expect_mean(ask: Ask, logits: torch.Tensor, targets: Targets, weights: torch.Tensor) -> None:
    """Rows count alike, wherever and in whichever part of a batch they stand, and each by its weight."""
    import torch

    n = len(logits)

    def of(rows: torch.Tensor, weights: torch.Tensor | None) -> Given:
        probs = {whose: each[rows] for whose, each in targets.probs.items()}
        return ask(logits[rows], Targets(targets.label[rows], probs), None if weights is None else weights[rows])

    everything = torch.arange(n)
    twice, turned, parts = everything.repeat(2), everything.flip(0), (everything[: n // 3], everything[n // 3 :])
    for given in (None, weights):
        told = "" if given is None else " with weights"
        loss, _ = whole = of(everything, given)
        doubled, of_doubled = of(twice, given)
        expect(
            near(whole, (doubled, 2 * of_doubled[:n])) and near(whole, (doubled, 2 * of_doubled[n:])),
            f"all rows twice give another loss{told} ({_to(loss, doubled)}); give the mean over the rows of logits, not their sum, and "
            "let each row count alike",
        )
        other, of_other = of(turned, given)
        expect(
            near(whole, (other, of_other.flip(0))),
            f"the rows in another order give another loss{told} ({_to(loss, other)}); their order means nothing",
        )
    none, ones = of(everything, None), of(everything, torch.ones_like(weights))
    expect(
        near(none, ones),
        f"weights of 1 give another loss than no weights ({_to(ones[0], none[0])}); without weights every row has weight 1",
    )
    others = weights.flip(0) ** 2
    one, other_one, both = of(everything, weights), of(everything, others), of(everything, weights + others)
    expect(
        near(both, (one[0] + other_one[0], one[1] + other_one[1])),
        f"the loss is not in proportion to the weights: of their sum it is {significant(both[0], 6)}, and of one and the other "
        f"{significant(one[0] + other_one[0], 6)}; give the mean over all rows of weight × loss, not divided by the sum of weights",
    )

    for given in (None, weights):
        told, (loss, slopes) = "" if given is None else " with weights", of(everything, given)
        made = [of(part, given) for part in parts]
        joined = sum(len(part) * each[0] for part, each in zip(parts, made, strict=True)) / n
        of_joined = torch.cat([len(part) * each[1] / n for part, each in zip(parts, made, strict=True)])
        expect(
            near((loss, slopes), (joined, of_joined)),
            f"two parts of the batch give another loss{told} than the whole ({_to(loss, joined)}), and a batch may pass through a model "
            "in parts; give a mean over rows alone, and take what is of the whole batch in `settled`",
        )


def _to(one: float, other: float) -> str:
    return f"{significant(one, 6)} to {significant(other, 6)}"
