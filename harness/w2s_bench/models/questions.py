"""Questions to one model, on a few tokens: which of the engine's assumptions hold for it. `assumptions` draws the conclusions.

Plain transformers, one row at a time and no memory of keys and values, is what every answer is compared with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.capabilities import Anatomy, tree_mask
from w2s_bench.models.decoding import PaddedRows, keep_rows, read_on

_CLOSE = 1e-4  # relative to half the range of the compared numbers
_SHORT = 6  # tokens
_PROMPT, _SECOND = 6, 3  # tokens of a prompt, and of the second of two continuations
_READ = 3  # tokens read one at a time


class Questions:
    """What a model cannot do (an error) it does not understand: then the engine does without."""

    def __init__(self, plain: Any, name: str) -> None:
        self.plain, self.name = plain, name
        self.size = int(plain.config.get_text_config().vocab_size)
        self.anatomy = Anatomy(plain.base_model, plain.get_output_embeddings(), trees=1 << 30)

    def splits(self) -> bool:
        """Whether the output layer reads just what the body gives, and its logits leave the model as they are.

        Not by numbers alone, of which small ones hide a cap: other numbers are put in the place of the layer's.
        """
        body, head = self.anatomy.body, self.anatomy.head
        if body is self.plain or head is None:
            return False
        read: list[torch.Tensor] = []
        put: list[torch.Tensor] = []

        def replace(module: Any, inputs: tuple[Any, ...], named: dict[str, Any], output: torch.Tensor) -> torch.Tensor:
            read.append([*inputs, *named.values()][0])
            put.append(torch.linspace(-100, 100, output.numel(), device=output.device).view_as(output))
            return put[-1]

        row = self._row(_SHORT, 1)
        handle = head.register_forward_hook(replace, with_kwargs=True)
        try:
            given = self._logits([row])
        finally:
            handle.remove()
        if len(put) != 1 or not _close(given, put[0]):
            return False
        return self._understood(lambda: _close(self.anatomy.states(self._ids([row])), read[0]))

    def near(self, length: int, splits: bool) -> dict[str, bool]:
        """Which assumptions hold for rows of `length` tokens, which no window parts."""
        own = self._row(length, 1)
        alone = self._logits([own])[0]
        holds = self._beside(own, alone, [length // 2])
        holds["trees"] = splits and self._understood(lambda: self._trees(own))
        holds["padded_cache"] = holds["trees"] and self._understood(lambda: self._padded_cache(own, alone))
        return holds

    def far(self, length: int, windows: Sequence[int]) -> dict[str, bool]:
        """Which of the others hold for rows of `length` tokens; `windows`: places beyond which a model may read otherwise."""
        own = self._row(length, 1)
        return self._beside(own, self._logits([own])[0], windows)

    def _beside(self, own: list[int], alone: torch.Tensor, marks: Sequence[int]) -> dict[str, bool]:
        first = max(1, marks[0] - 1)
        before = self._logits([own[:first]])[0]
        # Three rows: one padded on the right, the same without padding, and one that differs in its first tokens alone.
        mixed = [own[:first] + [0] * (len(own) - first), own, self._row(first, 2) + own[first:]]
        padded, beside, changed = self._logits(mixed)
        padding = _close(padded[:first], before) and _close(beside, alone)
        neighbours = padding or _close(self._logits([own, self._row(len(own), 2)])[0], alone)
        if not neighbours and not _close(self._logits([own])[0], alone):
            raise ModelError(
                f"model {self.name!r} gives other logits for the same tokens each time; take one that draws nothing while "
                "it reads"
            )
        return {
            "causal": _close(before, alone[:first]),
            "seen": not _close(changed[-1], beside[-1]),
            "padding": padding,
            "neighbours": neighbours,
            "cache": self._understood(lambda: self._cache(own, alone, marks)),
        }

    def _row(self, length: int, start: int) -> list[int]:
        """Token ids other than 0, of no short period; the same each time."""
        return [(start + 7 * i + i * i // 3) % (self.size - 1) + 1 for i in range(length)]

    def _ids(self, rows: Sequence[int] | Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self.plain.device)

    def _logits(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """(rows, length, vocabulary) as plain transformers gives them."""
        try:
            logits: torch.Tensor = self.plain(input_ids=self._ids(rows), use_cache=False).logits
        except Exception as error:  # the model's own code may raise anything
            raise ModelError(
                f"model {self.name!r} cannot read token ids: {type(error).__name__}: {error}; take a causal language model "
                "of text"
            ) from error
        if bool(torch.isnan(logits).any()):
            raise ModelError(
                f"model {self.name!r} gives logits that are no numbers (NaN): its weights are damaged; save it again"
            )
        return logits

    def _understood(self, question: Callable[[], bool]) -> bool:
        try:
            return question()
        except Exception:  # noqa: BLE001 - what a model cannot do it says by failing, in the words of its own code
            return False

    def _trees(self, own: list[int]) -> bool:
        """Whether two continuations in one row come out as each alone."""
        text = self.plain.config.get_text_config()
        takes_positions = "position_ids" in inspect.signature(self.anatomy.body.forward).parameters
        if not takes_positions or self.plain.config._attn_implementation not in ("sdpa", "eager"):
            return False
        if getattr(text, "is_encoder_decoder", False) or len(own) <= _PROMPT + _SECOND:
            return False
        prompt, first, second = own[:_PROMPT], own[_PROMPT:-_SECOND], self._row(_SECOND, 3)
        branches = np.array([[0] * len(prompt) + [1] * len(first) + [2] * len(second)])
        cut = len(prompt) + len(first)
        places = [*range(cut), *range(len(prompt), len(prompt) + len(second))]
        together = self.anatomy.states(
            self._ids([prompt + first + second]),
            attention_mask=tree_mask(branches, self.plain.device, self.plain.dtype),
            position_ids=self._ids([places]),
        )
        alone = [self.anatomy.states(self._ids([prompt + part])) for part in (first, second)]
        return _close(together[:, :cut], alone[0]) and _close(together[:, cut:], alone[1][:, len(prompt) :])

    def _cache(self, own: list[int], alone: torch.Tensor, marks: Sequence[int]) -> bool:
        """Whether a row beside another comes out right, read token by token across every mark and at the end; and when the
        other has left.
        """
        both = np.array([self._row(len(own), 2), own])
        cache: Any
        for end in dict.fromkeys([*(min(mark + 2, len(own)) for mark in marks), len(own)]):
            start, rows, cache = max(1, end - _READ), both, None
            for first, last in [(0, start), *((i, i + 1) for i in range(start, end))]:
                if last == end:
                    keep_rows(cache, self._ids([1]))
                    rows = both[1:]
                logits, cache = read_on(self.plain, self._ids(rows[:, first:last].tolist()), cache, first)
                if not _close(logits[-1], alone[last - 1]):
                    return False
        return True

    def _padded_cache(self, own: list[int], alone: torch.Tensor) -> bool:
        """The same of prompts of unequal length, padded on the left."""
        start = max(1, len(own) - _READ)
        # The longest row is read apart from the others, one of which is padded.
        prompts = [own[:start], own[: max(1, start - 3)], own[: max(1, start - 1)]]
        rows, tokens = PaddedRows(self.anatomy, self.plain, prompts, _READ + 1, at_once=2 * start), None
        for step in range(len(own) - start + 1):
            places = [len(prompt) + step for prompt in prompts]
            logits = rows.read(tokens)
            if not all(
                _close(row_logits, alone[position - 1]) for row_logits, position in zip(logits, places, strict=True)
            ):
                return False
            tokens = self._ids([own[min(position, len(own) - 1)] for position in places])
        return True


def _close(logits: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal but for round-off, in relation to the range of the numbers. Infinite ones must be the same."""
    if logits.shape != other.shape:
        return False
    other = other.to(logits.device)
    finite = torch.isfinite(other)
    if not torch.equal(logits[~finite], other[~finite]):
        return False
    logits, other = logits[finite].float(), other[finite].float()
    return not len(other) or bool((logits - other).abs().max() <= _CLOSE / 2 * (other.max() - other.min()))
