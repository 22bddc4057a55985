"""The label's probability to a model that sees solved items before the question."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Reader, Scope, Supervision

Who = Literal["teacher", "student"]


class IclConfidence:
    """ICL and confidence: how sure the teacher is of its label once it has four of the trust set's items with their gold before it.

    Choice: p(label) over the item's options, in [0, 1]; generate: the mean log-probability of the label's tokens, at most 0. Higher =
    more trusted. `of`: "teacher" or "student", the untuned one. After the in-context baseline of the trust-function paper (2026), where
    the teacher answers anew with the examples; here the label is the suite's. How many examples it has there is not known. Nothing is
    fitted. Cost: a pass over prompts that are five times as long.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"

    def __init__(self, of: Who = "teacher") -> None:
        if of not in get_args(Who):
            raise ValueError(f"of must be 'teacher' or 'student', got {of!r}")
        self._reader: Reader = "teacher_icl" if of == "teacher" else "student_icl"
        self.needs: tuple[Need, ...] = (
            Need(self._reader, "choice_probs", when="choice"),
            Need(self._reader, "label_logprobs", when="generate"),
        )

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing is fitted: gold is read in the prompt."""

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if evidence.choices is None:
            rows = evidence.label_logprobs(self._reader)
            return np.array([row.mean() if len(row) else 0.0 for row in rows], dtype=np.float64)
        assert evidence.label_index is not None, "a choice domain's labels have places"
        probs = evidence.choice_probs(self._reader)
        return np.array([row[at] for row, at in zip(probs, evidence.label_index, strict=True)], dtype=np.float64)
