"""Log-probabilities and hidden states of completions, in length-sorted batches without attention masks.

Rows are padded on the right: in a causal model no real token sees the padding, so no mask is needed. A model in which it
shows all the same (`assumptions`) reads rows of equal length alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from w2s_bench.models.assumptions import anatomy_of, verdict_of
from w2s_bench.models.capabilities import Anatomy, base_of
from w2s_bench.models.encoding import Pair, length_batches
from w2s_bench.models.layers import Tap, count_of, refuse_layers
from w2s_bench.models.memory import by_halves, is_accelerator

MAX_TOKENS = 16_384  # tokens in a batch, on an accelerator
_CACHED_TOKENS = 2_048  # tokens in a batch on a processor: what a layer computes of them stays in its cache
_MAX_LOGITS = 1 << 28  # numbers in one batch of logits: 1 GiB


def padded(pairs: Sequence[Pair], *, drop_last: bool) -> torch.Tensor:
    """(rows, longest) ids padded on the right with 0; with `drop_last` without each row's last token."""
    cut = 1 if drop_last else 0
    ids = np.zeros((len(pairs), max(len(pair) for pair in pairs) - cut), dtype=np.int64)
    for row, pair in enumerate(pairs):
        tokens = pair.prompt + pair.completion
        ids[row, : len(tokens) - cut] = tokens[: len(tokens) - cut]
    return torch.from_numpy(ids)


