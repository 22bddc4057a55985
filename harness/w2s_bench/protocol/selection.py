"""Trust scores → kept rows with their weights. What controls draw without a score: `draws`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np

from w2s_bench.coverage import count_to_keep
from w2s_bench.errors import NotApplicableError
from w2s_bench.protocol.classes import equal_shares, label_classes, proportional_shares
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ABSTAINED, CALIBRATION, CERTIFICATE, ITEMS, PREDICTIONS
from w2s_bench.protocol.guarantees import METHODS
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.weighting import weighted
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_json
from w2s_bench.selections import Guarantee
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray, IntArray, Item, Prediction, Selection


def top(scores: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: the k = ⌊coverage · n⌋ rows of highest trust score; equal scores are ranked by a seeded hash of the id."""
    params = {"coverage": coverage, "seed": seed}
    return Stage(run_top, params, {"scores": scores}, label=label)


def by_scores(
    how: Selection, scores: Stage, *, subset: Stage, labels: Stage, coverage: float, seed: int, label: str = ""
) -> Stage:
    """Stage: the k = ⌊coverage · n⌋ rows that a selection of a suite keeps by these scores.

    `top`: the highest of all. `balanced`: the highest of each class of weak labels, equally many. `stratified`: the highest
    of each stratum, as many as its share of the pool. Where there is one class or stratum, both keep what `top` keeps.
    `weighted`: all of them, whatever the coverage, each with a weight (see `weighting`).
    """
    params = {"coverage": coverage, "seed": seed}
    if how == "balanced":
        return Stage(run_balanced, params, {"scores": scores, "subset": subset, "labels": labels}, label=label)
    if how == "weighted":
        return weighted(scores, label=label)
    if how == "stratified":
        return Stage(run_stratified, params, {"scores": scores, "subset": subset}, label=label)
    return top(scores, coverage=coverage, seed=seed, label=label)


def certified(scores: Stage, grades: Stage, guarantee: Guarantee, *, label: str = "") -> Stage:
    """Stage: the rows of which a purity is guaranteed, or none. `scores` is of `calibration.held_out`, `grades` the trust set's."""
    params = {"method": guarantee.method, "purity": guarantee.purity, "confidence": guarantee.confidence}
    return Stage(run_certified, params, {"scores": scores, "grades": grades}, label=label)


def top_ids(scores: Scores, count: int, seed: int) -> list[str]:
    """The `count` ids of highest score, sorted by id."""
    return sorted(scores.id(row) for row in top_rows(scores, count, seed).tolist())


def top_rows(scores: Scores, count: int, seed: int) -> IntArray:
    """(count,) the places of the rows of highest score, in no order; equal scores by a seeded hash of the id."""
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    lowest = np.partition(scores.values, -count)[-count]  # the lowest score that is kept
    above, tied = np.flatnonzero(scores.values > lowest), np.flatnonzero(scores.values == lowest)
    # 128 bits of the hash, packed: all rows may have one score, and there may be millions.
    ranks = (hash_rank("tie", seed, scores.id(int(row)))[:32].encode() for row in tied)
    drawn = tied[np.argsort(np.fromiter(ranks, dtype="S32", count=len(tied)))][: count - len(above)]
    return np.concatenate([above, drawn])


@stage("top", version=2)
def run_top(context: StageContext) -> None:
    scores = Scores.read(context.inputs["scores"])
    wanted = count_to_keep(context.params["coverage"], len(scores))
    _report_lots(scores, wanted)
    Kept.whole(top_ids(scores, wanted, context.params["seed"]), wanted).write(context.out)


def _report_lots(scores: Scores, count: int) -> None:
    """Into the stage's log: how many of `count` rows the hash chose and no score did. An arm of such rows is `random` by another name."""
    drawn, tied = drawn_by_lot(scores.values, count)
    if drawn:
        print(f"{drawn} of the {count} rows kept were drawn by lot among {tied} of one score", flush=True)


def drawn_by_lot(scores: FloatArray, count: int) -> tuple[int, int]:
    """Of the `count` highest scores how many are the lowest of them, and how many rows have it in all; (0, 0) where all are kept."""
    if count == 0:
        return 0, 0
    lowest = np.partition(scores, -count)[-count]
    tied = int((scores == lowest).sum())
    drawn = count - int((scores > lowest).sum())
    return (drawn, tied) if drawn < tied else (0, 0)


def top_of_each(scores: Scores, group: Mapping[str, str], shares: Mapping[str, int], seed: int) -> list[str]:
    """The ids of highest score in each group, as many as its share, sorted by id."""
    rows: dict[str, list[int]] = defaultdict(list)
    ids = [scores.id(row) for row in range(len(scores))]
    for row, name in enumerate(ids):
        rows[group[name]].append(row)
    return sorted(
        kept
        for name, of_group in rows.items()
        for kept in top_ids(Scores.of([ids[row] for row in of_group], scores.values[of_group]), shares[name], seed)
    )


@stage("balanced", version=1)
def run_balanced(context: StageContext) -> None:
    """The highest scores of each class of weak labels, equally many; a class with too few gives all that it has."""
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    classes = label_classes(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    if classes is None:
        raise NotApplicableError(
            f"selection `balanced` knows labels as classes, and the {len(items)} items of the pool do not all offer the same "
            "options, nor do those of each stratum. Take `stratified`, or a domain whose options are the same texts in every "
            "item of a stratum"
        )
    _keep_by_group(context, classes, equal_shares)


@stage("stratified", version=1)
def run_stratified(context: StageContext) -> None:
    """The highest scores of each stratum, as many as its share of the pool."""
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    _keep_by_group(context, {item.id: item.stratum for item in items}, proportional_shares)


def _keep_by_group(
    context: StageContext, group: Mapping[str, str], parted: Callable[[Mapping[str, int], int], Mapping[str, int]]
) -> None:
    scores = Scores.read(context.inputs["scores"])
    wanted = count_to_keep(context.params["coverage"], len(scores))
    shares = parted(Counter(group.values()), wanted)
    Kept.whole(top_of_each(scores, group, shares, context.params["seed"]), wanted).write(context.out)


@stage("certified", version=2)
def run_certified(context: StageContext) -> None:
    """The rows of at least the threshold that the rows which calibrate certify; where they certify none, why not."""
    scores, grades = Scores.read(context.inputs["scores"]), read_grades(context.inputs["grades"])
    calibration = read_json(context.inputs["scores"] / CALIBRATION)
    values = np.array(list(calibration.values()), dtype=np.float64)
    correct = np.array([grades[name] for name in calibration], dtype=np.bool_)
    p = context.params
    certified = METHODS[p["method"]](values, correct, scores.values, purity=p["purity"], confidence=p["confidence"])
    kept = (
        [] if certified.threshold is None else [name for name, value in scores.items() if value >= certified.threshold]
    )
    Kept.whole(sorted(kept), len(kept)).write(context.out)
    write_json(context.out / CERTIFICATE, {**asdict(certified), "rows": len(values)})
    if certified.threshold is None:
        write_json(
            context.out / ABSTAINED, f"{p['method']} keeps nothing at a purity of {p['purity']:g}: {certified.why}"
        )


def not_applicable(why: str, labels: Stage, *, label: str = "") -> Stage:
    """Stage: no rows of these labels, since a selection cannot be had of an arm; its cell says `why`."""
    return Stage(run_not_applicable, {"why": why}, {"labels": labels}, label=label)


@stage("not_applicable", version=1)
def run_not_applicable(context: StageContext) -> None:
    raise NotApplicableError(context.params["why"])
