"""Who votes for which option of an item: the teacher by its label, students by their favourite."""

from __future__ import annotations

from typing import Final, get_args

import numpy as np

from w2s_bench import Evidence, IntArray, Need, Reader

#: Students whose opinion does not come from the very label: the untuned one, and those trained on other folds of the pool.
VOTERS: Final[tuple[Reader, ...]] = ("student", "student_cv")


def readers_of(by: str) -> tuple[Reader, ...]:
    """The readers that a parameter names, joined by +. Raises `ValueError` for others."""
    names = tuple(by.split("+")) if isinstance(by, str) else ()
    known = [name for name in get_args(Reader) if name not in ("teacher", "verifier")]
    if not names or len(set(names)) != len(names) or not set(names) <= set(known):
        raise ValueError(f"by must be some of {', '.join(known)}, each once, joined by +; got {by!r}")
    return names  # type: ignore[return-value]  # they are among the readers


def needs_of(readers: tuple[Reader, ...]) -> tuple[Need, ...]:
    return tuple(Need(reader, "choice_probs") for reader in readers)


def votes(evidence: Evidence, readers: tuple[Reader, ...]) -> IntArray:
    """(n, 1 + readers): the place of the option that each favours, the teacher first; of equally likely ones the label, if it is one."""
    assert evidence.label_index is not None, "for choice domains alone"
    label = np.asarray(evidence.label_index)
    told = [label]
    for reader in readers:
        probs = evidence.choice_probs(reader)
        told.append(np.array([_favourite(row, int(at)) for row, at in zip(probs, label, strict=True)], dtype=np.int64))
    return np.stack(told, axis=1)


def _favourite(probs: np.ndarray, label: int) -> int:
    return label if probs[label] == probs.max() else int(np.argmax(probs))
