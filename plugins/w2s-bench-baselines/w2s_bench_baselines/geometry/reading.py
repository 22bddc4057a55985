"""The states among which a label's rows are looked for: at the prompt's end, before the label was read, or at the label's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from w2s_bench import Evidence, FloatArray, Need, Reader
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.states import checked_layer, layer_need, layer_states

State = Literal["prompt", "label"]


@dataclass(frozen=True)
class Place:
    """One layer of `of`, "student" (untuned) or "teacher"; None: the one at half of the depth.

    "prompt": at the end of the prompt, what the model makes of the input, as the sources of these functions have it. "label": at
    the end of the label, where rows with the same label lie together since they end in the same words.
    """

    of: Reader
    state: State
    layer: int | None

    def __post_init__(self) -> None:
        one_of("of", self.of, ("teacher", "student"))
        one_of("state", self.state, ("prompt", "label"))
        checked_layer(self.layer)

    @property
    def need(self) -> Need:
        if self.state == "label":
            return layer_need(self.of, self.layer)
        return Need(self.of, "prompt_states", layers="middle" if self.layer is None else self.layer)

    def read(self, evidence: Evidence) -> FloatArray:
        """(n, d)"""
        if self.state == "label":
            return layer_states(evidence, self.of, self.layer)
        states = evidence.prompt_states(self.of, "middle" if self.layer is None else self.layer)
        return states[:, states.shape[1] // 2]
