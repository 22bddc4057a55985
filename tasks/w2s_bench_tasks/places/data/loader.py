"""What lm-eval calls for the documents of `w2s_places`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets

ITEMS = Path(__file__).with_name("items.jsonl")


def documents() -> list[dict[str, Any]]:
    """The shipped items, in the order of the file (sorted by id)."""
    return [json.loads(line) for line in ITEMS.read_text(encoding="utf-8").splitlines()]


def load(**_metadata: Any) -> dict[str, datasets.Dataset]:
    """lm-eval's `custom_dataset`: it hands over all of the task's metadata, none of which is needed."""
    import datasets

    return {"test": datasets.Dataset.from_list(documents())}
