"""`try`: the diagnostics of a cell, from the stages that scores need and no others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from support import run_inline, toy_registry, toy_suite
from w2s_bench._cli.app import app
from w2s_bench.errors import W2SBenchError
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.scores import Scores
from w2s_bench.runs import execute
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.runs.tryout import GRID, Tried, purity_at, try_functions
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite


class Inline:
    """An executor without processes, which notes what it was asked for."""

    def __init__(self, registry: Any) -> None:
        self.registry, self.asked = registry, list[Any]()

    def run(self, targets: Any, store: Store, events: Callable[..., None]) -> Any:
        self.asked += walk(targets)
        self.outcomes = run_inline(targets, store, self.registry)
        return self.outcomes


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The plan, what ran, and what came of it: one function that is sound, and one that raises."""
    root = tmp_path_factory.mktemp("tryout")
    with pytest.MonkeyPatch.context() as patched:
        registry = toy_registry(patched)
        planned = plan(
            toy_suite(root / "models", seeds=1), registry, domains=["largest"], trust=["confidence", "calibrated"]
        )
        inline = Inline(registry)
        done = try_functions(planned, 0, store=Store(root / "store"), executor=inline, events=print, examples=2)
    return planned, inline, done


def test_of_a_suite_with_a_chain_the_one_hop_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of a later generation are a student's, and no student is trained here."""
    registry, content = toy_registry(monkeypatch), toy_suite(tmp_path / "models", seeds=1).model_dump(mode="json")
    (domain,) = (one for one in content["domains"] if one["name"].endswith("/largest"))
    domain["chain"] = [{**domain["student"], "steps": 4}]
    planned = plan(
        Suite.model_validate({**content, "domains": [domain]}), registry, domains=["largest"], trust=["confidence"]
    )
    assert [cell.generation for cell in planned.cells if cell.arm.ref.role == "trust_function"] == [None, 1, 2]
    inline = Inline(registry)
    done = try_functions(planned, 0, store=Store(tmp_path / "store"), executor=inline, events=print)
    assert [(trial.function, trial.fault) for trial in done.trials] == [("confidence", "")]
    assert not [stage.label for stage in inline.asked if "student of" in stage.label]


def test_only_what_scores_need_is_run(tried: tuple[Plan, Inline, Tried]) -> None:
    _, inline, _ = tried
    labels = [stage.label for stage in inline.asked]
    assert any("teacher" in label for label in labels)
    assert not [label for label in labels if "test items" in label or "test gold" in label or "labels of test" in label]
    assert not [label for label in labels if "student of" in label or "answers of" in label]


def test_diagnostics_are_those_of_the_pool(tried: tuple[Plan, Inline, Tried]) -> None:
    planned, inline, done = tried
    graph = planned.cells[0].graphs[0]
    right = read_grades(inline.outcomes[graph.label_grades("transfer").node].result.path)
    assert (done.rows, done.domain, done.seed) == (100, "w2s-bench-toy/largest", 0)
    assert done.accuracy == np.mean(list(right.values()))
    for trial, cell in zip(done.trials, [c for c in planned.cells if c.arm.plugin], strict=True):
        assert trial.fault == ""
        own = cell.stages[0]
        assert own.scores is not None and trial.diagnostics is not None and trial.purity is not None
        scores = dict(Scores.read(inline.outcomes[own.scores.node].result.path).items())
        expected = roc_auc_score([right[i] for i in right], [scores[i] for i in right])
        assert trial.diagnostics["auroc"] == pytest.approx(expected)
        assert list(trial.purity) == list(GRID)
        assert [row.score for row in trial.most] == sorted(scores.values(), reverse=True)[:2]
        assert [row.score for row in trial.least] == sorted(scores.values())[:2]


def test_a_function_that_fails_costs_the_others_nothing(
    tried: tuple[Plan, Inline, Tried], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.executors import Ended, Failed

    planned, inline, _ = tried
    scores = next(c for c in planned.cells if c.arm.ref.name == "w2s-bench/calibrated").stages[0].scores
    assert scores is not None

    class Failing(Inline):
        def run(self, targets: Any, store: Store, events: Callable[..., None]) -> Any:
            failed = Failed(scores.label, "it raised ValueError: no", scores.node)
            return {**inline.outcomes, scores.node: failed}

    store = Store(tmp_path / "store")
    done = try_functions(planned, 0, store=store, executor=Failing(None), events=print)
    faults = {trial.function: trial.fault for trial in done.trials}
    assert faults["confidence"] == "" and "it raised ValueError: no" in faults["calibrated"]

    def tell(*_: Any, events: Callable[..., None], **__: Any) -> Tried:
        events(Ended(scores, Failed(scores.label, "it raised ValueError: no", scores.node)))
        return done

    monkeypatch.setattr("w2s_bench.runs.tryout.try_functions", tell)
    monkeypatch.setattr(execute, "make_plan", lambda suite, **_: planned)
    command = ["try", "calibrated", "--on", "largest", "--store", str(tmp_path / "store")]
    for options in ([], ["--quiet"]):
        told = CliRunner().invoke(app, [*command, *options])
        assert told.exit_code == 1 and told.stderr.count("it raised ValueError: no") == 1, options
        assert "failed: calibrated: " in told.stderr


def test_without_a_function_there_is_nothing_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["largest"], trust=[])
    with pytest.raises(W2SBenchError, match="no trust function to try"):
        try_functions(planned, 0, store=Store(tmp_path / "store"), executor=Inline(registry), events=print)


def test_the_verb(tried: tuple[Plan, Inline, Tried], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, _, done = tried
    monkeypatch.setattr("w2s_bench.runs.tryout.try_functions", lambda *_, **__: done)
    monkeypatch.setattr(execute, "make_plan", lambda suite, **_: planned)
    command = ["try", "confidence", "--on", "largest", "--store", str(tmp_path / "store"), "--quiet"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert "w2s-bench-toy/largest · seed 0 of toy · 100 weak labels" in told.stdout
    own = load_suite("tiny").seeds
    assert f"choose with --seed {own} or above" in " ".join(told.stdout.split())
    for seed in (0, own + 6):  # however many seeds are planned to get there
        found = json.loads(CliRunner().invoke(app, [*command, "--json", "--seed", str(seed)]).stdout)
        assert found["seeds"] == own
    assert [at for at, _ in found["trials"][0]["purity"]] == list(GRID)


@pytest.mark.parametrize("seed", range(12))
def test_purity_is_the_mean_over_all_orders_of_equal_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    scores, correct = rng.integers(0, 3, n).astype(np.float64), rng.random(n) < 0.5
    for count in range(1, n + 1):
        orders = itertools.permutations(zip(scores, correct, strict=True))
        kept = [sorted(order, key=lambda row: -row[0])[:count] for order in orders]
        expected = np.mean([np.mean([right for _, right in rows]) for rows in kept])
        assert purity_at(scores, correct, count) == pytest.approx(expected)
