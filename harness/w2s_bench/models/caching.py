"""Keys and values of past tokens in memory that is taken once, so that a step of decoding copies none of them."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """One layer's keys and values with room for `places` tokens a row; `keys` and `values` show those that are there."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places
        self._rooms: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (rows, heads, new, width); returns all that are there."""
        before = self.get_seq_length()
        if self._rooms is None:
            self._rooms = (self._room(key_states), self._room(value_states))
            self.is_initialized, self.dtype, self.device = True, key_states.dtype, key_states.device
        after = before + key_states.shape[-2]
        for room, new in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, before:after] = new
        return self._show(after)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows."""
        if self._rooms is not None:
            length = self.get_seq_length()
            self._rooms = (self._rooms[0][indices], self._rooms[1][indices])
            self._show(length)

    def _room(self, states: torch.Tensor) -> torch.Tensor:
        rows, heads, _, width = states.shape
        return states.new_empty((rows, heads, self.places, width))

    def _show(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._rooms is not None
        keys, values = (room[:, :, :length] for room in self._rooms)
        self.keys, self.values = keys, values
        return keys, values


def roomy_cache(layers: int, places: int) -> Any:
    """A cache of `transformers` for so many layers, each with room for `places` tokens a row."""
    from transformers.cache_utils import Cache

    return Cache(layers=[RoomyLayer(places) for _ in range(layers)])
