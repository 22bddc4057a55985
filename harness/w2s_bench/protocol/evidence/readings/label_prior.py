"""How likely a model finds the label where it has not read the item: of the prompt no more than its last line is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, Values
from w2s_bench.types import Form, Synthetic, TrainingRow

PREMISE = "Answer:"


class LabelPrior(BuiltInReading):
    """Form "array": (n,) summed natural log-probabilities, at most 0."""

    form: ClassVar[Form] = "array"
    of_texts: ClassVar[bool] = True
    call = "read(Need(of, 'label_prior'))"
    says = (
        f"(n,): summed log-probability of the label's tokens after the last line of its prompt alone, or after {PREMISE!r} where the "
        "prompt is one line; another `premise` may be given for all"
    )
    instead = "it scores options, not tokens; read choice_probs"

    def __init__(self, premise: str | None = None) -> None:
        if premise is not None and (not isinstance(premise, str) or not premise.strip()):
            raise ValueError(f"premise must be a text that labels may follow, or left out, got {premise!r}")
        self.premise = premise

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        asked = [replace(row, prompt=self.premise or last_line(row.prompt)) for row in rows]
        # Many items have the same label after the same line, which is read once.
        once = {(row.prompt, row.completion, row.ended): row for row in asked}
        told = dict(zip(once, map(np.sum, model.label_logprobs([*once.values()])), strict=True))
        return np.array([told[row.prompt, row.completion, row.ended] for row in asked], dtype=np.float64)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """It says nothing of whether the label is right."""
        return -np.exp(rng.normal(1, 0.5, len(made_up.rows)))


def last_line(prompt: str) -> str:
    """What leads over to the answer: the last line that says something, of several."""
    lines = [line for line in prompt.split("\n") if line.strip()]
    return lines[-1] if len(lines) > 1 else PREMISE


READING = LabelPrior
