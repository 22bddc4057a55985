"""What a model allows the engine: its body without the output layer, and several continuations of one prompt in a row.

Both are found out by asking the model itself, on a few tokens, and comparing with what it gives as a whole.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

_CLOSE = 1e-4  # relative to the largest number compared
_PROMPT, _FIRST, _SECOND = (1, 2, 3), (4, 5, 2), (3, 1)  # token ids; any do


@dataclass(frozen=True)
class Anatomy:
    """`body(ids) → states`, `head(states) → logits`; `trees`: a mask of one's own and repeated positions are understood."""

    body: Any
    head: Any
    trees: bool

    def states(self, ids: torch.Tensor, **own: torch.Tensor) -> torch.Tensor:
        """(rows, length, width) what the output layer reads, of token ids (rows, length)."""
        states: torch.Tensor = self.body(input_ids=ids, use_cache=False, **own).last_hidden_state
        return states


@torch.no_grad()
def anatomy_of(model: Any) -> Anatomy | None:
    """None for a model that does more with its last states than apply its output layer (a cap on logits, a scale)."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    body, head = plain.base_model, plain.get_output_embeddings()
    if body is plain or head is None:
        return None
    was_training = plain.training
    plain.eval()
    try:
        with torch.autocast(plain.device.type, enabled=False):  # products of fewer digits would look like differences
            return _found_out(plain, body, head)
    finally:
        plain.train(was_training)


def _found_out(plain: Any, body: Any, head: Any) -> Anatomy | None:
    ids = torch.tensor([_PROMPT + _FIRST], device=plain.device) % plain.config.get_text_config().vocab_size
    anatomy = Anatomy(body, head, trees=False)
    if not _close(head(anatomy.states(ids)), plain(input_ids=ids, use_cache=False).logits):
        return None
    return Anatomy(body, head, _understands_trees(anatomy, plain))


def _understands_trees(anatomy: Anatomy, plain: Any) -> bool:
    """Whether two continuations in one row come out as each alone."""
    takes_positions = "position_ids" in inspect.signature(anatomy.body.forward).parameters
    if not takes_positions or plain.config._attn_implementation not in ("sdpa", "eager"):
        return False
    text = plain.config.get_text_config()
    if getattr(text, "sliding_window", None) or getattr(text, "is_encoder_decoder", False):
        return False  # a window counts places in the row, and those of a tree are others
    size = text.vocab_size
    prompt, first, second = ([token % size for token in part] for part in (_PROMPT, _FIRST, _SECOND))
    branches = np.array([[0] * len(prompt) + [1] * len(first) + [2] * len(second)])
    places = [*range(len(prompt) + len(first)), *range(len(prompt), len(prompt) + len(second))]
    device = plain.device
    try:
        together = anatomy.states(
            torch.tensor([prompt + first + second], device=device),
            attention_mask=tree_mask(branches).to(device),
            position_ids=torch.tensor([places], device=device),
        )
    except (TypeError, ValueError, RuntimeError):
        return False  # attention of another kind: it says so by failing on such a mask
    alone = [anatomy.states(torch.tensor([prompt + part], device=device)) for part in (first, second)]
    cut = len(prompt) + len(first)
    return _close(together[:, :cut], alone[0]) and _close(together[:, cut:], alone[1][:, len(prompt) :])


def tree_mask(branches: np.ndarray[Any, np.dtype[np.int64]]) -> torch.Tensor:
    """(rows, 1, length, length) added to attention: 0 where a token sees another, else the lowest number.

    `branches` (rows, length): 0 a row's prompt, 1, 2, … its continuations, -1 padding. A token sees those before it that
    are of the prompt or of its own continuation.
    """
    own = branches[:, :, None] == branches[:, None, :]
    seen = np.tril(own | (branches[:, None, :] == 0))
    return torch.from_numpy(np.where(seen, np.float32(0), np.finfo(np.float32).min)[:, None])


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= _CLOSE * (1 + other.abs().max()))
