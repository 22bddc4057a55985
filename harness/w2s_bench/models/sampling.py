"""Tokens drawn at a temperature, by numbers drawn beforehand: how rows are batched changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from w2s_bench.types import FloatArray


@dataclass(frozen=True)
class Sampling:
    """`uniforms` (rows, new tokens), in [0, 1), decide every token: the first whose cumulative probability is above its number."""

    temperature: float
    uniforms: FloatArray

    def picks(self, places: Sequence[int]) -> Callable[[torch.Tensor, Sequence[int], int], torch.Tensor]:
        """How tokens of a batch are drawn (`greedy.Picks`): of rows that lie at these places of `uniforms`."""
        return lambda logits, active, step: self.drawn(logits, [places[row] for row in active], step)

    def drawn(self, logits: torch.Tensor, rows: Sequence[int], step: int) -> torch.Tensor:
        """(rows,) token ids of (rows, vocabulary) logits; −1 where they are no numbers (NaN)."""
        scaled = logits.double() / self.temperature
        cumulative = torch.softmax(scaled, dim=-1).cumsum(-1)
        numbers = torch.from_numpy(self.uniforms[list(rows), step]).to(cumulative.device)
        # The last sum is 1 but for rounding.
        wanted = numbers[:, None] * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, wanted, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
        return chosen.masked_fill(scaled.isnan().any(-1), -1)
