"""Trust scores → the weights of all rows of the pool: nothing is dropped, and what is trusted more counts more."""

from __future__ import annotations

import numpy as np

from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray


def weighted(scores: Stage, *, label: str = "") -> Stage:
    """Stage: every row, with a weight in proportion to the rank of its trust score."""
    return Stage(run_weighted, {}, {"scores": scores}, label=label)


def rank_weights(values: FloatArray) -> FloatArray:
    """(n,) weights of mean 1 of n scores: (2r − 1) / n, where r, from 1, is a score's rank from below.

    Trust scores have an order and no scale, so that nothing but their order counts; equal scores have their mean rank. Where
    none are equal, weights rise evenly from 1/n to 2 − 1/n, and the rows are worth three quarters of their number.
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    weights: FloatArray = ((2 * below + counts) / len(values))[places]
    return weights


@stage("weighted", version=1)
def run_weighted(context: StageContext) -> None:
    scores = Scores.read(context.inputs["scores"])
    weights = dict(zip((name for name, _ in scores.items()), rank_weights(scores.values).tolist(), strict=True))
    Kept.weighted(weights, len(scores)).write(context.out)
