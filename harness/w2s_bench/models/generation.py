"""Greedy generation with a key-value cache, prompts of like length at a time so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.anatomy import Anatomy, anatomy_of, tree_mask
from w2s_bench.models.decoding import decoding, growing_cache, places_for
from w2s_bench.models.encoding import encode, max_length_of
from w2s_bench.models.scoring import keeps_logits

_MAX_ROWS = 256
_COMPACT = 0.75  # share of rows still going at which the others are taken out; before that a copy costs more


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
    stops = Stops([stop for stop in until if stop and stop != tokenizer.eos_token], tokenizer)
    ends = _end_tokens(model, tokenizer)
    encoded = encode(tokenizer, prompts)
    limit = max_length_of(model)
    for prompt, ids in zip(prompts, encoded, strict=True):
        if len(ids) + max_new_tokens > limit:
            raise ModelError(
                f"a prompt of {len(ids)} tokens leaves no room for {max_new_tokens} new ones in a context of {limit}: {prompt[:80]!r}…"
            )
    anatomy = anatomy_of(model)
    decode = _decode if anatomy is None or not anatomy.trees else partial(_decode_padded, anatomy)
    out: list[Generated | None] = [None] * len(prompts)
    for batch in _batches([len(ids) for ids in encoded], alike=decode is _decode):
        tokens = decode(model, [encoded[i] for i in batch], max_new_tokens, ends, stops)
        for i, new in zip(batch, tokens, strict=True):
            out[i] = _finish(tokenizer, new, ends, stops)
    return [generated for generated in out if generated is not None]


def _batches(lengths: Sequence[int], *, alike: bool) -> Iterator[list[int]]:
    """Indices in batches of like length; of equal length where `alike`."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and (len(batch) == _MAX_ROWS or (alike and lengths[batch[0]] != lengths[i])):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


class Stops:
    """Texts that end an answer. Most new tokens cannot complete one, which is known without decoding the answer."""

    def __init__(self, texts: Sequence[str], tokenizer: Any) -> None:
        self.texts, self.tokenizer = tuple(texts), tokenizer
        self._may_complete: dict[int, bool] = {}

    def in_tail(self, tokens: list[int]) -> bool:
        """Whether a stop text stands at the end of what was generated so far, or just before."""
        if not self.texts or not self._may(tokens[-1]):
            return False
        # A stop text is a few tokens long; decoding the tail is enough to see it. It may be a special token's text.
        tail = self.tokenizer.decode(tokens[-16:], skip_special_tokens=False)
        return any(stop in tail for stop in self.texts)

    def _may(self, token: int) -> bool:
        known = self._may_complete.get(token)
        if known is None:
            text = self.tokenizer.decode([token], skip_special_tokens=False)
            # Half a character, nothing, or a space between two tokens show only in the whole.
            unclear = not text.strip() or "\ufffd" in text or any(stop[-1].isspace() for stop in self.texts)
            known = self._may_complete[token] = unclear or any(stop[-1] in text for stop in self.texts)
        return known


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """The tokenizer's end of sequence, and those that the model's own generation settings name (a chat model has several)."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return {int(end) for end in ends if end is not None}


def _decode(model: Any, prompts: list[list[int]], max_new_tokens: int, ends: set[int], stops: Stops) -> list[list[int]]:
    """New token ids a row, all prompts of one length: for a model that knows no masks; a finished row leaves the batch."""
    new: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    inputs, cache = torch.tensor(prompts, device=model.device), None
    last_logits = {"logits_to_keep": 1} if keeps_logits(model) else {}
    for step in range(max_new_tokens):
        output = model(input_ids=inputs, past_key_values=cache, use_cache=True, **last_logits)
        cache = output.past_key_values
        chosen = output.logits[:, -1].argmax(-1)
        going = _append(new, active, chosen.tolist(), ends, stops)
        if not going or step + 1 == max_new_tokens:
            break
        inputs = chosen[:, None]
        if len(going) < len(active):
            keep = torch.tensor(going, device=model.device)
            cache.batch_select_indices(keep)
            inputs, active = inputs[keep], [active[place] for place in going]
    return new


def _decode_padded(
    anatomy: Anatomy, model: Any, prompts: list[list[int]], max_new_tokens: int, ends: set[int], stops: Stops
) -> list[list[int]]:
    """New token ids a row, prompts of like length, padded on the left; finished rows leave when a quarter has finished."""
    longest, device = max(len(ids) for ids in prompts), model.device
    ids = np.zeros((len(prompts), longest), dtype=np.int64)
    branches = np.full((len(prompts), longest), -1, dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :], branches[row, longest - len(prompt) :] = prompt, 0
    inputs = torch.from_numpy(ids).to(device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    positions = (torch.arange(longest, device=device) - (longest - lengths)[:, None]).clamp(min=0)
    of_prompts = tree_mask(branches).to(device)
    # What a new token sees: neither the padding nor, as yet, the places after it.
    room = (len(prompts), 1, 1, places_for(longest + max_new_tokens))
    seen = torch.full(room, torch.finfo(torch.float32).min, device=device)
    seen[..., :longest] = of_prompts[:, :, -1:]
    mask = of_prompts if (branches < 0).any() else None  # without padding, causal attention by itself is faster
    cache = growing_cache(model.config.get_text_config().num_hidden_layers)
    new: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    finished: set[int] = set()
    for step in range(max_new_tokens):
        own = {} if mask is None else {"attention_mask": mask}
        with decoding(model) if step else nullcontext():
            states = anatomy.body(
                input_ids=inputs, position_ids=positions, past_key_values=cache, use_cache=True, **own
            ).last_hidden_state
        chosen = anatomy.head(states[:, -1]).argmax(-1)
        going = set(_append(new, active, chosen.tolist(), ends, stops, finished))
        if not going or step + 1 == max_new_tokens:
            break
        finished.update(row for place, row in enumerate(active) if place not in going)
        inputs, positions = chosen[:, None], positions[:, -1:] + 1
        if len(going) <= _COMPACT * len(active):
            keep = torch.tensor(sorted(going), device=device)
            cache.batch_select_indices(keep)
            inputs, positions, seen = inputs[keep], positions[keep], seen[keep]
            active, finished = [active[place] for place in sorted(going)], set()
        seen[..., longest + step] = 0
        mask = seen[..., : places_for(longest + step + 1)]
    return new


def _append(
    new: list[list[int]],
    active: list[int],
    chosen: list[int],
    ends: set[int],
    stops: Stops,
    finished: Set[int] = frozenset(),
) -> list[int]:
    """Add each row's token; the places in the batch of those rows that go on."""
    going = []
    for place, token in enumerate(chosen):
        row = active[place]
        if row in finished:
            continue
        new[row].append(token)
        if token not in ends and not stops.in_tail(new[row]):
            going.append(place)
    return going


def _finish(tokenizer: Any, tokens: list[int], ends: set[int], stops: Stops) -> Generated:
    ended = tokens[-1] in ends or stops.in_tail(tokens)
    text = tokenizer.decode(tokens[:-1] if tokens[-1] == tokenizer.eos_token_id else tokens, skip_special_tokens=True)
    for stop in stops.texts:
        before, found, _ = text.partition(stop)
        text, ended = before, ended or bool(found)
    return Generated(text, ended or not text.strip())
