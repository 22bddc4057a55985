"""What several opinions of an item's options come to: their mean, how far they are apart, and what of their doubt is disagreement."""

from __future__ import annotations

from typing import Final, Literal, cast, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Ragged
from w2s_bench_further.unfitted import Unfitted

Measure = Literal["mean", "entropy", "disagreement", "bald"]
_LEAST: Final = 1e-300


class OfOpinions(Unfitted):
    """Score of one reading of (options, k) probabilities a row; the functions say whose they are."""

    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, need: Need, measure: Measure) -> None:
        if measure not in get_args(Measure):
            raise ValueError(f"measure must be one of {', '.join(get_args(Measure))}; got {measure!r}")
        self.measure = measure
        self.needs: tuple[Need, ...] = (need,)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        assert evidence.label_index is not None, "for choice domains alone"
        told = cast(Ragged, evidence.read(self.needs[0]))
        places = [int(at) for at in evidence.label_index]
        return np.array(
            [measured(row, at, self.measure) for row, at in zip(told, places, strict=True)], dtype=np.float64
        )


def measured(opinions: FloatArray, label: int, measure: Measure) -> float:
    """Of (options, k) probabilities: the mean of the label's; minus the entropy of the mean; minus the label's standard deviation; or
    minus H[mean p] - mean H[p], in nats. Higher = more trusted."""
    p = np.sort(
        np.asarray(opinions, dtype=np.float64), axis=1
    )  # of each option: no order of passes, no other last digits
    if measure == "mean":
        return float(p[label].mean())
    if measure == "disagreement":
        return -float(p[label].std())
    whole = _entropy(np.sort(p.mean(axis=1)))
    if measure == "entropy":
        return -whole
    columns = np.asarray(opinions, dtype=np.float64)
    each = np.sort([_entropy(np.sort(column)) for column in columns.T])
    return -(whole - float(each.mean()))


def _entropy(p: FloatArray) -> float:
    return -float((p * np.log(np.maximum(p, _LEAST))).sum())
