"""Whether a solution ends as solutions do."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Scope
from w2s_bench_baselines.unfitted import Unfitted


class AnswerFormat(Unfitted):
    """Whether a solution ends as the pool's solutions do: an answer that is written otherwise is mostly none.

    The share, in (0, 1], of the pool's labels whose last two words have the same shape: digits become 0, letters a, runs of them
    one. With a `pattern`, a regular expression: 1 where it is found in the label, else 0. Higher = more trusted. Cost: none.
    """

    kinds: tuple[Kind, ...] = ("generate",)
    needs: tuple[Need, ...] = ()

    def __init__(self, pattern: str | None = None) -> None:
        try:
            self._pattern = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise ValueError(f"pattern must be a regular expression, got {pattern!r}: {error}") from error
        self.scope: Scope = "pool" if pattern is None else "row"

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._pattern is not None:
            return np.array([bool(self._pattern.search(label)) for label in evidence.labels], dtype=np.float64)
        shapes = [ending_shape(label) for label in evidence.labels]
        counts = Counter(shapes)
        return np.array([counts[shape] / len(shapes) for shape in shapes], dtype=np.float64)


def ending_shape(label: str) -> str:
    """The last two words of a text, digits as 0 and letters as a, runs of either as one."""
    ending = " ".join(label.split()[-2:])
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", ending))
