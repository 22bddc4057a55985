"""Contrast pairs: every option of an item beside the mean of its rivals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench import Evidence, FloatArray, IntArray, Need, Reader
from w2s_bench_baselines.learned.parameters import check_layer


@dataclass(frozen=True)
class Pairs:
    """Options of all rows, (m, d) each. `own` holds their states, `rivals` the mean of the other options'; `label` (n,) says which
    option is the label of a row, and `starts` (n + 1,) where a row's options lie. Of one model, at one layer, less the mean state of
    each option's text.
    """

    own: FloatArray
    rivals: FloatArray
    label: IntArray
    starts: IntArray

    @property
    def is_label(self) -> FloatArray:
        """(m,) 1 for labels, 0 for other options."""
        marks = np.zeros(len(self.own))
        marks[self.label] = 1.0
        return marks


def need_of(of: Reader, layer: int | None) -> Need:
    """Of one layer; None: of the middle one, which comes with those around it."""
    return Need(of, "option_states", layers="middle" if check_layer(layer) is None else layer)


def pairs_of(evidence: Evidence, of: Reader, layer: int | None) -> Pairs:
    assert evidence.label_index is not None, "for choice domains alone"
    states = evidence.option_states(of, "middle" if layer is None else layer)
    values = states.values[:, states.values.shape[1] // 2]  # (options of all rows, d)
    assert evidence.choices is not None
    values = less_texts(values, [text.strip() for options in evidence.choices for text in options])
    sizes = np.diff(states.offsets)
    sums = np.add.reduceat(values, states.offsets[:-1], axis=0) if len(values) else values
    others = np.repeat(sums, sizes, axis=0) - values
    counts = np.repeat(np.maximum(sizes - 1, 1), sizes)[:, None]
    return Pairs(values, others / counts, states.offsets[:-1] + evidence.label_index, states.offsets)


def less_texts(states: FloatArray, texts: Sequence[str], least: int = 10) -> FloatArray:
    """(m, d) less the mean over the options of the same text; texts that fewer than `least` options have are one together.

    Burns et al. normalise "yes" and "no" apart, so that no direction tells which of the two was said. Where options recur from
    item to item the loudest direction would tell just that.
    """
    if len(states) == 0:
        return states
    _, classes, counts = np.unique(np.array(texts), return_inverse=True, return_counts=True)
    rare = counts < least
    numbers = np.where(rare, 0, np.cumsum(~rare))[classes.ravel()]
    sums = np.zeros((int(numbers.max()) + 1, states.shape[1]))
    np.add.at(sums, numbers, states)
    return np.asarray(states - (sums / np.maximum(np.bincount(numbers), 1)[:, None])[numbers])


def normalised(states: FloatArray) -> FloatArray:
    """Columns of mean 0 and of a mean length of √d a row, as Burns et al. normalise each half of the pairs apart."""
    centred = states - states.mean(axis=0)
    size = float(np.linalg.norm(centred, axis=1).mean())
    return np.asarray(centred * (np.sqrt(states.shape[1]) / size if size > 0 else 1.0))


def signed(scores: FloatArray, is_label: FloatArray) -> FloatArray:
    """Options' scores, turned so that labels, which are right more often than not, have more than others on average."""
    marks = is_label > 0.5
    ahead = float(scores[marks].mean() - scores[~marks].mean()) if marks.any() and not marks.all() else 0.0
    return -scores if ahead < 0 else scores
