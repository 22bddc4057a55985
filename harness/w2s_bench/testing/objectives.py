"""Checks of an objective: what it gives on made-up logits, as a trainer would ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from w2s_bench.errors import W2SBenchError
from w2s_bench.hookspecs import Objective
from w2s_bench.models.objectives import ABSENT
from w2s_bench.plugins import checks as contract
from w2s_bench.results.pages.style import significant
from w2s_bench.testing.expecting import expect, guarded, keeps_contract
from w2s_bench.testing.means import ROUNDING, Given, expect_mean, near
from w2s_bench.types import Step, Targets

if TYPE_CHECKING:
    import torch

_ROWS: Final = 12
_CLASSES: Final = (2, 5)
_STEPS: Final = (Step(0, 20), Step(10, 20), Step(19, 20))


def check_objective(objective: Objective) -> None:
    """Its attributes are right; and at the first step, half-way and at the last, with weights and without, its loss

    - is one finite number that hangs on the logits, with a finite derivative, also where they are far apart, in double precision
      and in float32, in which students are trained;
    - is the same when asked again, draws from no generator and leaves what it was given as it was;
    - stays when a constant is added to all logits of a row, and when classes are added that no row has;
    - is the mean over the rows of weight × loss: the same of all rows twice, of the rows in another order and of two parts of the
      batch together; the same with weights of 1 as with none; the sum of what two weights give where a row's weight is their sum;
      that of the other rows where some have weight 0.

    Of an objective that is `settled` a batch, the last point is asked of the settled one.
    """
    keeps_contract(contract.check_objective, objective)
    for classes in _CLASSES:
        for step in _STEPS:
            _finite(objective, classes, step)
            _same_again(objective, classes, step)
            _constants_mean_nothing(objective, classes, step)
            _absent_classes_mean_nothing(objective, classes, step)
            batch = _Batch(objective, classes)
            by = _settled(objective, batch, step)
            _weights_of_zero_drop_rows(by, objective, classes, step)
            expect_mean(
                lambda *asked, by=by, step=step: _asked_of(by, step, *asked), batch.logits, batch.targets, batch.weights
            )


class _Batch:
    """Made-up logits (n, k), what they are trained towards, and weights of mean 1; all in double precision, or all in float32."""

    def __init__(self, objective: Objective, classes: int, spread: float = 1.0, *, double: bool = True) -> None:
        import torch

        made = torch.float64 if double else torch.float32

        rng = np.random.default_rng(7)
        self.logits = torch.from_numpy(spread * rng.normal(size=(_ROWS, classes))).to(made)
        label = torch.from_numpy(rng.integers(0, classes, _ROWS))
        drawn = {whose: torch.from_numpy(rng.dirichlet(np.ones(classes), _ROWS)) for whose in objective.needs}
        probs = {whose: each.to(made) for whose, each in drawn.items()}
        for each in probs.values():  # the first rows come without: all on the label
            each[:2] = torch.nn.functional.one_hot(label[:2], classes).to(each)
        self.targets = Targets(label, probs)
        weights = rng.uniform(0.2, 2.0, _ROWS)
        self.weights = torch.from_numpy(weights / weights.mean()).to(made)


def _asked(
    objective: Any,
    batch: _Batch,
    step: Step,
    *,
    logits: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
) -> Given:
    """The loss and its derivative by the logits, or an AssertionError with what is wrong with it."""
    return _asked_of(objective, step, batch.logits if logits is None else logits, batch.targets, weights)


def _asked_of(
    objective: Any, step: Step, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None
) -> Given:
    import torch

    from w2s_bench.models.guarded import guarded as under_guard  # torch

    own = logits.clone().requires_grad_()
    checked = under_guard(type(objective).__name__, objective, contract.raised_at)
    try:
        loss = checked.loss(own, targets, weights, step)
    except W2SBenchError as error:
        in_float32 = " (of logits in float32, as students have them)" if logits.dtype == torch.float32 else ""
        raise AssertionError(f"{error}{in_float32}") from error
    (slopes,) = torch.autograd.grad(loss, own)
    return loss.item(), slopes


def _finite(objective: Objective, classes: int, step: Step) -> None:
    for spread, double in ((1.0, True), (100.0, True), (1.0, False), (100.0, False)):
        batch = _Batch(objective, classes, spread, double=double)
        for weights in (None, batch.weights):
            loss, slopes = _asked(objective, batch, step, weights=weights)
            expect(np.isfinite(loss), f"loss is {loss}, of finite logits; keep logarithms and roots from 0")
            if spread == 1.0:
                expect(
                    bool((slopes != 0).any()),
                    f"the derivative of the loss by the logits is 0 everywhere at step {step.number + 1} of {step.of}: nothing "
                    "would be learnt; compute the loss of the logits, without argmax or detach() alone",
                )


def _same_again(objective: Objective, classes: int, step: Step) -> None:
    batch = _Batch(objective, classes)
    before = [each.clone() for each in _tensors(batch)]
    first, second = (_asked(objective, batch, step, weights=batch.weights) for _ in range(2))
    expect(
        first[0] == second[0] and bool((first[1] == second[1]).all()),
        "a second call with the same arguments gives another loss; keep nothing between calls, and draw nothing",
    )
    same = all(bool((was == now).all()) for was, now in zip(before, _tensors(batch), strict=True))
    expect(same, "loss changed its targets or weights, which are the trainer's; work on copies")


def _tensors(batch: _Batch) -> list[torch.Tensor]:
    return [batch.targets.label, *batch.targets.probs.values(), batch.weights]


def _constants_mean_nothing(objective: Objective, classes: int, step: Step) -> None:
    import torch

    batch = _Batch(objective, classes)
    shift = torch.linspace(-3, 3, _ROWS, dtype=torch.float64)[:, None]
    plain = _asked(objective, batch, step, weights=batch.weights)
    shifted = _asked(objective, batch, step, logits=batch.logits + shift, weights=batch.weights)
    expect(
        near(plain, shifted),
        f"a constant added to all logits of a row changes the loss ({significant(plain[0], 6)} to {significant(shifted[0], 6)}); "
        "logits have no zero: go by their softmax, or by differences of them",
    )


def _absent_classes_mean_nothing(objective: Objective, classes: int, step: Step) -> None:
    from torch.nn.functional import pad

    if classes == 2:  # a figure of the batch may be one of two classes alone, as that of `logconf`
        return
    batch = _Batch(objective, classes)
    plain = _asked(objective, batch, step, weights=batch.weights)
    targets = Targets(batch.targets.label, {whose: pad(each, (0, 1)) for whose, each in batch.targets.probs.items()})
    wide = _Batch(objective, classes)
    wide.logits, wide.targets = pad(batch.logits, (0, 1), value=ABSENT), targets
    loss, slopes = _asked(objective, wide, step, weights=batch.weights)
    expect(
        near(plain, (loss, slopes[:, :-1])) and float(slopes[:, -1].abs().max()) <= ROUNDING,
        f"an option that no item has ({ABSENT:g} for its logit, 0 for its probability) changes the loss ("
        f"{significant(plain[0], 6)} to {significant(loss, 6)}); items with fewer options share a batch with others",
    )


def _settled(objective: Any, batch: _Batch, step: Step) -> Any:
    """The objective with its figure of the batch, where it has one; else itself."""
    from w2s_bench.models.guarded import Settled

    if not hasattr(objective, "settled"):
        return objective
    made = guarded("settled", lambda: objective.settled(batch.logits.clone(), batch.targets, step))
    return Settled(objective.over, objective.needs, made)


def _weights_of_zero_drop_rows(by: Any, objective: Objective, classes: int, step: Step) -> None:
    batch = _Batch(objective, classes)
    batch.weights[::3] = 0.0
    dropped = batch.weights == 0
    plain = _asked(by, batch, step, weights=batch.weights)
    moved = batch.logits.clone()
    moved[dropped] += moved[dropped].flip(-1)
    other = _asked(by, batch, step, logits=moved, weights=batch.weights)
    expect(
        float(plain[1][dropped].abs().max()) == 0 and abs(plain[0] - other[0]) <= ROUNDING * (1 + abs(plain[0])),
        "rows of weight 0 have a part in the loss; give the mean over all rows of weight × loss",
    )
