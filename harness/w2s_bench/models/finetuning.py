"""Fine-tuning of a language model for a fixed number of optimizer steps: `full` and `lora` (peft)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from w2s_bench.errors import ModelError
from w2s_bench.models.assumptions import anatomy_of
from w2s_bench.models.batching import batches, learning_rate_factor, refuse_divergence
from w2s_bench.models.capabilities import Anatomy
from w2s_bench.models.encoding import Pair
from w2s_bench.models.scoring import completion_logits


def finetune(
    model: Any, pairs: Sequence[Pair], *, steps: int, batch_size: int, learning_rate: float, seed: int
) -> list[float]:
    """Train `model`'s trainable parameters in place on the completions' tokens; returns the loss of every step.

    Of `pairs` only those that `batching.drawn` names for these steps and this seed are looked at.

    AdamW (betas .9 and .98, no weight decay), gradient norm clipped to 1, last step kept. Nothing is chosen here.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    anatomy = anatomy_of(model)
    model.train()
    losses = []
    batch: list[Pair] = []
    for step, rows in enumerate(batches([len(p) for p in pairs], steps=steps, batch_size=batch_size, rng=rng)):
        batch = [pairs[i] for i in rows]
        loss = _loss(model, batch, anatomy)
        loss.backward()
        size = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * learning_rate_factor(step, steps)
        losses.append(loss.item())
        refuse_divergence(step, steps, learning_rate, loss=losses[-1], gradient_norm=size.item())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()
    if batch:
        with torch.no_grad():
            refuse_divergence(steps - 1, steps, learning_rate, loss_after_it=_loss(model, batch, anatomy).item())
    return losses


def _loss(model: Any, pairs: Sequence[Pair], anatomy: Anatomy | None) -> torch.Tensor:
    """The mean over the completions' tokens."""
    logits, targets, _ = completion_logits(model, pairs, anatomy)
    return F.cross_entropy(logits.float(), targets)


def add_lora(model: Any, *, rank: int, seed: int) -> Any:
    """The model with a LoRA adapter of `rank` on every linear layer but the output; only the adapter trains."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    ids = torch.ones((1, 2), dtype=torch.int64, device=model.device)
    try:
        adapted: Any = get_peft_model(model, config)
        with torch.no_grad():
            adapted(input_ids=ids, use_cache=False)
    except torch.OutOfMemoryError:  # a RuntimeError that says nothing of the model
        raise
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        kind = getattr(model.config, "model_type", type(model).__name__)
        raise ModelError(
            f"recipe 'lora' has no place for its adapter in a model of type {kind!r}: {error}; take recipe 'full', or "
            "another model"
        ) from error
    return adapted
