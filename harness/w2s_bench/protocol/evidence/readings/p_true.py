"""Whether a model says, when it is asked, that the label is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.errors import NotApplicableError
from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values
from w2s_bench.types import Form, Synthetic, TrainingRow

QUESTION = "\nIs the proposed answer true or false? The proposed answer is"
ANSWERS = (" true", " false")


class PTrue(BuiltInReading):
    """Form "array": (n,) log-odds, any real number."""

    form: ClassVar[Form] = "array"
    of_texts: ClassVar[bool] = True
    call = "read(Need(of, 'p_true'))"
    says = (
        f'(n,): log p(" true") − log p(" false") after prompt, label and "{QUESTION.strip()}"; another `question` may be given. '
        "For models that know these words"
    )

    def __init__(self, question: str = QUESTION) -> None:
        if not isinstance(question, str) or not question.strip():
            raise ValueError(
                f"question must be a text that ends before {ANSWERS[0]!r} or {ANSWERS[1]!r}, got {question!r}"
            )
        self.question = question

    @property
    def of_head(self) -> OfHead:
        return "untuned"  # a head knows options alone, the untuned model below it answers

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        told = [model.tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in ANSWERS]
        if told[0] == told[1]:
            name = getattr(model.model.config, "name_or_path", "") or type(model.model).__name__
            raise NotApplicableError(
                f"p_true asks for {ANSWERS[0]!r} or {ANSWERS[1]!r}, which the vocabulary of model {name!r} cannot tell "
                "apart; take a trust function that does not read p_true, or a model of ordinary language"
            )
        asked = [replace(row, prompt=f"{row.prompt}{row.completion}{self.question}", choices=ANSWERS) for row in rows]
        return np.array([float(yes - no) for yes, no in model.choice_scores(asked)], dtype=np.float64)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        return made_up.lean + rng.normal(size=len(made_up.rows))


READING = PTrue
