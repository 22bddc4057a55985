"""What a step of training minimises: one object a loss, for language models and heads alike. No torch until a loss is asked for.

A trainer knows no loss by name: it gives logits, what they are trained towards and the rows' weights, and gets one number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.hookspecs import Objective
from w2s_bench.types import FloatArray, IntArray, Over, Step, Targets, TrainingRow, Whose

if TYPE_CHECKING:
    import torch

__all__ = ["Objective", "Over", "Step", "Targets", "Whose"]  # of the contract, for who looks for them here

#: The logit of an option that an item lacks, where others of its batch have more: its probability is 0, and no product with
#: it is NaN.
ABSENT = -1e30


@runtime_checkable
class ClosedForm(Protocol):
    """An objective that gives its own derivative too: heads are trained without torch, and to convergence."""

    def losses_and_slopes(
        self,
        logits: FloatArray,
        starts: IntArray,
        labels: IntArray,
        step: Step,
        probs: Mapping[Whose, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        """(items,) each item's loss, and (options,) its derivative by each of the item's own logits; weights are not its concern.

        Item i has `logits[starts[i]:starts[i + 1]]` of `logits` (options of all items,), and its option `labels[i]` as label.
        `probs`, for those that it `needs`: (options of all items,), each item's distribution.
        """


@runtime_checkable
class OfBatch(Protocol):
    """An objective with a figure of the whole batch in it, such as a quantile. A batch may pass through a model in parts."""

    def settled(self, logits: torch.Tensor, targets: Targets, step: Step) -> Objective:
        """The objective with that figure, of the batch's logits (n, k) of no gradient; its loss is a mean over rows alone."""


@runtime_checkable
class Stopping(Protocol):
    """An objective with early stopping: of the students at some steps one is kept, by labels that are held out."""

    @property
    def held_out(self) -> float:
        """The share of the rows that is held out, above 0 and below 1."""

    @property
    def checks(self) -> int:
        """At how many steps, equally far apart, the student is asked; the last step is one of them."""


@runtime_checkable
class Paired(Protocol):
    """An objective of two students of one model: each is trained on those rows of its batch that cost the other least.

    The harness's own alone.
    """

    def share_left(self, step: Step) -> float:
        """Which share of a batch is left to train on, above 0 and at most 1."""


@runtime_checkable
class OnPolicy(Protocol):
    """An objective that is on policy: where answers are generated, of answers that the student writes anew at every step.

    Its `needs` are then distributions over the next token of such an answer, of models that are asked beside the student. Over an
    item's options nothing is drawn: the one choice of the student is told by its distribution. The harness's own alone.
    """

    @property
    def needs(self) -> tuple[Whose, ...]: ...

    @property
    def rollouts(self) -> int:
        """How many answers the student writes to each row of a step."""

    def budget(self, step: Step) -> float:
        """How far, in nats a token, the policy that writes may be from the student towards the teacher; 0: the student writes."""

    def opening(self, step: Step) -> float:
        """Up to which share of the row's label an answer may begin with in place of the student's own tokens; from 0 to 1."""


def held_out(
    rows: Sequence[TrainingRow],
    probs: Mapping[Whose, Sequence[FloatArray]],
    *,
    share: float,
    seed: int,
    groups: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[TrainingRow], list[TrainingRow], dict[Whose, list[FloatArray]]]:
    """Rows to train on, those that are held out, at least one, and `probs` of the former. Rows of one group are on one side.

    `groups`: by item; one that is not named is a group of its own. Groups are taken in an order drawn from their names and the seed,
    whose own stream orders the batches, while all their items fit into the `share`; where none fits, the smallest is held out.
    """
    members: dict[str, set[str]] = {}
    for row in rows:
        members.setdefault(groups.get(row.id, row.id), set()).add(row.id)
    if len(members) < 2:
        raise ModelError(
            f"rows to train on are of {len(members)} group of items, which leaves none to hold out; raise the coverage, or take "
            "another objective"
        )
    room = round(share * sum(map(len, members.values())))
    names, chosen = sorted(members), set[str]()
    order = [names[index] for index in np.random.default_rng([seed, 1]).permutation(len(names))]
    for name in order:
        if len(chosen) + len(members[name]) <= room:
            chosen |= members[name]
    chosen = chosen or members[min(order, key=lambda name: len(members[name]))]
    kept = [index for index, row in enumerate(rows) if row.id not in chosen]
    of_kept = {whose: [given[index] for index in kept] for whose, given in probs.items()}
    return [rows[index] for index in kept], [row for row in rows if row.id in chosen], of_kept


def check_steps(checks: int, steps: int) -> set[int]:
    """The numbers, the first is 0, of so many steps out of `steps`, or of all where they are fewer."""
    return {round((number + 1) * steps / checks) - 1 for number in range(checks)} - {-1}


def over_of(defined: Sequence[Over], *, chooses: bool) -> Over | None:
    """What a language model is tuned over, on items of which one `chooses` an option or not, by an objective that is
    `over` these; None: there is no such loss."""
    return next((over for over in defined if over == "tokens" or chooses), None)


