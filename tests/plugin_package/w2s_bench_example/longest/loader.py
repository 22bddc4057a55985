"""600 questions made from a fixed seed."""

from __future__ import annotations

import random
from typing import Any

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def load(**_: Any) -> dict[str, Any]:
    """lm-eval hands over all of the task's metadata; none of it is needed."""
    from datasets import Dataset

    return {"test": Dataset.from_list(list(questions()))}


def questions(count: int = 600) -> list[dict[str, Any]]:
    """Four words of one to five syllables, all of other lengths; the same words are the same question."""
    rng = random.Random(20_240_601)
    made: dict[str, dict[str, Any]] = {}
    while len(made) < count:
        lengths = rng.sample(range(1, 6), 4)
        words = ["".join(rng.choices(SYLLABLES, k=length)) for length in lengths]
        key = " ".join(sorted(words))
        made.setdefault(
            key,
            {
                "id": f"longest-{len(made)}",
                "group": key,
                "key": key,
                "stratum": f"{max(lengths)} syllables",
                "question": f"Which word is the longest: {', '.join(words)}? Answer:",
                "choices": words,
                "answer": lengths.index(max(lengths)),
            },
        )
    return list(made.values())
