"""Trust scores, kept rows and difficulty of one seed → how far an arm begins with what is easy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from w2s_bench.results.comparison import mean
from w2s_bench.results.mechanisms.facts import COVERAGES
from w2s_bench.results.statistics import mean_ranks, spearman
from w2s_bench.types import FloatArray


@dataclass(frozen=True)
class OfSeed:
    """The figures of `facts.ArmCurriculum` for one seed."""

    spearman: float | None
    among_right: float | None
    kept_place: float | None
    kept_loss: float | None
    by_coverage: tuple[float, ...]


def places(difficulty: Mapping[str, float]) -> dict[str, float]:
    """Id → place in the order of difficulty, (rank − ½) / n: above 0 for the easiest, below 1 for the hardest, mean .5."""
    ranks = mean_ranks(np.array(list(difficulty.values()), dtype=np.float64))
    return dict(zip(difficulty, ((ranks - 0.5) / len(ranks)).tolist(), strict=True))


def of_seed(
    difficulty: Mapping[str, float],
    right: Mapping[str, bool],
    kept: Collection[str],
    scores: Mapping[str, float] | None,
) -> OfSeed:
    """All by id over the pool, `kept` the ids that the arm's student trains on: none where it abstained, which then has neither
    place nor loss. `scores` is None where the arm has none."""
    place_of = places(difficulty)
    kept_place, kept_loss = (mean([of[row] for row in kept]) for of in (place_of, difficulty))
    if scores is None:
        return OfSeed(None, None, kept_place, kept_loss, ())
    ids = sorted(scores)
    right_ids = [row for row in ids if right[row]]
    return OfSeed(
        _agreement(scores, difficulty, ids),
        _agreement(scores, difficulty, right_ids),
        kept_place,
        kept_loss,
        _by_coverage(np.array([scores[row] for row in ids]), np.array([place_of[row] for row in ids])),
    )


def of_right(difficulty: Mapping[str, float], right: Mapping[str, bool]) -> float | None:
    """The rank correlation that being right itself has with easiness."""
    return _agreement({row: float(value) for row, value in right.items()}, difficulty, sorted(right))


def _agreement(scores: Mapping[str, float], difficulty: Mapping[str, float], ids: Collection[str]) -> float | None:
    trust, easiness = (np.array([of[row] for row in ids], dtype=np.float64) for of in (scores, difficulty))
    return spearman(trust, -easiness)


def _by_coverage(scores: FloatArray, row_places: FloatArray) -> tuple[float, ...]:
    """Mean place of the rows of highest score at each of `COVERAGES`; of equal scores, all have the mean of theirs."""
    _, group = np.unique(-scores, return_inverse=True)
    sizes = np.bincount(group)
    evened = (np.bincount(group, row_places) / sizes)[group][np.argsort(-scores, kind="stable")]
    return tuple(float(evened[: max(1, round(share * len(scores)))].mean()) for share in COVERAGES)
