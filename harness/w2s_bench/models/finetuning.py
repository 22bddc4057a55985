"""Fine-tuning of a language model for a fixed number of optimizer steps: `full` and `lora` (peft)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F

from w2s_bench.errors import ModelError
from w2s_bench.models.assumptions import anatomy_of
from w2s_bench.models.batching import batches, learning_rate_factor, refuse_divergence
from w2s_bench.models.capabilities import Anatomy
from w2s_bench.models.encoding import Pair, length_batches
from w2s_bench.models.memory import by_halves
from w2s_bench.models.objectives import (
    ABSENT,
    XENT,
    Objective,
    OfBatch,
    Step,
    Stopping,
    Targets,
    Whose,
    check_steps,
    distributions,
    places,
)
from w2s_bench.models.optional import bitsandbytes
from w2s_bench.models.parts import Parts
from w2s_bench.models.scoring import completion_logits, logit_rows, tokens_at_once
from w2s_bench.models.setup import USUAL, USUAL_EFFORT, Effort, Setup
from w2s_bench.types import FloatArray, OptimizerName

#: Logits (n, k), what they are trained towards, and which of the batch's rows each is of (n,).
Asked = tuple[torch.Tensor, Targets, torch.Tensor]


class Examples(Protocol):
    """Rows to train on, and what a model is asked of them."""

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each row: those of like length share a batch."""

    def asks(self, row: int) -> int:
        """How many rows of logits `logits` gives for a row."""

    def logits(self, model: Any, anatomy: Anatomy | None, rows: Sequence[int]) -> Asked:
        """What the objective is a function of, for a batch of rows."""


@runtime_checkable
class Written(Protocol):
    """Examples that the model writes itself, before every step anew."""

    @property
    def most_tokens(self) -> Sequence[int]:
        """Tokens that what it writes to a row takes at most, the prompt's among them."""

    def write(self, model: Any, rows: Sequence[int], step: Step) -> None:
        """Write those of a batch of rows; the model is in evaluation mode."""


@dataclass(frozen=True)
class Completions:
    """Rows whose objective is over tokens: those of each one's completion."""

    pairs: Sequence[Pair]

    @property
    def lengths(self) -> list[int]:
        return [len(pair) for pair in self.pairs]

    def asks(self, row: int) -> int:
        return len(self.pairs[row].completion)

    def logits(self, model: Any, anatomy: Anatomy | None, rows: Sequence[int]) -> Asked:
        logits, targets, own = completion_logits(model, [self.pairs[i] for i in rows], anatomy)
        return logits.float(), Targets(targets), own


@dataclass(frozen=True)
class Choices:
    """Rows whose objective is over the options of an item: a pair an option, and the option that is the label.

    An option's logit is the summed log-probability of its tokens, by which options are chosen too. `probs`: for every row a
    distribution over its options, empty where it has none.
    """

    options: Sequence[Sequence[Pair]]
    labels: Sequence[int]
    probs: Mapping[Whose, Sequence[FloatArray]] = field(default_factory=dict)

    @property
    def lengths(self) -> list[int]:
        return [sum(len(pair) for pair in pairs) for pairs in self.options]

    def asks(self, row: int) -> int:
        return 1

    def logits(self, model: Any, anatomy: Anatomy | None, rows: Sequence[int]) -> Asked:
        options = [self.options[i] for i in rows]
        logits, tokens, own = completion_logits(model, [pair for pairs in options for pair in pairs], anatomy)
        logprobs = -F.cross_entropy(logits.float(), tokens, reduction="none")
        widths = [len(pairs) for pairs in options]
        sums = logprobs.new_zeros(sum(widths)).index_add(0, own, logprobs)
        row, column = (torch.from_numpy(indices).to(own.device) for indices in places(widths))
        table = sums.new_full((len(rows), max(widths)), ABSENT).index_put((row, column), sums)
        labels = torch.tensor([self.labels[i] for i in rows], device=own.device)
        probs = {whose: [given[i] for i in rows] for whose, given in self.probs.items()}
        return table, Targets(labels, distributions(probs, labels, table)), torch.arange(len(rows), device=own.device)


