"""Results of stages → cells. Gold is read here, after every score, row and weight is settled."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.errors import StoreError
from w2s_bench.executors import Done, Failed, Outcome
from w2s_bench.models.objectives import effective_size
from w2s_bench.names import BUILT_IN, DEVICE_VARIABLE
from w2s_bench.plugins.installation import running_version
from w2s_bench.protocol.arms import ArmStages
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ITEMS, KEPT, ROWS
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import digest_of, pack_bits, read_json, read_records, read_rows
from w2s_bench.results.cells import Cell, CellBody, SeedResult, SuiteRef
from w2s_bench.results.statistics import auroc
from w2s_bench.runs.plan import PlannedCell
from w2s_bench.store import Result, Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.text import shortened
from w2s_bench.types import Item

Outcomes = Mapping[str, Outcome]
_PACKAGES = ("torch", "transformers", "tokenizers", "lm_eval", "datasets", "peft", "numpy", "scipy", BUILT_IN)


class Results:
    """Outcomes of a run with the files behind them, each read once, fetched where they were made on another machine."""

    def __init__(self, outcomes: Outcomes, store: Store) -> None:
        self.outcomes, self.store = outcomes, store
        self._items: dict[Path, list[Item]] = {}
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

    def grades(self, stage: Stage) -> dict[str, bool]:
        path = self.folder(stage)
        if path not in self._grades:
            self._grades[path] = read_grades(path)
        return self._grades[path]


def cell_of(cell: PlannedCell, results: Results) -> Cell:
    """The cell file of a planned cell, failed seeds with their reasons."""
    suite = cell.graphs[0].suite
    seeds: list[SeedResult] = []
    items: list[str] = []
    for place, (graph, own) in enumerate(zip(cell.graphs, cell.stages, strict=True)):
        failed = next((f for stage in cell.targets_of(place) if (f := results.failure(stage))), None)
        if failed:
            reason = shortened(f"{failed.stage} failed: {scrubbed(failed.reason)}")
            seeds.append(SeedResult(seed=graph.seed, error=reason))
            continue
        items = [item.id for item in results.items(graph.subset(suite.evaluate_on))]
        seeds.append(_seed_result(cell, graph, own, results))
    body = CellBody(
        suite=SuiteRef(name=suite.name, version=suite.version, digest=suite.digest, evaluate_on=suite.evaluate_on),
        protocol=suite.protocol,
        generation=cell.graphs[0].index,
        domain=cell.domain,
        teacher=cell.teacher,
        student=cell.student,
        arm=cell.arm.ref,
        plugin=cell.arm.plugin,
        items=len(items),
        items_digest=digest_of(items),
        seeds=tuple(seeds),
    )
    made = _made(cell, results)
    machines = sorted({one.machine or "a machine not recorded" for one in made})
    where = {**environment(), "packages": _packages(cell), "machines": machines}
    return Cell.of(body, {**where, "cost": _cost(made)})


def scrubbed(reason: str) -> str:
    """A reason without what no rerun would repeat: addresses of objects, and absolute paths but for a file's name."""
    reason = re.sub(r"\b0x[0-9a-fA-F]{4,}", "0x…", reason)
    return re.sub(r"(?<=')/[^']*/[^']*(?=')|(?<![\w.:/~'])(?:/[^\s/'\"<>|:;,()\[\]]+){2,}/?", _without_folder, reason)


def _without_folder(path: re.Match[str]) -> str:
    name = path[0].rpartition("/")[2]
    return f"…/{name}" if "." in name and not name.startswith(("tmp", ".")) else "…"


