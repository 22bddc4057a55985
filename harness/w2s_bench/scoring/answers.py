"""Answers drawn to a prompt, told by which of them come to what the label comes to."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from w2s_bench.types import FloatArray


def classes(label: str, samples: Sequence[str]) -> FloatArray:
    """(k,) 0 for samples of the label's final answer, the others numbered as they come: equal numbers, equal answers."""
    numbers = {final_answer(label): 0}
    return np.array([numbers.setdefault(final_answer(text), len(numbers)) for text in samples], dtype=np.float64)


def final_answer(text: str) -> str:
    """What an answer comes to: what follows its last `####`, else its last number, else all of it; case and spaces say nothing."""
    before, mark, after = text.rpartition("####")
    if mark:
        text = after
    elif numbers := re.findall(r"-?\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3}\b)", "", before + after)):
        text = numbers[-1]
    return " ".join(text.split()).casefold().rstrip(".")
