"""What a cell says of one seed beside its answers: of the labels, the scores and the rows that were kept. Gold is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.arm_facts import Facts
from w2s_bench.protocol.arms import ArmStages
from w2s_bench.protocol.classes import label_classes
from w2s_bench.protocol.files import ABSTAINED, CERTIFICATE, READING
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_arrays, read_json
from w2s_bench.results.seed_results import (
    CERTIFIED_PURITY,
    KEPT_BY_LABEL,
    KEPT_BY_STRATUM,
    LABEL_PROBABILITY_AUROC,
    WITHIN_LABEL,
    WITHIN_STRATUM,
)
from w2s_bench.results.statistics import auroc, auroc_within, selective_figures
from w2s_bench.runs import beyond_gold
from w2s_bench.runs.outcomes import Results
from w2s_bench.types import FloatArray, Item, Prediction, Ragged


def purity(arm: Facts, graph: Generation, rows: Sequence[str], results: Results) -> float:
    """The share of the rows that an arm trains on whose labels are right; gold is, unless the domain's training gold may be wrong."""
    right = dict(results.grades(graph.label_grades(graph.pool))) if arm.hangs_on_weak_labels else {}
    for part in arm.rows:
        if (graded := beyond_gold.rows_of_gold(part, graph)) is not None:
            right |= results.grades(graded)
    return float(np.mean([right.get(row, True) for row in rows])) if right else 1.0


def abstention(kept: Path) -> dict[str, Any]:
    """Why a selection with a guarantee kept nothing, where it did not."""
    return {"abstained": read_json(kept / ABSTAINED)} if (kept / ABSTAINED).exists() else {}


def certificate(kept: Path) -> dict[str, Any]:
    """What was guaranteed, by how many rows of gold, what share of them lies above the threshold and what share of those is right."""
    certificate = read_json(kept / CERTIFICATE)
    told: dict[str, Any] = {"calibration_rows": certificate["rows"]}
    if certificate["threshold"] is not None:
        told |= {
            CERTIFIED_PURITY: certificate["purity"],
            "calibration_above": certificate["above"] / certificate["rows"],
        }
        told["calibration_purity"] = certificate["right"] / certificate["above"] if certificate["above"] else None
    return told


def of_the_scores(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
    """How well the trust scores tell right labels from wrong: over all pairs, and over those of one label or one stratum."""
    assert own.scores is not None
    right, pool = results.grades(graph.label_grades(graph.pool)), results.items(graph.subset(graph.pool))
    scores = dict(Scores.read(results.folder(own.scores)).items())
    told: dict[str, Any] = {"auroc": _auroc(scores, right)}
    if graph.suite.diagnostics == "full":
        values = np.array([scores[i] for i in right], dtype=np.float64)
        figures = asdict(selective_figures(values, np.array(list(right.values()), dtype=np.bool_)))
        told |= {name: list(v) if isinstance(v, tuple) else v for name, v in figures.items() if v is not None}
    told[WITHIN_STRATUM] = _auroc(scores, right, {item.id: item.stratum for item in pool})
    if own.kept is not None and (classes := label_classes(pool, results.labels(graph.weak_labels(graph.pool)))):
        told[WITHIN_LABEL] = _auroc(scores, right, classes)
    return told | kept_by_label(graph, own, results)


def kept_by_label(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
    """What share of each label is kept, where labels are classes."""
    pool, labels = results.items(graph.subset(graph.pool)), results.labels(graph.weak_labels(graph.pool))
    if own.kept is None or (classes := label_classes(pool, labels)) is None:
        return {}
    kept = Kept.read(results.folder(own.kept)).weights
    sizes, of_kept = Counter(classes.values()), Counter(classes[row] for row in kept)
    return {KEPT_BY_LABEL: {label: of_kept[label] / size for label, size in sorted(sizes.items())}}


def of_the_labels(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
    """What share of the teacher's labels of the pool is right, and how well its own label probability tells which."""
    right = results.grades(graph.label_grades(graph.pool))
    told: dict[str, Any] = {"label_accuracy": float(np.mean(list(right.values())))}
    if graph.task.domain.own_training_gold:
        told |= beyond_gold.of_the_gold(results.grades(graph.grades_of_training_gold(graph.pool)), right)
    labels = results.labels(graph.weak_labels(graph.pool))
    if own.certainty is not None:
        arrays = read_arrays(results.folder(own.certainty) / READING)
        tokens = Ragged(arrays["values"].astype(np.float64), arrays["offsets"].astype(np.int64))
        probability = {label.id: _mean_log_probability(row) for label, row in zip(labels, tokens, strict=True)}
    elif graph.task.domain.kind == "choice" and all(label.choice_scores for label in labels):
        probability = {label.id: _probability(label) for label in labels}
    else:
        return told
    return told | {LABEL_PROBABILITY_AUROC: _auroc(probability, right)}


def _probability(label: Prediction) -> float:
    """What the teacher gives the option that it chose, of all options of the item: in (0, 1]."""
    assert label.choice_scores is not None and label.index is not None
    weights = np.exp(np.array(label.choice_scores) - max(label.choice_scores))
    return float(weights[label.index] / weights.sum())


def _mean_log_probability(tokens: FloatArray) -> float:
    """Of a generated label's tokens (t,), nats; a label without tokens, which nothing speaks for, is below all others."""
    return float(tokens.mean()) if len(tokens) else float(np.finfo(np.float64).min)


def _auroc(
    values: Mapping[str, float], right: Mapping[str, bool], group: Mapping[str, str] | None = None
) -> float | None:
    """Over all pairs of rows, or over those of one group."""
    scores, correct = np.array([values[i] for i in right]), np.array(list(right.values()), dtype=np.bool_)
    return auroc(scores, correct) if group is None else auroc_within(scores, correct, [group[i] for i in right])


def share_by_stratum(items: list[Item], true: Mapping[str, bool]) -> dict[str, float]:
    strata = sorted({item.stratum for item in items})
    return {s: float(np.mean([true[item.id] for item in items if item.stratum == s])) for s in strata}


def told_of_scores(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
    """What a cell says of an arm's trust scores of one seed, and of what is kept by them; no student need be there."""
    assert own.kept is not None
    kept, pool = Kept.read(results.folder(own.kept)).weights, results.items(graph.subset(graph.pool))
    of_strata = {KEPT_BY_STRATUM: share_by_stratum(pool, {item.id: item.id in kept for item in pool})}
    return of_the_scores(graph, own, results) | of_strata
