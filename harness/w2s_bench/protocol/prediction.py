"""Scores and texts → predictions, and weak labels as rows. Gold is no input of anything here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.randomness import hash_rank
from w2s_bench.types import FloatArray, Item, Prediction, TrainingRow


def choices_of(items: Sequence[Item], scores: Sequence[FloatArray]) -> list[Prediction]:
    """The option of highest score of every item; `scores` are (options,) an item, in the order of the items."""
    return [choose(item, score) for item, score in zip(items, scores, strict=True)]


def choose(item: Item, scores: FloatArray) -> Prediction:
    """The option of highest score; options of equal score are ranked by a hash of item and option, never by position."""
    assert item.choices is not None
    if not np.isfinite(scores).all():
        raise ModelError(
            f"item {item.id}: scores {scores.tolist()} are not all finite; the model's training diverged (lower its learning rate)"
        )
    best = np.flatnonzero(scores == scores.max()).tolist()
    index = min(best, key=lambda i: hash_rank("tie", item.id, item.choices[i] if item.choices else ""))
    text = item.choices[index]
    return Prediction(item.id, text, text, ended=False, index=index, choice_scores=tuple(float(s) for s in scores))


def as_completion(text: str, delimiter: str) -> str:
    """What follows the prompt: tokenizers drop the space before the first word when they decode; it is put back."""
    return text if text[:1].isspace() or text.startswith(delimiter) else delimiter + text


def label_rows(items: list[Item], labels: list[Prediction]) -> list[TrainingRow]:
    """Items joined to their weak labels by id, in the order of the labels."""
    by_id = {item.id: item for item in items}
    return [TrainingRow(p.id, by_id[p.id].prompt, p.completion, p.ended, by_id[p.id].choices, p.index) for p in labels]
