"""The pool of one seed of a row, item by item: what the store of its run knows beside the cell, for whoever browses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np

from w2s_bench.results.cells import Cell
from w2s_bench.results.pages.style import NONE, number, significant
from w2s_bench.results.seed_results import PURITY_AT, RELIABILITY, SeedResult
from w2s_bench.results.statistics import selective_figures
from w2s_bench.text import shortened
from w2s_bench.types import JSON, BoolArray, FloatArray

#: Examples that a page shows of each domain, half of them kept where there are so many; characters of a question.
_EXAMPLES: Final = 20
_LONGEST: Final = 200


@dataclass(frozen=True)
class Pool:
    """Items of the pool sorted by id. `right` (n,): whether the weak label is. `kept` (n,): whether the student trained on it, or
    None; `scores` (n,): higher = more trusted, or None; `prompts`: the questions."""

    ids: tuple[str, ...]
    strata: tuple[str, ...]
    labels: tuple[str, ...]
    prompts: tuple[str, ...]
    right: BoolArray
    kept: BoolArray | None
    scores: FloatArray | None

    @classmethod
    def of(cls, lines: Sequence[Mapping[str, Any]]) -> Pool:
        """Of the pool's lines of one seed, as `w2s-bench items --prompts` writes them."""
        ordered = sorted(lines, key=lambda line: str(line["id"]))
        kept, scores = ([line[name] for line in ordered] for name in ("kept", "score"))
        return cls(
            ids=tuple(line["id"] for line in ordered),
            strata=tuple(line["stratum"] for line in ordered),
            labels=tuple(line["weak_label"] or "" for line in ordered),
            prompts=tuple(line.get("prompt") or "" for line in ordered),
            right=np.array([bool(line["weak_right"]) for line in ordered], dtype=np.bool_),
            kept=None if None in kept else np.array(kept, dtype=np.bool_),
            scores=None if None in scores else np.array(scores, dtype=np.float64),
        )


#: Row → seed → its pool.
Pools = Mapping[str, Mapping[int, Pool]]


@dataclass(frozen=True)
class Example:
    """A row of the pool: `kept` in words, its score and place from the most trusted, the weak label and whether it is right."""

    kept: str
    place: str
    score: str
    label: str
    right: str
    stratum: str
    prompt: str


def examples(pool: Pool) -> tuple[Example, ...]:
    """Rows from the most trusted to the least: of those kept and of those dropped the first, the last and some between, evenly."""
    if pool.kept is None:
        return ()
    count = len(pool.ids)
    order = np.arange(count) if pool.scores is None else np.argsort(-pool.scores, kind="stable")
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(1, count + 1)
    kept, dropped = ([int(at) for at in order if pool.kept[at] == side] for side in (True, False))
    half = _EXAMPLES // 2
    room = (max(half, _EXAMPLES - len(dropped)), max(half, _EXAMPLES - len(kept)))
    chosen = [at for rows, most in zip((kept, dropped), room, strict=True) for at in _spread(rows, most)]
    return tuple(_example(pool, at, place) for at in sorted(chosen, key=lambda at: int(place[at])))


def _spread(rows: Sequence[int], most: int) -> list[int]:
    if len(rows) <= most:
        return [*rows]
    return [rows[round(step * (len(rows) - 1) / (most - 1))] for step in range(most)]


def _example(pool: Pool, at: int, place: Any) -> Example:
    assert pool.kept is not None
    return Example(
        kept="kept" if pool.kept[at] else "dropped",
        place=NONE if pool.scores is None else str(place[at]),
        score=NONE if pool.scores is None else significant(pool.scores[at], 4),
        label=shortened(pool.labels[at], 60),
        right="right" if pool.right[at] else "wrong",
        stratum=pool.strata[at],
        prompt=shortened(pool.prompts[at].strip(), _LONGEST),
    )


def kept_of(cell: Cell, pools: Pools) -> dict[int, BoolArray]:
    """Seed → (pool,) which rows are kept, items sorted by id: of the cell where it says so, else of the store."""
    told = {s.seed: s.kept_rows.array() for s in cell.body.seeds if s.kept_rows is not None}
    stored = {seed: pool.kept for seed, pool in pools.get(cell.row, {}).items() if pool.kept is not None}
    return {**stored, **told}


def over_coverages(seed: SeedResult, pool: Pool | None) -> tuple[JSON, JSON]:
    """Purity at coverages, and reliability bins, of one seed: as its cell has them, else from the store's scores; None: neither has."""
    told, bins = seed.diagnostics.get(PURITY_AT), seed.diagnostics.get(RELIABILITY)
    if told is None and pool is not None and pool.scores is not None and all(map(isfinite, pool.scores.tolist())):
        made = selective_figures(pool.scores, pool.right)
        told = dict(made.purity_at)
        if made.reliability is not None:
            bins = [{"rows": one.rows, "score": one.score, "right": one.right} for one in made.reliability]
    return told, bins


@dataclass(frozen=True)
class Shared:
    """Another arm that keeps some of the same rows: how many of an arm's rows it keeps too, means over the seeds of both."""

    arm: str
    share: float
    of_both: float

    @property
    def words(self) -> tuple[str, str]:
        return number(self.share), number(self.of_both)


def agreement(own: Mapping[int, BoolArray], others: Mapping[str, Mapping[int, BoolArray]]) -> list[Shared]:
    """Of each other arm the share of this one's rows that it keeps too, and of the rows that either keeps; the most alike first."""
    out = []
    for arm, theirs in others.items():
        seeds = [seed for seed in own if seed in theirs and own[seed].shape == theirs[seed].shape and own[seed].any()]
        if not seeds:
            continue
        both = [int((own[seed] & theirs[seed]).sum()) for seed in seeds]
        shares = [n / int(own[seed].sum()) for n, seed in zip(both, seeds, strict=True)]
        alike = [n / int((own[seed] | theirs[seed]).sum()) for n, seed in zip(both, seeds, strict=True)]
        out.append(Shared(arm, float(np.mean(shares)), float(np.mean(alike))))
    return sorted(out, key=lambda shared: (-shared.of_both, shared.arm))
