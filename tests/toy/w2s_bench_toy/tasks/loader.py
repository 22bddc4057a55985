"""Items of the toy domains: sums of two digits, and which of four numbers is the largest.

`W2S_TOY_WRONG_GOLD` names a file of item ids whose gold is replaced by a wrong one: what depends on gold then shows it.
"""

from __future__ import annotations

import os
import random
from pathlib import Path


def _wrong() -> set[str]:
    path = os.environ.get("W2S_TOY_WRONG_GOLD")
    return set(Path(path).read_text().split()) if path else set()


def largest(**kwargs):
    import datasets

    rng, wrong, rows, seen = random.Random(0), _wrong(), [], set()
    while len(rows) < 400:
        numbers = rng.sample(range(40), 4)
        key = " ".join(map(str, sorted(numbers)))
        if key in seen:
            continue
        seen.add(key)
        gold, item = numbers.index(max(numbers)), f"largest-{len(rows):03d}"
        rows.append(
            {
                "id": item,
                "group": f"max {max(numbers)} {min(numbers)}",
                "key": key,
                "stratum": "high" if max(numbers) > 30 else "low",
                "question": "largest of " + " ".join(map(str, numbers)),
                "choices": [str(n) for n in numbers],
                "gold": (gold + 1) % 4 if item in wrong else gold,
            }
        )
    return {"test": datasets.Dataset.from_list(rows)}


def sums(**kwargs):
    import datasets

    wrong, rows = _wrong(), []
    for a in range(20):
        for b in range(20):
            item = f"sum-{a:02d}-{b:02d}"
            answer = a + b + 1 if item in wrong else a + b
            low, high = sorted((a, b))
            rows.append(
                {
                    "id": item,
                    "group": f"{low}+{high}",
                    "key": f"{low}+{high}",
                    "stratum": "carry" if a % 10 + b % 10 > 9 else "plain",
                    "question": f"{a} + {b} =",
                    "answer": f"{a + b} #### {answer}",
                }
            )
    return {"test": datasets.Dataset.from_list(rows)}