def refuse_outside(
    name: str, value: float, low: float, high: float = math.inf, *, above: bool = False, below: bool = False
) -> None:
    """Raises ValueError for a parameter that is no number from `low` to `high`; `above` and `below` shut out the ends."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if number and (low < value if above else low <= value) and (value < high if below else value <= high):
        return
    least = f"{'above' if above else 'from'} {low:g}"
    most = f" and below {high:g}" if below else f" and at most {high:g}" if above else f" to {high:g}"
    most = "" if high == math.inf else most
    raise ValueError(f"{name} is {value!r}, expected a number {least}{most}")


def refuse_unknown(name: str, value: str, words: Sequence[str]) -> None:
    """Raises ValueError for a parameter that is none of the words that it may be."""
    if value not in words:
        raise ValueError(f"{name} is {value!r}, expected {' or '.join(words)}")


#: What the parameter `over` of an objective may be, and what the objective is over then.
_OVER: Final[Mapping[str, tuple[Over, ...]]] = MappingProxyType(
    {"any": ("options", "tokens"), "tokens": ("tokens", "options"), "options": ("options",)}
)


def over_asked(over: str) -> tuple[Over, ...]:
    """`Objective.over` of a parameter `over`. `any`: over options where there are some, else over tokens.

    `tokens`: over tokens wherever a language model is tuned (a head has options alone). `options`: never over tokens.
    """
    refuse_unknown("over", over, [*_OVER])
    return _OVER[over]


def relative(weights: Sequence[float]) -> FloatArray | None:
    """(rows,) weights of mean 1, in proportion to those of training rows; None where all are alike."""
    values = np.asarray(weights, dtype=np.float64)
    return None if (values == values[:1]).all() else values / values.mean()


def effective_size(weights: Sequence[float]) -> float:
    """Of how many rows of one weight the mean varies as much as of these: (Σw)² / Σw², at most their number."""
    values = np.asarray(weights, dtype=np.float64)
    return float(values.sum() ** 2 / (values**2).sum()) if len(values) else 0.0


def places(widths: Sequence[int] | IntArray) -> tuple[IntArray, IntArray]:
    """(options of all items,) the row and the column of each in a table of items that have so many options."""
    rows = np.repeat(np.arange(len(widths)), widths)
    starts = np.cumsum([0, *widths])[:-1]
    return rows, np.arange(len(rows)) - starts[rows]


def flat(probs: Mapping[Whose, Sequence[FloatArray]], starts: IntArray, labels: IntArray) -> dict[Whose, FloatArray]:
    """`probs` of `ClosedForm.losses_and_slopes`, of one distribution an item; an empty one is all on the label."""
    made: dict[Whose, FloatArray] = {}
    for whose, rows in probs.items():
        out = np.zeros(int(starts[-1]))
        for item, row in enumerate(rows):
            if len(row):
                out[starts[item] : starts[item + 1]] = row
            else:
                out[starts[item] + labels[item]] = 1.0
        made[whose] = out
    return made


def distributions(
    probs: Mapping[Whose, Sequence[FloatArray]], labels: torch.Tensor, table: torch.Tensor
) -> dict[Whose, torch.Tensor]:
    """`Targets.probs` for a `table` (items, k) of logits, of one distribution an item; an empty one is all on the label."""
    import torch

    made = {}
    for whose, rows in probs.items():
        out = torch.zeros_like(table)
        for item, row in enumerate(rows):
            if len(row):
                out[item, : len(row)] = torch.from_numpy(row).to(out)
            else:
                out[item, labels[item]] = 1.0
        made[whose] = out
    return made


def mean_of(losses: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """What `Objective.loss` gives, of one loss a row of logits (n,)."""
    return losses.mean() if weights is None else (weights * losses).mean()


def label_readings(logits: FloatArray, starts: IntArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
    """(items,) the log-probability of each label, and (options,) the derivative of its negative by every logit: p − [label].

    Arguments are those of `ClosedForm.losses_and_slopes`.
    """
    logprobs, slopes = _softmax(logits, starts)
    label = starts[:-1] + labels
    slopes[label] -= 1
    return logprobs[label], slopes


def distribution_readings(logits: FloatArray, starts: IntArray, wanted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(items,) the cross-entropy to distributions `wanted` (options,), and (options,) its derivative by every logit: p − wanted."""
    logprobs, probs = _softmax(logits, starts)
    return -np.add.reduceat(wanted * logprobs, starts[:-1]), probs - wanted


def _softmax(logits: FloatArray, starts: IntArray) -> tuple[FloatArray, FloatArray]:
    """(options,) log-probabilities and probabilities among each item's options."""
    widths = np.diff(starts)
    shifted = logits - np.repeat(np.maximum.reduceat(logits, starts[:-1]), widths)
    exponentials = np.exp(shifted)
    sums = np.add.reduceat(exponentials, starts[:-1])
    return shifted - np.repeat(np.log(sums), widths), exponentials / np.repeat(sums, widths)


class CrossEntropy:
    """Cross-entropy of the label: −ln p_y.

    p_y is what the student gives the label: its next token, or its option. `over`: `tokens` trains language models to write
    the label; `options` to prefer it among the item's options, where the softmax is over their summed log-probabilities;
    `any` is `options` where there are some, else `tokens`.
    """

    needs: tuple[Whose, ...] = ()

    def __init__(self, over: str = "tokens") -> None:
        self.over = over_asked(over)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        if weights is None:
            return cross_entropy(logits, targets.label)
        return mean_of(cross_entropy(logits, targets.label, reduction="none"), weights)

    def losses_and_slopes(
        self,
        logits: FloatArray,
        starts: IntArray,
        labels: IntArray,
        step: Step,
        probs: Mapping[Whose, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        logprobs, slopes = label_readings(logits, starts, labels)
        return -logprobs, slopes


#: What models are trained by, unless a suite says otherwise.
XENT = CrossEntropy()
