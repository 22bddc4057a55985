"""Greedy generation with a key-value cache, prompts of one length at a time so that nothing is padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.encoding import encode, max_length_of
from w2s_bench.models.scoring import keeps_logits

_MAX_ROWS = 512


@dataclass(frozen=True)
class Generated:
    """`text` as lm-eval sees it; `ended` says that the model stopped by itself within the limit.

    An answer without any text counts as ended: its end is all that a student could learn from it.
    """

    text: str
    ended: bool


@torch.no_grad()
def generate(
    model: Any, tokenizer: Any, prompts: Sequence[str], *, max_new_tokens: int, until: Sequence[str]
) -> list[Generated]:
    """The most probable next token until end of sequence, a text of `until`, or `max_new_tokens`."""
    stops = [stop for stop in until if stop and stop != tokenizer.eos_token]
    ends = _end_tokens(model, tokenizer)
    by_length: dict[int, list[int]] = {}
    encoded = encode(tokenizer, prompts)
    limit = max_length_of(model)
    for i, ids in enumerate(encoded):
        if len(ids) + max_new_tokens > limit:
            raise ModelError(
                f"a prompt of {len(ids)} tokens leaves no room for {max_new_tokens} new ones in a context of {limit}: {prompts[i][:80]!r}…"
            )
        by_length.setdefault(len(ids), []).append(i)
    out: list[Generated | None] = [None] * len(prompts)
    for _, rows in sorted(by_length.items()):
        for start in range(0, len(rows), _MAX_ROWS):
            batch = rows[start : start + _MAX_ROWS]
            tokens = _decode(model, tokenizer, [encoded[i] for i in batch], max_new_tokens, ends, stops)
            for i, new in zip(batch, tokens, strict=True):
                out[i] = _finish(tokenizer, new, ends, stops)
    return [generated for generated in out if generated is not None]


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """The tokenizer's end of sequence, and those that the model's own generation settings name (a chat model has several)."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return {int(end) for end in ends if end is not None}


def _decode(
    model: Any, tokenizer: Any, prompts: list[list[int]], max_new_tokens: int, ends: set[int], stops: list[str]
) -> list[list[int]]:
    """New token ids a row; a finished row leaves the batch."""
    new: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    inputs, cache = torch.tensor(prompts, device=model.device), None
    last_logits = {"logits_to_keep": 1} if keeps_logits(model) else {}
    for step in range(max_new_tokens):
        output = model(input_ids=inputs, past_key_values=cache, use_cache=True, **last_logits)
        cache = output.past_key_values
        chosen = output.logits[:, -1].argmax(-1)
        going = []
        for place, token in enumerate(chosen.tolist()):
            row = active[place]
            new[row].append(token)
            if token not in ends and not (stops and _has_stop(tokenizer, new[row], stops)):
                going.append(place)
        if not going or step + 1 == max_new_tokens:
            break
        inputs = chosen[:, None]
        if len(going) < len(active):
            keep = torch.tensor(going, device=model.device)
            cache.batch_select_indices(keep)
            inputs, active = inputs[keep], [active[place] for place in going]
    return new


def _has_stop(tokenizer: Any, tokens: list[int], stops: list[str]) -> bool:
    # A stop text is a few tokens long; decoding the tail is enough to see it end here. It may be a special token's text.
    tail = tokenizer.decode(tokens[-16:], skip_special_tokens=False)
    return any(stop in tail for stop in stops)


def _finish(tokenizer: Any, tokens: list[int], ends: set[int], stops: list[str]) -> Generated:
    ended = tokens[-1] in ends or _has_stop(tokenizer, tokens, stops)
    text = tokenizer.decode(tokens[:-1] if tokens[-1] == tokenizer.eos_token_id else tokens, skip_special_tokens=True)
    for stop in stops:
        before, found, _ = text.partition(stop)
        text, ended = before, ended or bool(found)
    return Generated(text, ended or not text.strip())
