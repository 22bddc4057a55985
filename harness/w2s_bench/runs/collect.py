"""Results of stages → cells. Gold is read here, after every score, row and weight is settled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from w2s_bench.arm_facts import Facts
from w2s_bench.executors import Done, Failed
from w2s_bench.models.objectives import effective_size, relative
from w2s_bench.protocol.arms import ArmStages
from w2s_bench.protocol.files import ABSTAINED, ROWS
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import digest_of, pack_bits, read_rows
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.clusters import Clusters
from w2s_bench.results.references import ChainRef, Spent, SuiteRef
from w2s_bench.results.seed_results import KEPT_BY_STRATUM, NO_DIFFICULTY, KeptRows, SeedResult
from w2s_bench.runs import beyond_gold, kept_mix
from w2s_bench.runs.diagnostics import (
    abstention,
    certificate,
    kept_by_label,
    of_the_labels,
    of_the_scores,
    purity,
    share_by_stratum,
)
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import PlannedCell
from w2s_bench.runs.provenance import provenance
from w2s_bench.store.stage import Stage, walk
from w2s_bench.text import shortened
from w2s_bench.types import Item


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
    grades = results.grades(own.student.grades)
    evaluated = results.items(graph.subset(graph.suite.evaluate_on))
    correct = np.array([grades[item.id] for item in evaluated], dtype=np.bool_)
    told = _of_the_models(cell, graph, own, results)
    if own.rows is not None:
        told.add(_of_the_rows(cell, graph, own, results))
    if own.scores is not None:
        told.diagnostics |= of_the_scores(graph, own, results)
    elif cell.arm.ref.made_of:
        told.diagnostics |= kept_by_label(graph, own, results)
    return SeedResult(
        seed=graph.seed,
        accuracy=float(correct.mean()),
        correct=pack_bits(correct),
        by_stratum=share_by_stratum(evaluated, grades),
        diagnostics=told.diagnostics,
        digests=told.digests,
        **told.facts,
    )


@dataclass
class _Told:
    """What is said of one seed beside its answers: fields of `SeedResult`, and what its two dictionaries hold."""

    facts: dict[str, Any] = field(default_factory=dict)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, other: _Told) -> None:
        self.facts |= other.facts
        self.diagnostics |= other.diagnostics
        self.digests |= other.digests


def _of_the_models(cell: PlannedCell, graph: Generation, own: ArmStages, results: Results) -> _Told:
    """Who labelled the pool, and who answered."""
    arm, told = cell.arm.ref.facts, _Told()
    if arm.hangs_on_weak_labels or cell.arm.ref.made_of:
        told.digests["weak_labels"] = results.content(graph.weak_labels(graph.pool))
    untuned = own.kept is not None and (results.folder(own.kept) / ABSTAINED).exists()
    if own.student.weights is not None and not untuned:
        told.digests[arm.answers] = results.content(own.student.weights)
    if arm.answers == "teacher":
        told.diagnostics |= of_the_labels(graph, own, results)
    elif graph.of is not None and arm.hangs_on_weak_labels:
        # Each arm's chain has labels of its own, and no cell of a teacher says how many of them are right.
        right = results.grades(graph.label_grades(graph.pool))
        told.diagnostics["label_accuracy"] = float(np.mean(list(right.values())))
    return told


def _of_the_rows(cell: PlannedCell, graph: Generation, own: ArmStages, results: Results) -> _Told:
    """What the student was trained on."""
    assert own.rows is not None
    arm, told = cell.arm.ref.facts, _Told()
    selected = Kept.read(results.folder(own.kept)) if own.kept else None
    if selected and not arm.with_trust_set:
        weights = dict(selected.weights)
    else:
        weights = {row["id"]: row.get("weight", 1.0) for row in read_rows(results.folder(own.rows) / ROWS)}
    rows = list(weights)
    if cell.arm.ref.guarantee is not None and own.kept is not None:
        told.facts |= abstention(results.folder(own.kept))
        told.diagnostics |= certificate(results.folder(own.kept))
    told.digests["kept"] = digest_of(rows)
    if relative(list(weights.values())) is not None:
        told.digests["kept"] = digest_of(weights)
        told.diagnostics |= _of_the_weights(arm, graph, weights, results)
    told.facts["kept"] = len(rows)
    told.facts["shortfall"] = selected.shortfall if selected else 0
    told.facts["purity"] = purity(arm, graph, rows, results) if rows else None
    if beyond_gold.keeps_labels(arm, graph):
        right, as_gold = (results.grades(of(graph.pool)) for of in (graph.label_grades, graph.training_grades))
        told.diagnostics |= beyond_gold.of_the_rows(right, as_gold, rows)
    if arm.of_pool:
        told.add(_of_the_pool(arm, graph, rows, results))
    return told


def _of_the_weights(arm: Facts, graph: Generation, weights: Mapping[str, float], results: Results) -> dict[str, float]:
    """Of rows that do not all weigh the same: how many they are worth, and what share of the weight is on right labels."""
    told = {"effective_share": effective_size(list(weights.values())) / len(weights)}
    if arm.hangs_on_weak_labels:
        right = results.grades(graph.label_grades(graph.pool))
        worth = sum(weight for row, weight in weights.items() if right.get(row, True))
        told["weighted_purity"] = worth / sum(weights.values())
    return told


def _of_the_pool(arm: Facts, graph: Generation, rows: Sequence[str], results: Results) -> _Told:
    """Which part of the pool the rows are."""
    pool, chosen, told = results.items(graph.drawn_from(arm)), set(rows), _Told()
    kept = {item.id: item.id in chosen for item in pool}
    told.facts["coverage"] = sum(kept.values()) / len(pool)
    told.diagnostics[KEPT_BY_STRATUM] = share_by_stratum(pool, kept)
    if wanted := kept_mix.stages(arm, graph):
        labels, difficulty = wanted
        failed = results.failure(difficulty)
        hard = {} if failed else dict(Scores.read(results.folder(difficulty)).items())
        told.diagnostics |= kept_mix.kept_mix(kept, results.labels(labels), hard)
        if failed:
            told.diagnostics[NO_DIFFICULTY] = shortened(f"{failed.stage} failed: {scrubbed(failed.reason)}")
    if graph.suite.diagnostics == "full":
        bits = np.array([kept[row] for row in sorted(kept)], dtype=np.bool_)
        told.facts["kept_rows"] = KeptRows(pool=len(pool), bits=pack_bits(bits))
    return told
