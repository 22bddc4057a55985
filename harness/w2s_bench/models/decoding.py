"""One more token a row: keys and values of those before it in memory without gaps, and attention to them.

On a processor, a step of decoding is mostly the reading of keys and values, and a gap of a few unused places after each
row and head makes that three times slower. So memory grows by a few places at a time, and what is unused is read and masked.
On a CUDA device a step is mostly the launching of kernels. There memory is for all tokens from the start and nothing moves, so
that one graph is every step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from w2s_bench.models.capabilities import Anatomy, base_of, tree_mask
from w2s_bench.models.encoding import length_batches
from w2s_bench.models.replayed import Replayed

_STEP = 16  # places by which the memory of keys and values grows
_AT_ONCE = 2_048  # tokens of prompts, on a processor
_AT_ONCE_FAR = 16_384  # the same, on an accelerator
_FEW_NEW = 4  # new tokens from which a graph may pay; the questions to a model read as many
_NAME = "w2s_bench_decoding"
_LEFT_TO_TORCH = ("softcap", "s_aux", "position_bias", "cache")  # torch's function does these, or refuses them


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

    def take(self, read: GrowingLayer, places: torch.Tensor, rows: int, length: int) -> None:
        """Remember what another layer has `read`, as that of the rows at `places` of `rows`, at the end of `length` tokens."""
        if read.keys is None or read.values is None:
            return  # the layer attends with another layer's keys
        places = places.to(read.device)
        if self.keys is None or self.values is None:
            self.keys, self.values = (_room(states, rows, self._reach(length)) for states in (read.keys, read.values))
            self.is_initialized, self.dtype, self.device, self._length = True, read.dtype, read.device, length
        first, there = length - read.get_seq_length(), read.get_seq_length()
        self.keys[places, :, first:length] = read.keys[:, :, :there]
        self.values[places, :, first:length] = read.values[:, :, :there]

    def _reach(self, length: int) -> int:
        """Tokens that there is to be memory for when `length` have been read."""
        return length


class FixedLayer(GrowingLayer):
    """The same with memory for `most` tokens from the start. The next one's keys and values go where `at` (1,) says.

    Its length stays that of the prompts: what a graph does once it does the same way each time, and a model that counts by
    a memory's length would count wrongly, which the questions to it show.
    """

    def __init__(self, most: int, at: torch.Tensor) -> None:
        super().__init__()
        self._most, self._at = most, at

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put in (rows, heads, 1, width); returns all there is memory for."""
        assert self.keys is not None, "prompts are read into another memory, and taken from there"
        assert self.values is not None
        self.keys.index_copy_(2, self._at, key_states)
        self.values.index_copy_(2, self._at, value_states)
        return self.keys, self.values

    def _reach(self, length: int) -> int:
        return self._most


def growing_cache(layers: int) -> Any:
    """A cache of `transformers` for so many layers."""
    return Cache(layers=[GrowingLayer() for _ in range(layers)])


