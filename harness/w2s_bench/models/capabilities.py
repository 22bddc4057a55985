"""What a model allows the engine: its body without the output layer, and several continuations of one prompt in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Anatomy:
    """`body(ids) → states`, `head(states) → logits`; `trees`: up to how many places in a row a mask of one's own and
    repeated positions are understood (0: never).
    """

    body: Any
    head: Any
    trees: int

    def states(self, ids: torch.Tensor, **own: torch.Tensor) -> torch.Tensor:
        """(rows, length, width) what the output layer reads, of token ids (rows, length)."""
        states: torch.Tensor = self.body(input_ids=ids, use_cache=False, **own).last_hidden_state
        return states


def base_of(model: Any) -> Any:
    """The model itself, without an adapter around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def tree_mask(
    branches: np.ndarray[Any, np.dtype[np.int64]],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """(rows, 1, length, length) added to attention: 0 where a token sees another, else the lowest number.

    `branches` (rows, length): 0 a row's prompt, 1, 2, … its continuations, -1 padding. A token sees those before it that
    are of the prompt or of its own continuation. The mask is made where it is used: it is far larger than `branches`.
    """
    own = torch.from_numpy(branches).to(device)
    seen = ((own[:, :, None] == own[:, None, :]) | (own[:, None, :] == 0)).tril()
    mask = torch.zeros(seen.shape, dtype=dtype, device=device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
