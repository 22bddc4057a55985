"""Fine-tuning for a fixed number of optimizer steps: `full`, `lora` (peft), and `probe` (a head on frozen states)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from w2s_bench.models.anatomy import anatomy_of
from w2s_bench.models.encoding import Pair
from w2s_bench.models.scoring import completion_logits

_GROUP = 8  # batches cut from one length-sorted group: a quarter less padding, order still random


def batches(lengths: Sequence[int], *, steps: int, batch_size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """`steps` batches of row indices; no row comes again before all were seen; rows of like length share a batch."""
    return islice(_passes(lengths, batch_size, rng), steps)


def _passes(lengths: Sequence[int], batch_size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    left: list[int] = []  # fewer than a batch: the end of one pass opens the next
    while True:
        rows = left + rng.permutation(len(lengths)).tolist()
        if left and len(rows) >= batch_size:
            yield rows[:batch_size]
            rows = rows[batch_size:]
        whole = len(rows) // batch_size * batch_size
        for start in range(0, whole, _GROUP * batch_size):
            group = sorted(rows[start : min(start + _GROUP * batch_size, whole)], key=lambda i: lengths[i])
            for place in rng.permutation(len(group) // batch_size).tolist():
                yield group[place * batch_size : (place + 1) * batch_size]
        left = rows[whole:]


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear warm-up over the first 5 % of steps, then linear decay to 2 %."""
    warm = max(1, int(steps * 0.05))
    return (step + 1) / warm if step < warm else max(0.02, (steps - step) / (steps - warm))


def finetune(
    model: Any, pairs: Sequence[Pair], *, steps: int, batch_size: int, learning_rate: float, seed: int
) -> list[float]:
    """Train `model`'s trainable parameters in place on the completions' tokens; returns the loss of every step.

    AdamW (betas .9 and .98, no weight decay), gradient norm clipped to 1, last step kept. Nothing is chosen here.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    anatomy = anatomy_of(model)
    model.train()
    losses = []
    for step, rows in enumerate(batches([len(p) for p in pairs], steps=steps, batch_size=batch_size, rng=rng)):
        logits, targets, _ = completion_logits(model, [pairs[i] for i in rows], anatomy)
        loss = F.cross_entropy(logits.float(), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * learning_rate_factor(step, steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    model.eval()
    return losses


def add_lora(model: Any, *, rank: int, seed: int) -> Any:
    """The model with a LoRA adapter of `rank` on every linear layer but the output; only the adapter trains."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def train_head(
    states: NDArray[np.float32],
    offsets: NDArray[np.int64],
    label: NDArray[np.int64],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> tuple[dict[str, NDArray[np.float32]], list[float]]:
    """A scalar head on frozen states, softmax over an item's options; returns its arrays and the loss of every step.

    `states` (options of all items, d); item i has rows `offsets[i]:offsets[i + 1]`; `label` (items,) is the option trained
    towards. States are standardised by the training set's own mean and deviation, which are part of the head.
    """
    mean, scale = states.mean(0), states.std(0) + 1e-6
    x = torch.from_numpy((states - mean) / scale)
    weight = torch.zeros(states.shape[1], requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    rng = np.random.default_rng(seed)
    widths = np.diff(offsets).tolist()
    losses = []
    for step, rows in enumerate(batches(widths, steps=steps, batch_size=batch_size, rng=rng)):
        scores = torch.full((len(rows), max(widths[i] for i in rows)), -torch.inf)
        for place, i in enumerate(rows):
            scores[place, : widths[i]] = x[offsets[i] : offsets[i + 1]] @ weight
        loss = F.cross_entropy(scores, torch.from_numpy(label[rows]))
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * learning_rate_factor(step, steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    head = {
        "head.weight": weight.detach().numpy(),
        "head.mean": mean.astype(np.float32),
        "head.scale": scale.astype(np.float32),
    }
    return head, losses
