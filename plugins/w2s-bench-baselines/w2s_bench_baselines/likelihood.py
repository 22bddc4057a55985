"""How likely a reader finds weak labels: one number a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from w2s_bench import Evidence, FloatArray, Reader

Pooling = Literal["mean", "min"]
#: Log-probability given to a label without tokens, which nothing speaks for: below what any model gives a token.
EMPTY_LABEL = -100.0
#: The least probability whose logarithm is taken.
LEAST = 1e-30


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


def of_options(evidence: Evidence, of: Reader, measure: Callable[[FloatArray, int], float]) -> FloatArray:
    """(n,) what `measure` makes of each row's probabilities over its options and of the label's place among them."""
    if evidence.label_index is None:
        raise ValueError("labels of a generate domain have no options")
    rows = zip(evidence.choice_probs(of), evidence.label_index, strict=True)
    return np.array([measure(row, int(index)) for row, index in rows], dtype=np.float64)


def of_tokens(evidence: Evidence, of: Reader, measure: Callable[[FloatArray], float]) -> FloatArray:
    """(n,) what `measure` makes of the log-probabilities of each label's tokens; `EMPTY_LABEL` where there are none."""
    rows = evidence.label_logprobs(of)
    return np.array([measure(row) if len(row) else EMPTY_LABEL for row in rows], dtype=np.float64)


def logarithm(probabilities: FloatArray) -> FloatArray:
    """Natural logarithm, finite at 0: what is less likely than any number a model gives counts as that."""
    return np.asarray(np.log(np.maximum(probabilities, LEAST)))


def entropy(probabilities: FloatArray) -> float:
    """In nats, from 0 to the logarithm of the number of options."""
    return float(-(probabilities * logarithm(probabilities)).sum())


def margin(probabilities: FloatArray, index: int) -> float:
    """What the option at `index` has more than the likeliest other one, in [-1, 1]; all it has, where there is no other."""
    others = np.delete(probabilities, index)
    return float(probabilities[index] - (others.max() if len(others) else 0.0))


def one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """A parameter must be one of a few values."""
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}")
