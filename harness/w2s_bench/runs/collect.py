"""Results of stages → cells. Gold is read here, after every score, row and weight is settled."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.arm_facts import Facts
from w2s_bench.errors import StoreError
from w2s_bench.executors import Done, Failed, Outcome
from w2s_bench.models.objectives import effective_size, relative
from w2s_bench.protocol.arms import ArmStages
from w2s_bench.protocol.classes import label_classes
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ABSTAINED, CERTIFICATE, ITEMS, PREDICTIONS, READING, ROWS
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import digest_of, pack_bits, read_arrays, read_json, read_records, read_rows
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.clusters import Clusters
from w2s_bench.results.references import ChainRef, Spent, SuiteRef
from w2s_bench.results.seed_results import (
    CERTIFIED_PURITY,
    KEPT_BY_LABEL,
    KEPT_BY_STRATUM,
    LABEL_PROBABILITY_AUROC,
    NO_DIFFICULTY,
    WITHIN_LABEL,
    WITHIN_STRATUM,
    KeptRows,
    SeedResult,
)
from w2s_bench.results.statistics import auroc, auroc_within, selective_figures
from w2s_bench.runs import beyond_gold, kept_mix
from w2s_bench.runs.plan import PlannedCell
from w2s_bench.runs.provenance import provenance
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.text import shortened
from w2s_bench.types import FloatArray, Item, Prediction, Ragged

Outcomes = Mapping[str, Outcome]


class Results:
    """Outcomes of a run with the files behind them, each read once, fetched where they were made on another machine."""

    def __init__(self, outcomes: Outcomes, store: Store) -> None:
        self.outcomes, self.store = outcomes, store
        self._items: dict[Path, list[Item]] = {}
        self._labels: dict[Path, list[Prediction]] = {}
        self._grades: dict[Path, dict[str, bool]] = {}

    def failure(self, stage: Stage) -> Failed | None:
        outcome = self.outcomes[stage.node]
        return outcome if isinstance(outcome, Failed) else None

    def folder(self, stage: Stage) -> Path:
        outcome = self.outcomes[stage.node]
        assert isinstance(outcome, Done), f"{stage.label} has no result"
        result = outcome.result
        if not result.path.is_dir() and self.store.find(stage, result.key) is None:
            raise StoreError(f"the result of {stage.label} has gone from the store {self.store.location}; run again")
        return result.path

    def content(self, stage: Stage) -> str:
        outcome = self.outcomes[stage.node]
        assert isinstance(outcome, Done), f"{stage.label} has no result"
        return outcome.result.content

    def items(self, subset: Stage) -> list[Item]:
        path = self.folder(subset)
        if path not in self._items:
            self._items[path] = read_records(path / ITEMS, Item)
        return self._items[path]

    def labels(self, stage: Stage) -> list[Prediction]:
        path = self.folder(stage)
        if path not in self._labels:
            self._labels[path] = read_records(path / PREDICTIONS, Prediction)
        return self._labels[path]

    def grades(self, stage: Stage) -> dict[str, bool]:
        path = self.folder(stage)
        if path not in self._grades:
            self._grades[path] = read_grades(path)
        return self._grades[path]


def cell_of(cell: PlannedCell, results: Results) -> Cell:
    """The cell file of a planned cell, failed seeds with their reasons."""
    suite = cell.graphs[0].suite
    seeds: list[SeedResult] = []
    items: list[Item] = []
    for graph, own in zip(cell.graphs, cell.stages, strict=True):
        failed = next((f for stage in cell.made_of(graph.seed) if (f := results.failure(stage))), None)
        if failed:
            seeds.append(SeedResult(seed=graph.seed, error=error_of(failed)))
            continue
        items = results.items(graph.subset(suite.evaluate_on))
        seeds.append(_seed_result(cell, graph, own, results))
    body = CellBody(
        suite=SuiteRef(name=suite.name, version=suite.version, digest=suite.digest, evaluate_on=suite.evaluate_on),
        protocol=suite.protocol,
        generation=cell.graphs[0].index,
        chain=_chain(cell),
        spent=_spent(cell.stages) if suite.diagnostics == "full" and cell.graphs[0].of is None else None,
        domain=cell.domain,
        trust_from=cell.task.spec.trust_from,
        own_training_gold=beyond_gold.learns_from_own_gold(cell.graphs[0]),
        teacher=cell.teacher,
        student=cell.student,
        arm=cell.arm.ref,
        plugin=cell.arm.plugin,
        objective_plugin=cell.arm.trainer,
        items=len(items),
        items_digest=digest_of([item.id for item in items]),
        clusters=_clusters(items),
        seeds=tuple(seeds),
    )
    # What is said of the kept rows besides is no part of what an arm takes.
    stages = list(walk([stage for graph in cell.graphs for stage in cell.made_of(graph.seed)]))
    outcomes = [results.outcomes[stage.node] for stage in stages]
    return Cell.of(body, provenance(stages, [outcome.result for outcome in outcomes if isinstance(outcome, Done)]))


def _clusters(items: Sequence[Item]) -> Clusters | None:
    """Of the items sorted by id; None where each is its own, or all would be one, of which nothing could be said."""
    names = [item.cluster or item.group for item in items]
    return Clusters.of(names) if 1 < len(set(names)) < len(names) else None


def _chain(cell: PlannedCell) -> ChainRef | None:
    """What a generation's cell says of its chain, as it was planned; None for the one hop."""
    graph = cell.graphs[0]
    if graph.of is None:
        return None
    pool = cell.task.spec.pool
    return ChainRef(generations=graph.of, pool=pool, spent=_spent(cell.stages), one_hop=_spent(cell.one_hop))