def as_examples(rows: Sequence[Pair] | Examples) -> Examples:
    """Pairs as rows whose objective is over the completions' tokens."""
    return Completions(rows) if isinstance(rows, Sequence) else rows


def finetune(
    model: Any,
    rows: Sequence[Pair] | Examples,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    objective: Objective = XENT,
    weights: FloatArray | None = None,
    optimizer: OptimizerName = "adamw",
    effort: Effort = USUAL_EFFORT,
    agreement: Callable[[], float] | None = None,
    order: Sequence[int] | None = None,
) -> list[float]:
    """Train `model`'s trainable parameters in place, on the completions' tokens where `rows` are pairs; returns the loss of every step.

    Of `rows` only those that `batching.drawn` names for these steps and this seed are looked at. `weights` (rows,) are as
    `Objective.loss` has them, `order` as `batching.batches`. A step's rows pass through the model in parts, as `effort` and the
    device's memory allow; its loss and gradient are those of the whole, to round-off.

    AdamW (betas .9 and .98, no weight decay), gradient norm clipped to 1, last step kept. Nothing is chosen here, but where the
    objective is a `Stopping` one: `agreement` then says how good the model is as it stands.
    """
    steps_taken = course(
        model,
        rows,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        objective=objective,
        weights=weights,
        optimizer=optimizer,
        effort=effort,
        agreement=agreement,
        order=order,
    )
    try:
        batch = next(steps_taken)
        while True:
            batch = steps_taken.send(batch)
    except StopIteration as done:
        losses: list[float] = done.value
        return losses


def course(
    model: Any,
    rows: Sequence[Pair] | Examples,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    objective: Objective = XENT,
    weights: FloatArray | None = None,
    optimizer: OptimizerName = "adamw",
    effort: Effort = USUAL_EFFORT,
    agreement: Callable[[], float] | None = None,
    order: Sequence[int] | None = None,
) -> Generator[list[int], list[int], list[float]]:
    """`finetune`, step by step: gives the batch of each, and is sent which of its rows to train on; in the end gives the losses."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    stepper = _optimizer(optimizer, parameters, learning_rate)
    anatomy = anatomy_of(model)
    examples = as_examples(rows)
    lengths = examples.lengths
    written = examples if isinstance(examples, Written) else None
    most = lengths if written is None else written.most_tokens

    def loss_of(part: Sequence[int], step: int, by: Objective) -> torch.Tensor:
        logits, targets, own = examples.logits(model, anatomy, part)
        each = None if weights is None else torch.from_numpy(weights[part]).to(logits)[own]
        return by.loss(logits, targets, each, Step(step, steps))

    def settled(batch: Sequence[int], step: int) -> Objective:
        # Some machines part a batch. So what hangs on the whole batch is settled before that, on every machine.
        if not (isinstance(objective, OfBatch) and isinstance(examples, Choices)):
            return objective
        with torch.no_grad():
            asked = [examples.logits(model, anatomy, part) for part in parts.of(batch)]
        return objective.settled(*joined([(logits, targets) for logits, targets, _ in asked]), Step(step, steps))

    model.train()
    losses = []
    best = _Best(parameters)
    checked = check_steps(objective.checks, steps) if isinstance(objective, Stopping) and agreement else set[int]()
    batch: list[int] = []
    with Parts(model, examples, most, effort) as parts:
        for step, whole in enumerate(batches(lengths, steps=steps, batch_size=batch_size, rng=rng, order=order)):
            batch = yield whole
            if written is not None:
                model.eval()
                written.write(model, batch, Step(step, steps))
                model.train()
            loss = parts.differentiated(partial(loss_of, step=step, by=settled(batch, step)), batch, parameters)
            size = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in stepper.param_groups:
                group["lr"] = learning_rate * learning_rate_factor(step, steps)
            losses.append(loss.item())
            refuse_divergence(step, steps, learning_rate, loss=losses[-1], gradient_norm=size.item())
            stepper.step()
            stepper.zero_grad(set_to_none=True)
            if step in checked and agreement is not None:
                model.eval()
                best.offer(step, agreement())
                model.train()
        model.eval()
        if batch:
            with torch.no_grad():
                after = parts.whole(partial(loss_of, step=steps - 1, by=settled(batch, steps - 1)), batch)
            refuse_divergence(steps - 1, steps, learning_rate, loss_after_it=after.item())
    best.restore(steps)
    return losses


@torch.no_grad()
def likeliest(model: Any, pairs: Sequence[Pair]) -> list[bool]:
    """Whether each pair's completion is made of the likeliest token at every place, the tokens before it given."""
    anatomy, most = anatomy_of(model), min(tokens_at_once(model), logit_rows(model))
    is_likeliest = [False] * len(pairs)

    def read(rows: list[int]) -> list[bool]:
        logits, targets, own = completion_logits(model, [pairs[i] for i in rows], anatomy)
        missed = set(own[logits.argmax(-1) != targets].tolist())
        return [row not in missed for row in range(len(rows))]

    for batch in length_batches([len(pair) for pair in pairs], max_tokens=most):
        for row, whole in zip(batch, by_halves(model, read, batch), strict=True):
            is_likeliest[row] = whole
    return is_likeliest


