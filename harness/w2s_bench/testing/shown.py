"""What checks hand a trust function: made-up evidence with the attributes of the contract alone, read-only, as in a run."""

from __future__ import annotations

from collections.abc import Sequence

from w2s_bench.hookspecs import Evidence
from w2s_bench.protocol.evidence.view import ReadOnly, read_only
from w2s_bench.types import FloatArray, Need, Ragged, Reader


class Shown(ReadOnly):
    """`hookspecs.Evidence` of a `MemoryEvidence`, which tests may take apart and change; this fails as a run's view does.

    `gold`: (n,) the right answers where it is for the privileged track, else None.
    """

    def __init__(self, evidence: Evidence, gold: tuple[str, ...] | None) -> None:
        self._evidence = evidence
        self.ids, self.prompts, self.labels = evidence.ids, evidence.prompts, evidence.labels
        self.choices = evidence.choices
        self.label_index = None if evidence.label_index is None else read_only(evidence.label_index.copy())
        if gold is not None:
            self.gold = gold
        self._complete = True

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, need: Need) -> Ragged | FloatArray:
        return self._evidence.read(need)

    def choice_probs(self, of: Reader = "teacher") -> Ragged:
        return self._evidence.choice_probs(of)

    def label_logprobs(self, of: Reader = "teacher") -> Ragged:
        return self._evidence.label_logprobs(of)

    def option_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> Ragged:
        return self._evidence.option_states(of, layers)

    def prompt_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> FloatArray:
        return self._evidence.prompt_states(of, layers)

    def hidden_states(self, of: Reader = "teacher", layer: int | str = -1) -> FloatArray:
        return self._evidence.hidden_states(of, layer)
