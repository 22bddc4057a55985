"""The lm-eval data set of `w2s_verbs`: the shipped items, nothing downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset


def load(**metadata: Any) -> dict[str, Dataset]:
    """`{"test": all items}`; lm-eval hands over all of the task's metadata, of which nothing is needed."""
    from datasets import Dataset

    lines = Path(__file__).with_name("items.jsonl").read_text(encoding="utf-8").splitlines()
    return {"test": Dataset.from_list([json.loads(line) for line in lines])}
