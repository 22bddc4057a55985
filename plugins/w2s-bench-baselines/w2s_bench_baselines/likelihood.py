"""How likely a reader finds weak labels: one number a row."""

from __future__ import annotations

from typing import Literal

import numpy as np

from w2s_bench import Evidence, FloatArray, Reader

Pooling = Literal["mean", "min"]
#: Log-probability given to a label without tokens, which nothing speaks for: below what any model gives a token.
EMPTY_LABEL = -100.0


def label_probability(evidence: Evidence, of: Reader) -> FloatArray:
    """(n,) in [0, 1]: what `of` gives the weak label among its item's options. For choice domains."""
    if evidence.label_index is None:
        raise ValueError("labels of a generate domain have no options")
    rows = zip(evidence.choice_probs(of), evidence.label_index, strict=True)
    return np.array([row[index] for row, index in rows], dtype=np.float64)


def pooled_log_probability(evidence: Evidence, of: Reader, pooling: Pooling) -> FloatArray:
    """(n,) ≤ 0, nats: the mean, or the least, of what `of` gives the tokens of the weak label."""
    pool = np.mean if pooling == "mean" else np.min
    rows = evidence.label_logprobs(of)
    return np.array([pool(row) if len(row) else EMPTY_LABEL for row in rows], dtype=np.float64)
