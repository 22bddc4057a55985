"""One more token a row: keys and values of those before it in memory without gaps, and attention to them.

On a processor, a step of decoding is mostly the reading of keys and values, and a gap of a few unused places after each
row and head makes that three times slower. So memory grows by a few places at a time, and what is unused is read and masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

_STEP = 16  # places by which memory grows
_NAME = "w2s_bench_decoding"
_LEFT_TO_TORCH = ("softcap", "s_aux", "position_bias", "cache")  # what its function does, or refuses to do


def places_for(length: int) -> int:
    """Places a row that there is memory for when `length` tokens have been read: what a mask of a later token covers."""
    return -(-length // _STEP) * _STEP


class GrowingLayer(DynamicLayer):
    """One layer's `keys` and `values` (rows, heads, `places_for` the tokens read, width); unused places hold zeros."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def get_seq_length(self) -> int:
        return self._length

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (rows, heads, new, width); returns the first as they came, later all there is memory for."""
        before, self._length = self._length, self._length + key_states.shape[-2]
        if self.keys is None or self.values is None:
            self.keys, self.values = _grown(key_states, self._length), _grown(value_states, self._length)
            self.is_initialized, self.dtype, self.device = True, key_states.dtype, key_states.device
            return key_states, value_states
        if places_for(self._length) > self.keys.shape[-2]:
            self.keys, self.values = _grown(self.keys, self._length), _grown(self.values, self._length)
        self.keys[:, :, before : self._length] = key_states
        self.values[:, :, before : self._length] = value_states
        return self.keys, self.values


def growing_cache(layers: int) -> Any:
    """A cache of `transformers` for so many layers."""
    return Cache(layers=[GrowingLayer() for _ in range(layers)])


@contextmanager
def decoding(model: Any) -> Iterator[None]:
    """While open, `model` attends by `attend`, if it attended by torch's own function before and is on a processor."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    if before != "sdpa" or model.device.type != "cpu":
        yield
        return
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **settings: Any
) -> tuple[torch.Tensor, None]:
    """(rows, new, heads, width) of `query` (rows, heads, new, width). Of one token by two products, which take half the time
    that torch's function takes; that one is made for many tokens.
    """
    rows, heads, new, width = query.shape
    if new > 1 or attention_mask is None or any(settings.get(name) is not None for name in _LEFT_TO_TORCH):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    scaling = width**-0.5 if settings.get("scaling") is None else settings["scaling"]
    grouped = (query * scaling).reshape(rows, key.shape[1], -1, width)  # heads that share their keys side by side
    weights = (grouped @ key.transpose(-1, -2) + attention_mask).softmax(-1)
    return (weights @ value).reshape(rows, 1, heads, value.shape[-1]), None


AttentionInterface.register(_NAME, attend)


def _grown(states: torch.Tensor, length: int) -> torch.Tensor:
    rows, heads, there, width = states.shape
    grown = states.new_zeros((rows, heads, places_for(length), width))
    grown[:, :, :there] = states
    return grown
