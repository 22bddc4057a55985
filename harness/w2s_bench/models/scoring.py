"""Log-probabilities and hidden states of completions, in length-sorted batches without attention masks.

Rows are padded on the right: in a causal model no real token sees the padding, so no mask is needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from w2s_bench.models.encoding import Pair, length_batches

_MAX_TOKENS = 16_384
_MAX_LOGITS = 1 << 28  # numbers in one batch of logits: 1 GiB


def padded(pairs: Sequence[Pair], *, drop_last: bool) -> torch.Tensor:
    """(rows, longest) ids padded on the right with 0; with `drop_last` without each row's last token."""
    cut = 1 if drop_last else 0
    ids = np.zeros((len(pairs), max(len(pair) for pair in pairs) - cut), dtype=np.int64)
    for row, pair in enumerate(pairs):
        tokens = pair.prompt + pair.completion
        ids[row, : len(tokens) - cut] = tokens[: len(tokens) - cut]
    return torch.from_numpy(ids)


def completion_logits(model: Any, pairs: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits that predict the completions' tokens: (tokens, vocabulary), the tokens (tokens,), and each one's row (tokens,).

    Only the span of positions that some row's completion needs passes through the output layer.
    """
    ids = padded(pairs, drop_last=True).to(model.device)
    first = min(len(pair.prompt) for pair in pairs) - 1
    if keeps_logits(model):
        span = torch.arange(first, ids.shape[1], device=ids.device)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=span).logits
    else:
        logits = model(input_ids=ids, use_cache=False).logits[:, first:]
    rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    for row, pair in enumerate(pairs):
        rows += [row] * len(pair.completion)
        columns += range(len(pair.prompt) - 1 - first, len(pair) - 1 - first)
        targets += pair.completion
    row_index = torch.tensor(rows, device=ids.device)
    picked = logits[row_index, torch.tensor(columns, device=ids.device)]
    return picked, torch.tensor(targets, device=ids.device), row_index


def keeps_logits(model: Any) -> bool:
    """Whether the model can be asked for the logits of some positions only."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(base.forward).parameters


@torch.no_grad()
def token_logprobs(model: Any, pairs: Sequence[Pair]) -> list[NDArray[np.float64]]:
    """For each pair one natural log-probability a token of its completion."""
    out: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs)
    most = min(_MAX_TOKENS, _MAX_LOGITS // model.config.get_text_config().vocab_size)
    for batch in length_batches([len(pair) for pair in pairs], max_tokens=most):
        chosen = [pairs[i] for i in batch]
        logits, targets, _ = completion_logits(model, chosen)
        logprobs = -F.cross_entropy(logits.float(), targets, reduction="none").cpu().numpy().astype(np.float64)
        cuts = np.cumsum([len(pair.completion) for pair in chosen])[:-1]
        for i, part in zip(batch, np.split(logprobs, cuts), strict=True):
            out[i] = part
    return out


@torch.no_grad()
def hidden_states(model: Any, pairs: Sequence[Pair], layer: int | Literal["all"]) -> NDArray[np.float32]:
    """State of the last token of prompt + completion: (n, d), or (n, layers + 1, d) for `"all"`, the embedding first."""
    out: list[NDArray[np.float32] | None] = [None] * len(pairs)
    for batch in length_batches([len(pair) for pair in pairs], max_tokens=_MAX_TOKENS):
        chosen = [pairs[i] for i in batch]
        ids = padded(chosen, drop_last=False).to(model.device)
        # One position's logits are the least the model can be asked for; the states are what is wanted.
        keep = {"logits_to_keep": 1} if keeps_logits(model) else {}
        states = model(input_ids=ids, use_cache=False, output_hidden_states=True, **keep).hidden_states
        last = torch.tensor([len(pair) - 1 for pair in chosen], device=ids.device)
        rows = torch.arange(len(chosen), device=ids.device)
        wanted = torch.stack([s[rows, last] for s in states], dim=1) if layer == "all" else states[layer][rows, last]
        for i, state in zip(batch, wanted.float().cpu().numpy(), strict=True):
            out[i] = state
    return np.stack([state for state in out if state is not None])
