"""Scores → kept rows: a share of the pool, or as many as a purity can be guaranteed of. And what the trust set says of either."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from w2s_bench.coverage import count_to_keep
from w2s_bench.errors import LabelsError
from w2s_bench.protocol import guarantees
from w2s_bench.protocol.guarantees import Certified
from w2s_bench.protocol.scores import PackedIds
from w2s_bench.protocol.selection import drawn_by_lot, top_rows
from w2s_bench.results.pages.style import percent
from w2s_bench.selections import Method
from w2s_bench.types import BoolArray, FloatArray, IntArray

#: Coverages that reports show.
SHOWN = (0.2, 0.5, 0.8)
_CURVE = 20


@dataclass(frozen=True)
class Goal:
    """What is to be kept: the share `keep` of the pool, or, where `purity` is given, what has it by `method`."""

    keep: float | None = 0.5
    purity: float | None = None
    confidence: float = 0.95
    method: Method = "ltt"

    def __post_init__(self) -> None:
        if self.keep is not None and self.purity is not None:
            raise LabelsError("--keep and --purity are both given; give a share to keep, or a purity to guarantee")
        named = {
            "--keep": (self.keep, True),
            "--purity": (self.purity, False),
            "--confidence": (self.confidence, False),
        }
        for name, (value, may_be_one) in named.items():
            if value is not None and not (0 < value < 1 or (may_be_one and value == 1)):
                raise LabelsError(f"{name} {value:g} is no share; give a number between 0 and 1, such as 0.5")
        if self.method not in guarantees.METHODS:
            raise LabelsError(f"--guarantee {self.method!r} is none of {', '.join(guarantees.METHODS)}")

    @property
    def words(self) -> str:
        if self.purity is None:
            assert self.keep is not None
            return f"the {percent(self.keep)} of the pool that it trusts most"
        if self.method == "conformal":
            return f"what is at least {percent(self.purity)} pure on average (conformal selection)"
        how = {"ltt": "Learn then Test", "sgr": "SGR", "hoeffding": "Hoeffding's bound"}[self.method]
        return f"what is at least {percent(self.purity)} pure with confidence {percent(self.confidence)} ({how})"


@dataclass(frozen=True)
class Kept:
    """Which rows of the pool are kept (n,), and what was certified, where that was asked for.

    `known_wrong` counts the rows that the scores chose and gold calls wrong: those are not kept, and none takes their place.
    `drawn` of the rows chosen were drawn by a hash among `tied` rows of one score.
    """

    rows: BoolArray
    known_wrong: int = 0
    certified: Certified | None = None
    drawn: int = 0
    tied: int = 0

    @property
    def chosen(self) -> int:
        """Rows that the scores chose, whatever gold says of them."""
        return int(self.rows.sum()) + self.known_wrong


def kept_of(
    goal: Goal,
    scores: FloatArray,
    ids: PackedIds,
    in_trust: BoolArray,
    known_wrong: BoolArray,
    trust: FloatArray,
    right: BoolArray,
    *,
    seed: int,
) -> Kept:
    """`scores` and `ids` (n,) are the pool's, `in_trust` says which of them the trust set's rows are, `known_wrong` which gold
    calls wrong.

    `trust` and `right` are the rows that certify: of a function that learns, those that it has not learnt from. A purity is
    promised of what the scores choose; to take out of that what is wrong leaves it as pure or purer.
    """
    chosen, certified = _chosen(goal, scores, ids, in_trust, trust, right, seed)
    drawn, tied = drawn_by_lot(scores, int(chosen.sum())) if certified is None else (0, 0)
    return Kept(chosen & ~known_wrong, int((chosen & known_wrong).sum()), certified, drawn, tied)


def _chosen(
    goal: Goal,
    scores: FloatArray,
    ids: PackedIds,
    in_trust: BoolArray,
    trust: FloatArray,
    right: BoolArray,
    seed: int,
) -> tuple[BoolArray, Certified | None]:
    """Which rows (n,) the scores choose, and what is certified of those above their threshold."""
    none = np.zeros(len(scores), dtype=np.bool_)
    if goal.purity is None:
        assert goal.keep is not None
        top = none.copy()
        top[top_rows(ids.with_scores(scores), count_to_keep(goal.keep, len(scores)), seed)] = True
        return top, None
    method = guarantees.METHODS[goal.method]
    if in_trust.all():
        why = "every row has gold, so that there is none to choose; leave gold to a random part of the rows"
        return none, Certified(goal.method, None, goal.purity, why=why)
    certified = method(trust, right, scores[~in_trust], purity=goal.purity, confidence=goal.confidence)
    return (none if certified.threshold is None else scores >= certified.threshold), certified


@dataclass(frozen=True)
class Curve:
    """Purity over coverage as the trust set estimates it; all (k,). `low`: each point's own bound; `sure`: of all at once."""

    coverage: FloatArray
    count: IntArray
    purity: FloatArray
    low: FloatArray
    high: FloatArray
    sure: FloatArray


def curve_of(pool: FloatArray, trust: FloatArray, right: BoolArray, confidence: float, points: int = _CURVE) -> Curve:
    """Of the rows above the pool's scores at evenly spaced coverages: the share that is right among those of the trust set."""
    thresholds = guarantees.thresholds_of(pool, points)
    everything = np.ones(len(pool), dtype=np.bool_)
    coverage = guarantees.counts_above(pool, everything, thresholds)[0] / max(len(pool), 1)
    count, wrong = guarantees.counts_above(trust, right, thresholds)
    purity = np.where(count > 0, 1 - wrong / np.maximum(count, 1), np.nan)
    error = 1 - confidence
    low = 1 - guarantees.binomial_upper(wrong, count, error / 2)
    high = np.where(count > 0, 1 - guarantees.binomial_lower(wrong, count, error / 2), 1.0)
    sure = 1 - guarantees.binomial_upper(wrong, count, error / max(len(thresholds), 1))
    return Curve(coverage, count, purity, low, high, sure)


def purity_at(
    coverage: float, pool: FloatArray, trust: FloatArray, right: BoolArray, confidence: float
) -> tuple[float, float, float] | None:
    """(purity, low, high) of the `coverage` of the pool with the highest scores, by the trust set; None where it has no row there.

    Where the lowest of those scores is that of more rows, a hash draws among them. So the purity is that of the rows above it
    and that of the rows which have it, each by the trust set's rows there, in the shares in which they are kept. Either's
    interval then has half of the error, and is [0, 1] where the trust set has no row.
    """
    count = count_to_keep(coverage, len(pool))
    if not count or not len(trust):
        return None
    lowest = np.partition(pool, -count)[-count]
    drawn, _ = drawn_by_lot(pool, count)
    groups = [(count - drawn, trust > lowest), (drawn, trust == lowest)] if drawn else [(count, trust >= lowest)]
    parts = [(rows / count, right[there]) for rows, there in groups if rows]
    known = sum(share for share, of in parts if len(of))
    if not known:
        return None
    error = (1 - confidence) / 2 / len(parts)
    purity, low, high = 0.0, 0.0, 0.0
    for share, of in parts:
        wrong, rows = np.array([len(of) - of.sum()]), np.array([len(of)])
        purity += share / known * float(of.mean()) if len(of) else 0.0
        low += share * float(1 - guarantees.binomial_upper(wrong, rows, error)[0])
        high += share * float(1 - guarantees.binomial_lower(wrong, rows, error)[0])
    return purity, low, high