def completion_logits(
    model: Any, pairs: Sequence[Pair], anatomy: Anatomy | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits that predict the completions' tokens: (tokens, vocabulary), the tokens (tokens,), and each one's row (tokens,).

    Only the positions that predict pass through the output layer; where the model's `anatomy` is not known to allow that,
    the span of positions that some row's completion needs. Rows that the model may not read side by side it reads apart.
    """
    parts = verdict_of(model).parts([len(pair) for pair in pairs])
    if len(parts) == 1:
        return _logits_side_by_side(model, pairs, anatomy)
    parts_read = [_logits_side_by_side(model, [pairs[i] for i in part], anatomy) for part in parts]
    rows = torch.cat(
        [torch.tensor(part, device=own.device)[own] for part, (_, _, own) in zip(parts, parts_read, strict=True)]
    )
    order = rows.argsort(stable=True)
    logits, targets = (torch.cat([part[which] for part in parts_read])[order] for which in (0, 1))
    return logits, targets, rows[order]


def _logits_side_by_side(
    model: Any, pairs: Sequence[Pair], anatomy: Anatomy | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return predicting(model, padded(pairs, drop_last=True).to(model.device), pairs, anatomy)[:3]


def predicting(
    model: Any,
    ids: torch.Tensor,
    pairs: Sequence[Pair],
    anatomy: Anatomy | None,
    settings: Mapping[str, bool] | None = None,
    *,
    scored: bool = True,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any]:
    """`completion_logits` of rows that are read side by side, and the whole output; of no logits where not `scored`."""
    first = min(len(pair.prompt) for pair in pairs) - 1
    row_index, column_index, target = (torch.from_numpy(a).to(ids.device) for a in _asked(pairs))
    given: dict[str, Any] = {"input_ids": ids, "use_cache": False, **(settings or {})}
    if anatomy is not None:
        output = anatomy.body(**given)
        states = output.last_hidden_state[row_index, column_index]
        return anatomy.head(states) if scored else states, target, row_index, output
    if keeps_logits(model):
        span = torch.arange(first, ids.shape[1], device=ids.device)
        # The model gives at least one position's logits, though none are wanted.
        output = model(**given, logits_to_keep=span if scored else 1)
        logits = output.logits
    else:
        output = model(**given)
        logits = output.logits[:, first:]
    return logits[row_index, column_index - first] if scored else logits, target, row_index, output


def tokens_at_once(model: Any) -> int:
    """Tokens, padding included, that are read in one batch."""
    return _CACHED_TOKENS if model.device.type == "cpu" else MAX_TOKENS


def keeps_logits(model: Any) -> bool:
    """Whether the model can be asked for the logits of some positions only."""
    return "logits_to_keep" in inspect.signature(base_of(model).forward).parameters


@torch.no_grad()
def token_logprobs(model: Any, pairs: Sequence[Pair]) -> list[NDArray[np.float64]]:
    """For each pair one natural log-probability a token of its completion."""
    out: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs)
    if not pairs:
        return out
    anatomy, device = anatomy_of(model), model.device
    in_parts = anatomy is not None and is_accelerator(device)
    most = tokens_at_once(model) if in_parts else min(tokens_at_once(model), logit_rows(model))

    def read(rows: list[int]) -> list[NDArray[np.float64]]:
        chosen = [pairs[i] for i in rows]
        if in_parts:
            assert anatomy is not None
            numbers = _completion_logprobs(model, chosen, anatomy)
        else:
            logits, targets, _ = completion_logits(model, chosen, anatomy)
            numbers = -F.cross_entropy(logits.float(), targets, reduction="none")
        cuts = np.cumsum([len(pair.completion) for pair in chosen])[:-1]
        return np.split(numbers.cpu().numpy().astype(np.float64), cuts)

    for batch in length_batches([len(pair) for pair in pairs], max_tokens=most):
        for i, part in zip(batch, by_halves(model, read, batch), strict=True):
            out[i] = part
    return out


def logit_rows(model: Any) -> int:
    """Tokens whose logits are held at once."""
    return _MAX_LOGITS // int(model.config.get_text_config().vocab_size)


def _completion_logprobs(model: Any, pairs: Sequence[Pair], anatomy: Anatomy) -> torch.Tensor:
    """(tokens of all completions,) log-probabilities. Many tokens are read, and the logits of few of them held at once."""
    lengths = [len(pair) for pair in pairs]
    counts = np.cumsum([0, *(len(pair.completion) for pair in pairs)])
    out = torch.empty(int(counts[-1]), device=model.device)
    for part in verdict_of(model).parts(lengths):
        chosen = [pairs[i] for i in part]
        ids = padded(chosen, drop_last=True).to(model.device)
        rows, columns, targets = (torch.from_numpy(a).to(ids.device) for a in _asked(chosen))
        states = anatomy.states(ids)[rows, columns]
        numbers = [
            -F.cross_entropy(anatomy.head(some).float(), wanted, reduction="none")
            for some, wanted in zip(states.split(logit_rows(model)), targets.split(logit_rows(model)), strict=True)
        ]
        places = np.concatenate([np.arange(counts[i], counts[i + 1]) for i in part])
        out[torch.from_numpy(places).to(out.device)] = torch.cat(numbers)
    return out


def _asked(pairs: Sequence[Pair]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(tokens of all completions,) the row and the place that predict each, and the token."""
    rows = np.repeat(np.arange(len(pairs)), [len(pair.completion) for pair in pairs])
    columns = np.concatenate([np.arange(len(pair.prompt) - 1, len(pair) - 1) for pair in pairs])
    return rows, columns, np.concatenate([pair.completion for pair in pairs])


@torch.no_grad()
def hidden_states(
    model: Any,
    pairs: Sequence[Pair],
    layer: int | Literal["all"] | Sequence[int],
    *,
    over: Literal["last", "completion"] = "last",
) -> NDArray[np.float32]:
    """State of the last token of prompt + completion: (n, d) of one layer, (n, layers, d) of several; "all": the embedding first.

    `over` "completion": the mean state of the completion's tokens instead; where it has none, the prompt's last token. Of no
    other layer and, but for that mean, of no other token anything is kept.
    """
    layers = [*range(count_of(model))] if layer == "all" else [layer] if isinstance(layer, int) else [*layer]
    refuse_layers(model, layers)
    out: list[NDArray[np.float32] | None] = [None] * len(pairs)

    def read(rows: list[int]) -> list[NDArray[np.float32]]:
        states = _states(model, [pairs[i] for i in rows], layers, over).cpu().numpy()
        return list(states[:, 0] if isinstance(layer, int) else states)

    for batch in length_batches([len(pair) for pair in pairs], max_tokens=tokens_at_once(model)):
        for part in verdict_of(model).parts([len(pairs[i]) for i in batch]):
            rows = [batch[index] for index in part]
            for i, state in zip(rows, by_halves(model, read, rows), strict=True):
                out[i] = state
    return np.stack([state for state in out if state is not None])


def _states(
    model: Any, pairs: Sequence[Pair], layers: Sequence[int], over: Literal["last", "completion"]
) -> torch.Tensor:
    """(rows, layers, d), in float32."""
    ids = padded(pairs, drop_last=False).to(model.device)
    last = torch.tensor([len(pair) - 1 for pair in pairs], device=ids.device)
    ends = torch.arange(len(pairs), device=ids.device) * ids.shape[1] + last
    at = ends if over == "last" else torch.arange(ids.numel(), device=ids.device)
    with Tap(model, layers, at).open() as tap:
        # A whole model gives at least one position's logits, though the states alone are wanted.
        keep = {"logits_to_keep": 1} if tap.asked is tap.model and keeps_logits(model) else {}
        states = tap.states(tap.asked(input_ids=ids, use_cache=False, **tap.settings, **keep))
    if over == "last":
        return states
    first = torch.minimum(torch.tensor([len(pair.prompt) for pair in pairs], device=ids.device), last)
    places = torch.arange(ids.shape[1], device=ids.device)
    among = ((places >= first[:, None]) & (places <= last[:, None]))[:, :, None, None]
    # Padding is left out before it is multiplied: what stands there may be no number.
    return torch.where(among, states.unflatten(0, ids.shape), 0.0).sum(1) / among.sum(1)
