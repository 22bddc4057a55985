"""One step of training in parts that fit the memory: loss and gradient are those of the step's whole batch, to round-off.

On a processor a batch is one part, unless the user asks for another. On an accelerator parts are of as many tokens as are
likely to fit; where memory runs out all the same, parts are halved, and what layers compute is computed again for the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from w2s_bench.models.capabilities import base_of
from w2s_bench.models.memory import bytes_a_token, empty_cache, free_bytes, is_accelerator, out_of_memory
from w2s_bench.models.setup import CHECKPOINTING_VARIABLE, Effort

_MOST_TOKENS = 16_384  # tokens in a part: more make no product faster
_FEW_TOKENS = 2_048  # tokens in a part: with fewer, products slow down by more than checkpointing costs
_A_LOGIT = 20  # bytes: in the model's numbers, in float32, its logarithm, and the gradients of these
_SHARE = 0.8  # of the free memory is used


class Asking(Protocol):
    def asks(self, row: int) -> int: ...


class Parts:
    """How the batches of one training are parted. Open, the model forgets what its layers compute, where that was chosen."""

    def __init__(self, model: Any, examples: Asking, lengths: Sequence[int], effort: Effort) -> None:
        self._model, self._examples, self._lengths, self._effort = model, examples, lengths, effort
        self._device: torch.device = model.device
        self._tokens = 1 << 62  # in a part, padding included
        self._logits = 1 << 62  # rows of logits in a part
        self._checkpointing = False

    def __enter__(self) -> Parts:
        always = self._effort.checkpointing == "always"
        free = free_bytes(self._device)
        if is_accelerator(self._device):
            self._tokens = _MOST_TOKENS
        if free is not None and self._effort.micro_batch is None:
            self._tokens = self._that_fit(free, always)
            if self._tokens < _FEW_TOKENS and self._effort.checkpointing == "auto":
                always, self._tokens = True, self._that_fit(free, True)
        if always:
            self._forget()
        return self

    def __exit__(self, *error: object) -> None:
        if self._checkpointing:
            base_of(self._model).gradient_checkpointing_disable()

    def _that_fit(self, free: int, checkpointing: bool) -> int:
        vocabulary = int(base_of(self._model).config.get_text_config().vocab_size)
        # A quarter of the memory at most is for logits, the rest for what layers keep for the gradient.
        self._logits = max(1, int(free * _SHARE / 4) // (vocabulary * _A_LOGIT))
        token = bytes_a_token(base_of(self._model), training=True, checkpointing=checkpointing)
        return max(1, min(_MOST_TOKENS, int(free * _SHARE * 3 / 4) // token))

    def _forget(self) -> None:
        base_of(self._model).gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._checkpointing = True

    def differentiated(
        self, loss_of: Callable[[Sequence[int]], torch.Tensor], batch: Sequence[int], parameters: Sequence[Any]
    ) -> torch.Tensor:
        """The batch's loss, a number; its gradient is added to that of `parameters`, which have none before."""
        while True:
            try:
                return self._sum(loss_of, batch, backward=True)
            except torch.OutOfMemoryError as error:
                largest = max(len(part) for part in self.of(batch))
                if largest == 1 and (self._checkpointing or self._effort.checkpointing == "never"):
                    raise out_of_memory(self._model, self._least, trained=True) from error
            # This stands outside the handler, since the error's traceback holds what the failed attempt computed.
            for parameter in parameters:
                parameter.grad = None
            empty_cache(self._device)
            self._shrink(batch, largest)

    @property
    def _least(self) -> str:
        """The smallest step that there is, and what forbids a smaller one."""
        step = "to train on one row at a time"
        return step if self._checkpointing else f"{step} with {CHECKPOINTING_VARIABLE}=never, which may be unset"

    def whole(self, loss_of: Callable[[Sequence[int]], torch.Tensor], batch: Sequence[int]) -> torch.Tensor:
        """The batch's loss."""
        return self._sum(loss_of, batch, backward=False)

    def _shrink(self, batch: Sequence[int], largest: int) -> None:
        if largest == 1 or (not self._checkpointing and self._effort.checkpointing == "auto" and self._few(batch)):
            self._forget()
            print(f"memory of {self._device} ran out: layers are computed twice", flush=True)
            return
        widest = max(len(part) * max(self._lengths[i] for i in part) for part in self.of(batch))
        asked = max(sum(self._examples.asks(i) for i in part) for part in self.of(batch))
        self._tokens, self._logits = max(1, widest // 2), max(1, asked // 2)
        print(f"memory of {self._device} ran out: parts of a step are halved, to {self._tokens} tokens", flush=True)

    def _few(self, batch: Sequence[int]) -> bool:
        return max(len(part) * max(self._lengths[i] for i in part) for part in self.of(batch)) < 2 * _FEW_TOKENS

    def _sum(
        self, loss_of: Callable[[Sequence[int]], torch.Tensor], batch: Sequence[int], *, backward: bool
    ) -> torch.Tensor:
        parts = self.of(batch)
        if len(parts) == 1:
            loss = loss_of(batch)
            if backward:
                loss.backward()
            return loss.detach()
        total, whole = torch.zeros((), device=self._device), sum(self._examples.asks(i) for i in batch)
        for part in parts:
            # The objective is a mean over rows of logits: a part counts by how many of the batch's are its own.
            loss = loss_of(part) * (sum(self._examples.asks(i) for i in part) / whole)
            if backward:
                loss.backward()
            total += loss.detach()
        return total

    def of(self, batch: Sequence[int]) -> list[list[int]]:
        """The batch's rows in their order, in parts; a row that is too long for one is one."""
        most, parts, longest, asked = self._effort.micro_batch or len(batch), [list[int]()], 0, 0
        for row in batch:
            longest, asked = max(longest, self._lengths[row]), asked + self._examples.asks(row)
            count = len(parts[-1]) + 1
            if parts[-1] and (count > most or count * longest > self._tokens or asked > self._logits):
                parts.append([])
                longest, asked = self._lengths[row], self._examples.asks(row)
            parts[-1].append(row)
        return parts
