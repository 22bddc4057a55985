"""How much likelier the label is made by its item."""

from __future__ import annotations

from typing import Literal, cast, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_further.unfitted import Unfitted

Who = Literal["teacher", "student"]


class Pmi(Unfitted):
    """Domain-conditional PMI: how much likelier the model finds the label after its prompt than after the prompt's last line alone.

    log p(label | prompt) - log p(label | premise), sums over the label's tokens, nats, any sign; higher = more trusted. The premise is
    the prompt's last line ("Answer:"), or "Answer:" where the prompt is one line. What is likely whatever is asked gains nothing by it.
    `of`: teacher or untuned student. Holtzman et al. (2021), arXiv 2104.08315, who choose an option by it; `batch_calibrated` takes the
    pool's mean for the second term. Cost: two passes of the model over the labels, the second over few tokens.
    """

    def __init__(self, of: Who = "teacher") -> None:
        if of not in get_args(Who):
            raise ValueError(f"of must be 'teacher' or 'student', got {of!r}")
        self.of = of
        self.needs: tuple[Need, ...] = (Need(of, "label_logprobs"), Need(of, "label_prior"))

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        after = np.array([float(row.sum()) for row in evidence.label_logprobs(self.of)], dtype=np.float64)
        return after - cast(FloatArray, evidence.read(self.needs[1]))
