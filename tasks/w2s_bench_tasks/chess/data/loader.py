"""lm-eval's `custom_dataset` of this task: the shipped items, as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset


def load(**_: Any) -> dict[str, Dataset]:
    """All items under the split `test`; the harness cuts its own splits. lm-eval passes its metadata, which is not used."""
    from datasets import Dataset

    lines = Path(__file__).with_name("items.jsonl").read_text(encoding="utf-8").splitlines()
    return {"test": Dataset.from_list([json.loads(line) for line in lines])}