class _Best:
    """The trained parameters of the step with the highest agreement, of equals the first; nothing where no step was offered."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self._parameters, self._kept = parameters, list[torch.Tensor]()
        self._step, self._agreement = -1, -1.0

    def offer(self, step: int, agreement: float) -> None:
        if agreement > self._agreement:
            self._step, self._agreement = step, agreement
            self._kept = [parameter.detach().clone() for parameter in self._parameters]

    def restore(self, steps: int) -> None:
        if not self._kept:
            return
        with torch.no_grad():
            for parameter, kept in zip(self._parameters, self._kept, strict=True):
                parameter.copy_(kept)
        print(
            f"kept step {self._step + 1} of {steps}, whose student agrees with {self._agreement:.3f} of held-out labels",
            flush=True,
        )


def joined(parts: Sequence[tuple[torch.Tensor, Targets]]) -> tuple[torch.Tensor, Targets]:
    """Logits (n, k) and targets of a batch, of those of its parts, whose widest has k options."""
    widest = max(logits.shape[-1] for logits, _ in parts)

    def rows(tables: Iterable[torch.Tensor], absent: float) -> torch.Tensor:
        return torch.cat([F.pad(table, (0, widest - table.shape[-1]), value=absent) for table in tables])

    probs = {whose: rows((targets.probs[whose] for _, targets in parts), 0.0) for whose in parts[0][1].probs}
    labels = torch.cat([targets.label for _, targets in parts])
    return rows((logits for logits, _ in parts), ABSENT), Targets(labels, probs)


def _optimizer(name: OptimizerName, parameters: list[torch.nn.Parameter], learning_rate: float) -> Any:
    settings: dict[str, Any] = {"lr": learning_rate, "betas": (0.9, 0.98), "weight_decay": 0.0}
    if name == "adamw":
        return torch.optim.AdamW(parameters, fused=True, **settings)
    return bitsandbytes("optimizer adamw8bit").optim.AdamW8bit(parameters, **settings)


def has_adapter(model: Any) -> bool:
    """Whether `add_lora` made it."""
    from peft import PeftModel

    return isinstance(model, PeftModel)


def add_lora(model: Any, *, rank: int, seed: int, setup: Setup = USUAL) -> Any:
    """The model with a LoRA adapter of `rank`, on every linear layer but the output unless `setup` names others; only the
    adapter trains, and its numbers are float32 whatever the model's are.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if setup.lora_alpha is None else setup.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=setup.lora_dropout,
        target_modules=list(setup.lora_targets) or "all-linear",
        use_dora=setup.lora_dora,
        task_type="CAUSAL_LM",
    )
    ids = torch.ones((1, 2), dtype=torch.int64, device=model.device)
    try:
        adapted: Any = get_peft_model(model, config)
        with torch.no_grad():
            adapted(input_ids=ids, use_cache=False)
    except torch.OutOfMemoryError:  # torch's RuntimeError says nothing of the model
        raise
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        model_type = getattr(model.config, "model_type", type(model).__name__)
        where = f"for lora_targets {', '.join(setup.lora_targets)} " if setup.lora_targets else ""
        raise ModelError(
            f"recipe 'lora' has no place {where}for its adapter in a model of type {model_type!r}: {error}; take recipe 'full', or "
            "another model"
        ) from error
    return adapted
