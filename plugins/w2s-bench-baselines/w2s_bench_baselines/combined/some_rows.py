"""Some rows of evidence, as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from w2s_bench import Evidence, FloatArray, IntArray, Need, Ragged, Reader


class SomeRows:
    """`Evidence` of some rows of another, in the order given; what may be read is what may be read of the whole."""

    def __init__(self, whole: Evidence, rows: IntArray) -> None:
        self._whole, self._rows = whole, [int(row) for row in rows]
        self.ids = tuple(whole.ids[row] for row in self._rows)
        self.prompts = tuple(whole.prompts[row] for row in self._rows)
        self.labels = tuple(whole.labels[row] for row in self._rows)
        shown, index = whole.choices, whole.label_index
        self.choices = None if shown is None else tuple(shown[row] for row in self._rows)
        self.label_index = None if index is None else np.asarray(index[self._rows])

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, need: Need) -> Ragged | FloatArray:
        return self._taken(self._whole.read(need))

    def choice_probs(self, of: Reader = "teacher") -> Ragged:
        return cast(Ragged, self._taken(self._whole.choice_probs(of)))

    def label_logprobs(self, of: Reader = "teacher") -> Ragged:
        return cast(Ragged, self._taken(self._whole.label_logprobs(of)))

    def hidden_states(self, of: Reader = "teacher", layer: int | str = -1) -> FloatArray:
        return cast(FloatArray, self._taken(self._whole.hidden_states(of, layer)))

    def option_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> Ragged:
        return cast(Ragged, self._taken(self._whole.option_states(of, layers)))

    def prompt_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> FloatArray:
        return cast(FloatArray, self._taken(self._whole.prompt_states(of, layers)))

    def _taken(self, values: Ragged | FloatArray) -> Ragged | FloatArray:
        if isinstance(values, Ragged):
            return Ragged.from_rows([values[row] for row in self._rows])
        return np.asarray(values[self._rows])
