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
def option_logprobs(model: Any, items: Sequence[Sequence[Pair]]) -> list[NDArray[np.float64]]:
    """For each item the summed log-probability of each of its options (options,).

    The options of an item share its prompt: it is read once, and every option continues from its key-value cache. Items
    are batched by equal prompt length and number of options, so that no prompt is padded.
    """
    out: list[NDArray[np.float64]] = [np.zeros(0)] * len(items)
    alike: dict[tuple[int, int], list[int]] = {}
    for i, options in enumerate(items):
        alike.setdefault((len(options[0].prompt), len(options)), []).append(i)
    for (length, count), members in sorted(alike.items()):
        # Tokenizers may part prompt and option otherwise for one option than for another; then nothing is shared.
        shared = [i for i in members if length > 1 and len({pair.prompt for pair in items[i]}) == 1]
        size = max(1, _MAX_TOKENS // (length + count * max(len(pair.completion) for i in members for pair in items[i])))
        for start in range(0, len(shared), size):
            batch = shared[start : start + size]
            sums = _continued(model, [items[i] for i in batch])
            for place, i in enumerate(batch):
                out[i] = sums[place]
        for i in sorted(set(members) - set(shared)):
            out[i] = np.array([part.sum() for part in token_logprobs(model, items[i])])
    return out


def _continued(model: Any, items: Sequence[Sequence[Pair]]) -> NDArray[np.float64]:
    """(items, options) summed log-probabilities; all prompts of one length, each its item's own, of two tokens or more."""
    count, pairs = len(items[0]), [pair for options in items for pair in options]
    prompts = torch.tensor([options[0].prompt[:-1] for options in items], device=model.device)
    last_logits = {"logits_to_keep": 1} if keeps_logits(model) else {}
    cache = model(input_ids=prompts, use_cache=True, **last_logits).past_key_values
    if not hasattr(cache, "batch_repeat_interleave"):  # a recurrent state: nothing to continue from twice
        return np.array([part.sum() for part in token_logprobs(model, pairs)]).reshape(-1, count)
    cache.batch_repeat_interleave(count)
    longest = max(len(pair.completion) for pair in pairs)
    ids = np.zeros((len(pairs), longest), dtype=np.int64)
    targets = np.full((len(pairs), longest), -100, dtype=np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.completion)] = (pair.prompt[-1], *pair.completion[:-1])
        targets[row, : len(pair.completion)] = pair.completion
    logits = model(input_ids=torch.from_numpy(ids).to(model.device), past_key_values=cache, use_cache=True).logits
    wanted = torch.from_numpy(targets).to(model.device)
    losses = F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), reduction="none", ignore_index=-100)
    summed: NDArray[np.float64] = losses.view(len(pairs), longest).double().sum(1).cpu().numpy()
    return -summed.reshape(-1, count)


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
