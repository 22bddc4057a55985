"""Trust scores → kept rows. Controls choose here too; only `oracle` reads gold, and it is the harness's own."""

from __future__ import annotations

from collections.abc import Mapping

from w2s_bench.evaluation import read_grades
from w2s_bench.prediction import PREDICTIONS
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_json
from w2s_bench.stages import Stage, StageContext
from w2s_bench.training import KEPT
from w2s_bench.types import Prediction

SCORES = "scores.json"


def top(labels: Stage, scores: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: the k = ⌊coverage · n⌋ rows of highest trust score; equal scores are ranked by a seeded hash of the id."""
    params = {"coverage": coverage, "seed": seed}
    return Stage("top", 1, "w2s_bench.selection:run_top", params, {"labels": labels, "scores": scores}, label=label)


def random(labels: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: k rows by a seeded hash of the id; gold-blind."""
    return Stage(
        "random",
        1,
        "w2s_bench.selection:run_random",
        {"coverage": coverage, "seed": seed},
        {"labels": labels},
        label=label,
    )


def oracle(grades: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: min(k, number correct) rows drawn uniformly from the correct ones; a shortfall is recorded, never filled."""
    return Stage(
        "oracle",
        1,
        "w2s_bench.selection:run_oracle",
        {"coverage": coverage, "seed": seed},
        {"grades": grades},
        label=label,
    )


def count_to_keep(coverage: float, count: int) -> int:
    """⌊coverage · count⌋, exact where a product such as 0.29 · 100 falls a rounding error below a whole number."""
    return int(coverage * count + 1e-9)


def top_ids(scores: Mapping[str, float], count: int, seed: int) -> list[str]:
    """The `count` ids of highest score, sorted by id."""
    return sorted(sorted(scores, key=lambda i: (-scores[i], hash_rank("tie", seed, i)))[:count])


def random_ids(ids: list[str], count: int, seed: int) -> list[str]:
    """`count` of `ids`, sorted; for one seed a smaller draw is part of a larger one."""
    return sorted(sorted(ids, key=lambda i: hash_rank("draw", seed, i))[:count])


def run_top(context: StageContext) -> None:
    scores = read_json(context.inputs["scores"] / SCORES)
    ids = [label.id for label in read_records(context.inputs["labels"] / PREDICTIONS, Prediction)]
    wanted = count_to_keep(context.params["coverage"], len(ids))
    _write(context, top_ids({i: scores[i] for i in ids}, wanted, context.params["seed"]), wanted)


def run_random(context: StageContext) -> None:
    ids = [label.id for label in read_records(context.inputs["labels"] / PREDICTIONS, Prediction)]
    wanted = count_to_keep(context.params["coverage"], len(ids))
    _write(context, random_ids(ids, wanted, context.params["seed"]), wanted)


def run_oracle(context: StageContext) -> None:
    grades = read_grades(context.inputs["grades"])
    wanted = count_to_keep(context.params["coverage"], len(grades))
    _write(context, random_ids([i for i, right in grades.items() if right], wanted, context.params["seed"]), wanted)


def _write(context: StageContext, ids: list[str], wanted: int) -> None:
    write_json(context.out / KEPT, {"ids": ids, "wanted": wanted, "shortfall": wanted - len(ids)})