def _seed_result(cell: PlannedCell, graph: Generation, own: ArmStages, results: Results) -> SeedResult:
    arm, suite = cell.arm, graph.suite
    grades = results.grades(own.student.grades)
    evaluated = results.items(graph.subset(suite.evaluate_on))
    correct = np.array([grades[item.id] for item in evaluated], dtype=np.bool_)
    facts: dict[str, Any] = {"by_stratum": _share_by_stratum(evaluated, grades)}
    digests: dict[str, str] = {}
    diagnostics: dict[str, Any] = {}
    if arm.ref.name != "base" and not arm.gold:
        digests["weak_labels"] = results.content(graph.weak_labels(graph.pool))
    if own.student.weights is not None:
        digests["student" if arm.ref.name != "weak" else "teacher"] = results.content(own.student.weights)
    if arm.ref.name == "weak":
        diagnostics["label_accuracy"] = float(np.mean(list(results.grades(graph.label_grades(graph.pool)).values())))
    if own.rows is not None:
        kept_file = read_json(results.folder(own.kept) / KEPT) if own.kept else None
        rows = kept_file["ids"] if kept_file else [row["id"] for row in read_rows(results.folder(own.rows) / ROWS)]
        weights = kept_file and kept_file.get("weights")
        digests["kept"] = digest_of(weights or rows)
        if weights:
            diagnostics["effective_share"] = effective_size(list(weights.values())) / len(weights)
        facts["kept"] = len(rows)
        facts["shortfall"] = kept_file["shortfall"] if kept_file else 0
        facts["purity"] = 1.0
        if not arm.gold:
            right = results.grades(graph.label_grades(graph.pool))
            facts["purity"] = float(np.mean([right[i] for i in rows]))
        if arm.ref.name != "gold_trust_set":
            pool = results.items(graph.subset(graph.pool))
            facts["coverage"] = len(rows) / len(pool)
            kept = set(rows)
            diagnostics["kept_by_stratum"] = _share_by_stratum(pool, {item.id: item.id in kept for item in pool})
    if own.scores is not None:
        scores = dict(Scores.read(results.folder(own.scores)).items())
        right = results.grades(graph.label_grades(graph.pool))
        diagnostics["auroc"] = auroc(
            np.array([scores[i] for i in right]), np.array(list(right.values()), dtype=np.bool_)
        )
    return SeedResult(
        seed=graph.seed,
        accuracy=float(correct.mean()),
        correct=pack_bits(correct),
        diagnostics=diagnostics,
        digests=digests,
        **facts,
    )


def _share_by_stratum(items: list[Item], true: Mapping[str, bool]) -> dict[str, float]:
    strata = sorted({item.stratum for item in items})
    return {s: float(np.mean([true[item.id] for item in items if item.stratum == s])) for s in strata}


def _made(cell: PlannedCell, results: Results) -> list[Result]:
    """What the arm's stages came to, shared ones included."""
    outcomes = (results.outcomes[stage.node] for stage in walk(cell.targets()))
    return [outcome.result for outcome in outcomes if isinstance(outcome, Done)]


def _cost(done: list[Result]) -> dict[str, Any]:
    """What stages took when they ran: wall and processor seconds."""
    return {
        "seconds": round(sum(r.seconds for r in done), 2),
        "cpu_seconds": round(sum(r.cpu_seconds for r in done), 2),
        "stages": len(done),
        "finished": max((r.created for r in done), default=None),  # when the last of them was computed, UTC
    }


def _packages(cell: PlannedCell) -> dict[str, str]:
    """Versions of what every cell is made with, and of what else this one's trust function computes with."""
    needed = {name for stage in walk(cell.targets()) for name in stage.libraries}
    own = sorted(name for name in needed if name.replace("-", "_") not in _PACKAGES)
    return {name: _version(name) for name in (*_PACKAGES, *own)}


@cache
def _version(package: str) -> str:
    try:
        return running_version() if package == BUILT_IN else metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def environment() -> dict[str, Any]:
    """Where a cell was made; outside its digest."""
    return {
        "packages": {package: _version(package) for package in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "threads_per_worker": 1,
        "device": os.environ.get(DEVICE_VARIABLE) or "cpu",
        "visible_cpus": os.cpu_count(),
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout the harness runs from; None for an installed wheel."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or no commit yet: provenance says so by its absence
    return {"commit": commit, "dirty": bool(status.strip())}
