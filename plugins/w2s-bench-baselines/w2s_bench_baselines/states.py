"""Hidden states as geometry takes them: which layer, and their neighbourhoods."""

from __future__ import annotations

from typing import Literal

import numpy as np

from w2s_bench import Evidence, FloatArray, IntArray, Need, Reader

#: Rows whose distances to all others are held at once.
ROWS = 512


def checked_layer(layer: int | None) -> int | None:
    """At layer 0 a state at the label's end is the embedding of its last token: it knows nothing of the question."""
    if layer == 0:
        raise ValueError(
            "layer must not be 0, the label's own embedding; give 1, 2, … or -1, -2, … (null: the middle one)"
        )
    return layer


def layer_need(of: Reader, layer: int | None) -> Need:
    """The states of one layer; None: the one at half of the depth, which comes with those around it."""
    return Need(of, "hidden_states", _asked(layer))


def layer_states(evidence: Evidence, of: Reader, layer: int | None) -> FloatArray:
    """(n, d): the states that `layer_need` asked for."""
    states = evidence.hidden_states(of, _asked(layer))
    return states if layer is not None else states[:, states.shape[1] // 2]


def _asked(layer: int | None) -> int | Literal["middle"]:
    return "middle" if layer is None else layer


def unit_rows(states: FloatArray) -> FloatArray:
    """Each row at length 1; a row of zeros stays one."""
    length = np.linalg.norm(states, axis=1, keepdims=True)
    return np.asarray(states / np.where(length > 0, length, 1.0))


def centred(states: FloatArray) -> FloatArray:
    """Rows less their mean, at length 1: states of one model lie in a narrow cone, in which all are alike."""
    return unit_rows(states - states.mean(axis=0)) if len(states) else states


def neighbours(points: FloatArray, k: int) -> tuple[FloatArray, IntArray]:
    """(n, k) distances, Euclidean and rising, and rows of each point's k nearest others; k is at most n - 1."""
    n = len(points)
    k = max(min(k, n - 1), 0)
    distances, nearest = np.zeros((n, k)), np.zeros((n, k), dtype=np.int64)
    squares = (points**2).sum(axis=1)
    for start in range(0, n if k else 0, ROWS):
        rows = np.arange(start, min(start + ROWS, n))
        apart = squares[rows, None] + squares[None] - 2 * points[rows] @ points.T
        apart[np.arange(len(rows)), rows] = np.inf
        close = np.argpartition(apart, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(apart, close, axis=1)
        order = np.lexsort((close, found), axis=1)
        nearest[rows] = np.take_along_axis(close, order, axis=1)
        distances[rows] = np.sqrt(np.maximum(np.take_along_axis(found, order, axis=1), 0.0))
    return distances, nearest


def label_classes(evidence: Evidence, least: int = 1) -> IntArray:
    """(n,) a number for each label's text; texts that fewer than `least` rows have are one class together."""
    texts = np.array([label.strip() for label in evidence.labels])
    _, classes, counts = np.unique(texts, return_inverse=True, return_counts=True)
    rare = counts < least
    numbers = np.where(rare, 0, np.cumsum(~rare)) if rare.any() else np.arange(len(counts))
    return np.asarray(numbers[classes], dtype=np.int64)


def count_of(name: str, value: int, least: int = 1) -> int:
    """A parameter that counts."""
    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value!r}")
    return value
