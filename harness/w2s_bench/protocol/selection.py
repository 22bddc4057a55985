"""Trust scores → kept rows with their weights. Controls choose here too; only `oracle` reads gold, and it is the harness's own."""

from __future__ import annotations

import numpy as np

from w2s_bench.errors import SuiteError
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import PREDICTIONS
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.randomness import hash_rank
from w2s_bench.record import iter_rows
from w2s_bench.store.stage import Stage, StageContext, stage


def top(scores: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: the k = ⌊coverage · n⌋ rows of highest trust score; equal scores are ranked by a seeded hash of the id."""
    params = {"coverage": coverage, "seed": seed}
    return Stage(run_top, params, {"scores": scores}, label=label)


def random(labels: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: k rows by a seeded hash of the id; gold-blind."""
    return Stage(run_random, {"coverage": coverage, "seed": seed}, {"labels": labels}, label=label)


def oracle(grades: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: min(k, number correct) rows drawn uniformly from the correct ones; a shortfall is recorded, never filled."""
    return Stage(run_oracle, {"coverage": coverage, "seed": seed}, {"grades": grades}, label=label)


def count_to_keep(coverage: float, count: int) -> int:
    """⌊coverage · count⌋, exact where a product such as 0.29 · 100 falls a rounding error below a whole number."""
    return int(coverage * count + 1e-9)


def top_ids(scores: Scores, count: int, seed: int) -> list[str]:
    """The `count` ids of highest score, sorted by id."""
    if count == 0:
        return []
    lowest = np.partition(scores.values, -count)[-count]  # of those that are kept
    above, tied = np.flatnonzero(scores.values > lowest), np.flatnonzero(scores.values == lowest)
    # 128 bits of the hash, packed: all rows may have one score, and there may be millions.
    ranks = (hash_rank("tie", seed, scores.id(int(row)))[:32].encode() for row in tied)
    drawn = tied[np.argsort(np.fromiter(ranks, dtype="S32", count=len(tied)))][: count - len(above)]
    return sorted(scores.id(row) for row in np.concatenate([above, drawn]).tolist())


def random_ids(ids: list[str], count: int, seed: int) -> list[str]:
    """`count` of `ids`, sorted; for one seed a smaller draw is part of a larger one."""
    return sorted(sorted(ids, key=lambda i: hash_rank("draw", seed, i))[:count])


@stage("top", version=2)
def run_top(context: StageContext) -> None:
    scores = Scores.read(context.inputs["scores"])
    wanted = count_to_keep(context.params["coverage"], len(scores))
    Kept.whole(top_ids(scores, wanted, context.params["seed"]), wanted).write(context.out)


@stage("random", version=1)
def run_random(context: StageContext) -> None:
    ids = [row["id"] for row in iter_rows(context.inputs["labels"] / PREDICTIONS)]
    wanted = count_to_keep(context.params["coverage"], len(ids))
    Kept.whole(random_ids(ids, wanted, context.params["seed"]), wanted).write(context.out)


@stage("oracle", version=1)
def run_oracle(context: StageContext) -> None:
    grades = read_grades(context.inputs["grades"])
    wanted = count_to_keep(context.params["coverage"], len(grades))
    correct = [i for i, right in grades.items() if right]
    if not correct:
        raise SuiteError(
            f"oracle is not applicable: none of the teacher's {len(grades)} weak labels is right, so there is none to choose. "
            "Train the teacher longer, or take easier items; see the accuracy of `weak`"
        )
    Kept.whole(random_ids(correct, wanted, context.params["seed"]), wanted).write(context.out)
