"""Which hidden states a learned function looks at, and the depth at which they speak, chosen by cross-fitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Reader, contrast
from w2s_bench_baselines.learned.logistic import held_out_losses

What = Literal["label", "contrast", "prompt"]
#: Strengths tried, from strong to weak; the penalty stands beside the mean log-loss of standardised features.
STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
#: Strength taken where the trust set is too one-sided to choose one.
DEFAULT_STRENGTH = 1.0


@dataclass(frozen=True)
class States:
    """States of one reader: of one layer, as transformers counts (0 the embedding, -1 the last), or of several.

    "label": of the last token of prompt + label; several are all layers but the embedding, which holds nothing but the last
    token itself: at the label's end that is the label's last word, and a function that learns which words are often right
    keeps whole classes of answers. "contrast": that state minus the mean of the same of the item's other options. "prompt": of
    the prompt's last token. Of these two several are the layers at a third, half and two thirds of the depth.
    """

    of: Reader
    what: What = "label"
    layer: int | None = None

    @property
    def needs(self) -> tuple[Need, ...]:
        if self.what == "label":
            return (Need(self.of, "hidden_states", "all" if self.layer is None else self.layer),)
        reading = "option_states" if self.what == "contrast" else "prompt_states"
        return (Need(self.of, reading, layers=self._layers),)

    @property
    def _layers(self) -> int | str:
        return "middle" if self.layer is None else self.layer

    def read(self, evidence: Evidence) -> FloatArray:
        """(n, layers, d): one layer where one was asked for."""
        if self.what == "contrast":
            return contrast(evidence.option_states(self.of, self._layers), evidence.label_index)
        if self.what == "prompt":
            return evidence.prompt_states(self.of, self._layers)
        if self.layer is not None:
            return evidence.hidden_states(self.of, self.layer)[:, None]
        return evidence.hidden_states(self.of, "all")[:, 1:]


@dataclass(frozen=True)
class Choice:
    """What cross-fitting chose: a place among the layers, and an L2 strength."""

    place: int
    strength: float


def usable_folds(correct: BoolArray, folds: int) -> int:
    """`folds`, or fewer where a fold would lack right or wrong rows; below 2 there is no cross-fitting."""
    return min(folds, int(correct.sum()), int((~correct).sum()))


def choose(states: FloatArray, correct: BoolArray, strengths: Sequence[float], folds: int) -> Choice:
    """The layer and strength of least held-out log-loss of a logistic regression on (n, layers, d) states.

    Where fewer than two rows are right, or wrong, nothing can be chosen: the last layer, and an L2 of 1 or the only one given.
    """
    layers, folds = states.shape[1], usable_folds(correct, folds)
    if folds < 2:
        return Choice(layers - 1, strengths[0] if len(strengths) == 1 else DEFAULT_STRENGTH)
    if layers * len(strengths) == 1:
        return Choice(0, strengths[0])
    losses = np.stack([held_out_losses(states[:, place], correct, strengths, folds) for place in range(layers)])
    place, best = (int(i) for i in np.unravel_index(np.argmin(losses), losses.shape))
    return Choice(place, strengths[best])