def _spent(seeds: Sequence[ArmStages]) -> Spent:
    """What lies behind the answers of an arm's seeds, which are planned alike."""
    behind = [list(walk([own.student.predictions])) for own in seeds]
    steps = (sum(stage.params["steps"] for stage in stages if "steps" in stage.params) for stages in behind)
    return Spent(steps=max(steps), gold_labels=max(map(_gold_labels, behind)))


def _gold_labels(stages: Iterable[Stage]) -> int:
    """How many distinct items' gold is read by any of the stages: of items whose training gold is another, one is told."""
    read = {stage.inputs["subset"].node: stage.inputs["subset"].amount for stage in stages if stage.name == "gold"}
    return sum(read.values())


def error_of(failed: Failed) -> str:
    """What a cell says of a seed whose stage failed."""
    return shortened(f"{failed.stage} failed: {scrubbed(failed.reason)}")


def scrubbed(reason: str) -> str:
    """A reason without what no rerun would repeat: addresses of objects, and absolute paths but for a file's name."""
    reason = re.sub(r"\b0x[0-9a-fA-F]{4,}", "0x…", reason)
    return re.sub(r"(?<=')/[^']*/[^']*(?=')|(?<![\w.:/~'])(?:/[^\s/'\"<>|:;,()\[\]]+){2,}/?", _without_folder, reason)


def _without_folder(path: re.Match[str]) -> str:
    name = path[0].rpartition("/")[2]
    return f"…/{name}" if "." in name and not name.startswith(("tmp", ".")) else "…"