class PaddedRows:
    """Prompts, padded on the left, that are read once and then a token at a time, all rows together.

    Prompts are read in batches of like length of `at_once` tokens: of those little is padding, and what a layer computes of
    them stays in the processor's cache. `fixed`: whether nothing moves from step to step, so that a graph may be one.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        model: Any,
        prompts: Sequence[Sequence[int]],
        most_new: int,
        at_once: int | None = None,
        fixed: bool | None = None,
    ) -> None:
        self._anatomy, self._model, self._prompts = anatomy, model, prompts
        self._at_once = at_once or (_AT_ONCE if model.device.type == "cpu" else _AT_ONCE_FAR)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        self._length, self._positions = max(len(prompt) for prompt in prompts), lengths[:, None] - 1
        # A new token sees neither the padding nor, as yet, the places after it.
        dtype = model.dtype
        places = torch.arange(places_for(self._length + most_new), device=model.device)
        sees = (places >= self._length - lengths[:, None]) & (places < self._length)
        seen = torch.zeros(sees.shape, dtype=dtype, device=model.device).masked_fill(~sees, torch.finfo(dtype).min)
        self._seen = seen[:, None, None]
        self.fixed = most_new >= _FEW_NEW and _on_one_cuda_device(model) if fixed is None else fixed
        layers = model.config.get_text_config().num_hidden_layers
        self._cache: Any = growing_cache(layers)
        if self.fixed:
            self._at = torch.tensor([self._length], device=model.device)
            self._tokens = torch.zeros_like(self._positions)
            self._step = self._new_step()
            self._cache = Cache(layers=[FixedLayer(self._length + most_new, self._at) for _ in range(layers)])

    def read(self, tokens: torch.Tensor | None = None) -> torch.Tensor:
        """(rows, vocabulary) logits of the next token: after the prompts at first, then after one more of `tokens` (rows,)."""
        if tokens is None:
            return self._read_prompts()
        if self.fixed:
            self._tokens.copy_(tokens[:, None])
            return self._step()
        self._positions = self._positions + 1
        self._seen[..., self._length] = 0
        self._length += 1
        mask = self._seen[..., : places_for(self._length)]
        with decoding(self._model):
            return self._logits(tokens[:, None], self._positions, mask, self._cache)

    def _new_step(self) -> Callable[[], torch.Tensor]:
        return Replayed(self._read_in_place) if self._model.device.type == "cuda" else self._read_in_place

    def _read_in_place(self) -> torch.Tensor:
        """Logits after `_tokens`; of all that a step changes, nothing moves."""
        self._positions += 1
        self._seen.index_fill_(3, self._at, 0)
        with decoding(self._model):
            logits = self._logits(self._tokens, self._positions, self._seen, self._cache)
        self._at += 1
        return logits

    def _read_prompts(self) -> torch.Tensor:
        logits: torch.Tensor | None = None
        rows = len(self._prompts)
        for batch in length_batches([len(prompt) for prompt in self._prompts], max_tokens=self._at_once):
            chosen, cache = [self._prompts[row] for row in batch], growing_cache(len(self._cache.layers))
            logits_of_chosen = self._read_side_by_side(chosen, cache)
            places = torch.tensor(batch, device=logits_of_chosen.device)
            for layer, read in zip(self._cache.layers, cache.layers, strict=True):
                layer.take(read, places, rows, self._length)
            logits = logits_of_chosen.new_empty((rows, logits_of_chosen.shape[-1])) if logits is None else logits
            logits[places] = logits_of_chosen
        assert logits is not None
        return logits

    def _read_side_by_side(self, prompts: Sequence[Sequence[int]], cache: Any) -> torch.Tensor:
        longest, device = max(len(prompt) for prompt in prompts), self._model.device
        ids = np.zeros((len(prompts), longest), dtype=np.int64)
        branches = np.full((len(prompts), longest), -1, dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :], branches[row, longest - len(prompt) :] = prompt, 0
        positions = (branches == 0).cumsum(1).clip(min=1) - 1
        # Without padding, causal attention by itself is faster.
        mask = tree_mask(branches, device, self._model.dtype) if (branches < 0).any() else None
        return self._logits(torch.from_numpy(ids).to(device), torch.from_numpy(positions).to(device), mask, cache)

    def _logits(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None, cache: Any
    ) -> torch.Tensor:
        own = {} if mask is None else {"attention_mask": mask}
        states = self._anatomy.body(
            input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, **own
        ).last_hidden_state
        logits: torch.Tensor = self._anatomy.head(states[:, -1])
        return logits

    def keep(self, places: torch.Tensor) -> None:
        """Leave all other rows out."""
        keep_rows(self._cache, places)
        self._positions, self._seen = self._positions[places], self._seen[places]
        if self.fixed:
            self._tokens, self._step = self._tokens[places], self._new_step()


def keep_rows(cache: Any, places: torch.Tensor) -> None:
    """Leave all other rows out of a cache of transformers, each layer of which lies where the model's layer does."""
    own = [getattr(layer, "device", None) or places.device for layer in getattr(cache, "layers", ())]
    if all(torch.device(device) == places.device for device in own):
        cache.batch_select_indices(places)
        return
    for layer, device in zip(cache.layers, own, strict=True):
        layer.batch_select_indices(places.to(device))


def read_on(model: Any, inputs: torch.Tensor, cache: Any, start: int) -> tuple[torch.Tensor, Any]:
    """(rows, vocabulary) logits after `inputs` (rows, new), which follow `start` tokens that `cache` remembers; the cache.

    Positions are given where the model takes them: some that mix attention with other layers do not count them themselves.
    """
    parameters = inspect.signature(base_of(model).forward).parameters
    more: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
    if "position_ids" in parameters:
        places = torch.arange(start, start + inputs.shape[1], device=inputs.device)
        more["position_ids"] = places.expand(inputs.shape[0], -1)
    output = model(input_ids=inputs, past_key_values=cache, use_cache=True, **more)
    return output.logits[:, -1], output.past_key_values


@contextmanager
def decoding(model: Any) -> Iterator[None]:
    """While open, `model` attends by `attend`, if it attended by torch's own function before."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    if before != "sdpa":
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
    that torch's function takes; that one is made for many tokens. Under a mask it also copies keys and values once for
    every head that shares them, which on an accelerator takes longer than all else. Weights are float32 until they are summed.
    """
    rows, heads, new, width = query.shape
    if new > 1 or attention_mask is None or any(settings.get(name) is not None for name in _LEFT_TO_TORCH):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    scaling = width**-0.5 if settings.get("scaling") is None else settings["scaling"]
    grouped = (query * scaling).reshape(rows, key.shape[1], -1, width)  # heads that share their keys side by side
    weights = ((grouped @ key.transpose(-1, -2)).float() + attention_mask).softmax(-1)
    return (weights.to(value.dtype) @ value).reshape(rows, 1, heads, value.shape[-1]), None


AttentionInterface.register(_NAME, attend)


def _on_one_cuda_device(model: Any) -> bool:
    return model.device.type == "cuda" and len({parameter.device for parameter in model.parameters()}) == 1


def _grown(states: torch.Tensor, length: int) -> torch.Tensor:
    grown = _room(states, len(states), length)
    grown[:, :, : states.shape[-2]] = states
    return grown


def _room(like: torch.Tensor, rows: int, length: int) -> torch.Tensor:
    """Zeros for so many rows and tokens, heads and width as of `like` (rows, heads, tokens, width)."""
    return like.new_zeros((rows, like.shape[1], places_for(length), like.shape[-1]))