def _seed_result(cell: PlannedCell, graph: Generation, own: ArmStages, results: Results) -> SeedResult:
    arm, suite = cell.arm.ref.facts, graph.suite
    grades = results.grades(own.student.grades)
    evaluated = results.items(graph.subset(suite.evaluate_on))
    correct = np.array([grades[item.id] for item in evaluated], dtype=np.bool_)
    facts: dict[str, Any] = {"by_stratum": _share_by_stratum(evaluated, grades)}
    digests: dict[str, str] = {}
    diagnostics: dict[str, Any] = {}
    if arm.hangs_on_weak_labels or cell.arm.ref.made_of:
        digests["weak_labels"] = results.content(graph.weak_labels(graph.pool))
    untuned = own.kept is not None and (results.folder(own.kept) / ABSTAINED).exists()
    if own.student.weights is not None and not untuned:
        digests[arm.answers] = results.content(own.student.weights)
    if arm.answers == "teacher":
        diagnostics |= _of_the_labels(graph, own, results)
    elif graph.of is not None and arm.hangs_on_weak_labels:
        # Each arm's chain has labels of its own, and no cell of a teacher says how many of them are right.
        diagnostics["label_accuracy"] = float(np.mean(list(results.grades(graph.label_grades(graph.pool)).values())))
    if own.rows is not None:
        selected = Kept.read(results.folder(own.kept)) if own.kept else None
        if selected and not arm.with_trust_set:
            weights = dict(selected.weights)
        else:
            weights = {row["id"]: row.get("weight", 1.0) for row in read_rows(results.folder(own.rows) / ROWS)}
        rows = list(weights)
        if cell.arm.ref.guarantee is not None and own.kept is not None:
            facts |= _abstention(results.folder(own.kept))
            diagnostics |= _certificate(results.folder(own.kept))
        digests["kept"] = digest_of(rows)
        if relative(list(weights.values())) is not None:
            digests["kept"] = digest_of(weights)
            diagnostics["effective_share"] = effective_size(list(weights.values())) / len(rows)
            if arm.hangs_on_weak_labels:
                right = results.grades(graph.label_grades(graph.pool))
                worth = sum(weight for row, weight in weights.items() if right.get(row, True))
                diagnostics["weighted_purity"] = worth / sum(weights.values())
        facts["kept"] = len(rows)
        facts["shortfall"] = selected.shortfall if selected else 0
        facts["purity"] = _purity(arm, graph, rows, results) if rows else None
        if beyond_gold.keeps_labels(arm, graph):
            right, as_gold = (results.grades(of(graph.pool)) for of in (graph.label_grades, graph.training_grades))
            diagnostics |= beyond_gold.of_the_rows(right, as_gold, rows)
        if arm.of_pool:
            pool, chosen = results.items(graph.drawn_from(arm)), set(rows)
            kept = {item.id: item.id in chosen for item in pool}
            facts["coverage"] = sum(kept.values()) / len(pool)
            diagnostics[KEPT_BY_STRATUM] = _share_by_stratum(pool, kept)
            if wanted := kept_mix.stages(arm, graph):
                labels, difficulty = wanted
                failed = results.failure(difficulty)
                hard = {} if failed else dict(Scores.read(results.folder(difficulty)).items())
                diagnostics |= kept_mix.kept_mix(kept, results.labels(labels), hard)
                if failed:
                    diagnostics[NO_DIFFICULTY] = shortened(f"{failed.stage} failed: {scrubbed(failed.reason)}")
            if suite.diagnostics == "full":
                bits = np.array([kept[row] for row in sorted(kept)], dtype=np.bool_)
                facts["kept_rows"] = KeptRows(pool=len(pool), bits=pack_bits(bits))
    if own.scores is not None:
        diagnostics |= _of_the_scores(graph, own, results)
    elif cell.arm.ref.made_of:
        diagnostics |= _kept_by_label(graph, own, results)
    return SeedResult(
        seed=graph.seed,
        accuracy=float(correct.mean()),
        correct=pack_bits(correct),
        diagnostics=diagnostics,
        digests=digests,
        **facts,
    )


def _purity(arm: Facts, graph: Generation, rows: Sequence[str], results: Results) -> float:
    """The share of the rows that an arm trains on whose labels are right; gold is, unless the domain's training gold may be wrong."""
    right = dict(results.grades(graph.label_grades(graph.pool))) if arm.hangs_on_weak_labels else {}
    for part in arm.rows:
        if (graded := beyond_gold.rows_of_gold(part, graph)) is not None:
            right |= results.grades(graded)
    return float(np.mean([right.get(row, True) for row in rows])) if right else 1.0


def _abstention(kept: Path) -> dict[str, Any]:
    """Why a selection with a guarantee kept nothing, where it did not."""
    return {"abstained": read_json(kept / ABSTAINED)} if (kept / ABSTAINED).exists() else {}


def _certificate(kept: Path) -> dict[str, Any]:
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


def _of_the_scores(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
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
    return told | _kept_by_label(graph, own, results)


def _kept_by_label(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
    """What share of each label is kept, where labels are classes."""
    pool, labels = results.items(graph.subset(graph.pool)), results.labels(graph.weak_labels(graph.pool))
    if own.kept is None or (classes := label_classes(pool, labels)) is None:
        return {}
    kept = Kept.read(results.folder(own.kept)).weights
    sizes, of_kept = Counter(classes.values()), Counter(classes[row] for row in kept)
    return {KEPT_BY_LABEL: {label: of_kept[label] / size for label, size in sorted(sizes.items())}}


def _of_the_labels(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
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


def _share_by_stratum(items: list[Item], true: Mapping[str, bool]) -> dict[str, float]:
    strata = sorted({item.stratum for item in items})
    return {s: float(np.mean([true[item.id] for item in items if item.stratum == s])) for s in strata}


def told_of_scores(graph: Generation, own: ArmStages, results: Results) -> dict[str, Any]:
    """What a cell says of an arm's trust scores of one seed, and of what is kept by them; no student need be there."""
    assert own.kept is not None
    kept, pool = Kept.read(results.folder(own.kept)).weights, results.items(graph.subset(graph.pool))
    of_strata = {KEPT_BY_STRATUM: _share_by_stratum(pool, {item.id: item.id in kept for item in pool})}
    return _of_the_scores(graph, own, results) | of_strata
