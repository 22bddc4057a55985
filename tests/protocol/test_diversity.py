"""Selection `diverse`: facility location within the trusted half is greedy, has the bound of greedy, and reads no gold."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import run_inline, run_stage, toy_registry, toy_suite
from w2s_bench.protocol import diversity
from w2s_bench.protocol.diversity import facility_location, run_diverse
from w2s_bench.protocol.evidence.readings.base import to_arrays
from w2s_bench.protocol.files import KEPT, PREDICTIONS, READING
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.selection import top_ids
from w2s_bench.record import read_json, write_arrays, write_records
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.types import FloatArray, Prediction

IDS = [f"item-{i:03d}" for i in range(40)]
DRAWS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(0, 10_000))


def drawn(n: int, d: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(n, d))


def stood_for(embeddings: FloatArray, chosen: tuple[int, ...]) -> float:
    """f(S), by its definition."""
    total = 0.0
    for one in embeddings:
        cosines = [float(one @ embeddings[j] / (np.linalg.norm(one) * np.linalg.norm(embeddings[j]))) for j in chosen]
        total += max(((1 + cosine) / 2 for cosine in cosines), default=0.0)
    return total


@given(DRAWS)
@settings(deadline=None, max_examples=60)
def test_each_row_chosen_is_the_one_that_raises_f_most(draw: tuple[int, int, int]) -> None:
    embeddings = drawn(*draw)
    chosen = facility_location(embeddings, len(embeddings)).tolist()
    assert sorted(chosen) == list(range(len(embeddings)))
    for step, row in enumerate(chosen):
        before = tuple(chosen[:step])
        gains = {j: stood_for(embeddings, (*before, j)) for j in chosen[step:]}
        assert gains[row] >= max(gains.values()) - 1e-6


@given(DRAWS, st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_it_has_the_share_of_the_best_that_greedy_is_known_to_have(draw: tuple[int, int, int], count: int) -> None:
    embeddings = drawn(*draw)
    count = min(count, len(embeddings))
    best = max(stood_for(embeddings, rows) for rows in combinations(range(len(embeddings)), count))
    ours = stood_for(embeddings, tuple(facility_location(embeddings, count).tolist()))
    assert best + 1e-9 >= ours >= (1 - (1 - 1 / count) ** count) * best - 1e-6
    assert 1 - (1 - 1 / count) ** count > 1 - 1 / math.e


def test_of_two_bundles_a_row_of_each_comes_first() -> None:
    bundle = np.array([[1.0, 0.0], [0.99, 0.14], [0.97, 0.24], [0.98, -0.2]])
    apart = np.array([[-1.0, 0.1], [-0.99, -0.1]])
    first, second = facility_location(np.concatenate([bundle, apart]), 2).tolist()
    assert {first < 4, second < 4} == {True, False}


def test_equal_rows_go_by_their_order_and_rows_of_zeros_are_rows_too() -> None:
    assert facility_location(np.ones((5, 3)), 5).tolist() == [0, 1, 2, 3, 4]
    assert facility_location(np.zeros((3, 2)), 3).tolist() == [0, 1, 2]
    assert facility_location(np.zeros((0, 2)), 3).tolist() == []


@pytest.mark.parametrize("at_once", [1, 130, 1_000_000])
def test_it_is_the_same_however_many_similarities_are_held_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = drawn(60, 5, 3)
    whole = facility_location(embeddings, 30).tolist()
    monkeypatch.setattr(diversity, "_AT_ONCE", at_once)
    assert facility_location(embeddings, 30).tolist() == whole


def pool(folder: Path, states: FloatArray, *, order: list[int] | None = None) -> dict[str, Path]:
    """Forty rows, of which the second half has the higher scores; labels and states in any one order."""
    inputs = {name: folder / name for name in ("scores", "embeddings", "labels")}
    for path in inputs.values():
        path.mkdir(parents=True)
    at = order or list(range(len(IDS)))
    Scores.of(IDS, np.arange(40.0)).write(inputs["scores"])
    write_records(inputs["labels"] / PREDICTIONS, [Prediction(IDS[i], " a", "a", True) for i in at])
    write_arrays(inputs["embeddings"] / READING, dict(to_arrays("array", states[at])))
    return inputs


def kept(folder: Path, coverage: float, inputs: dict[str, Path], seed: int = 4) -> dict[str, Any]:
    run_stage(run_diverse, folder, {"coverage": coverage, "seed": seed}, **inputs)
    told: dict[str, Any] = read_json(folder / KEPT)
    return told


def test_rows_are_of_the_trusted_half_and_do_not_hang_on_the_files_order(tmp_path: Path) -> None:
    states = np.random.default_rng(0).normal(size=(40, 3, 6)).astype(np.float32)
    told = kept(tmp_path / "a", 0.25, pool(tmp_path / "one", states))
    assert (len(told["ids"]), told["wanted"], told["shortfall"]) == (10, 10, 0)
    assert set(told["ids"]) < set(IDS[20:])
    assert told["ids"] != IDS[30:], "else it chose by score"
    order = np.random.default_rng(1).permutation(40).tolist()
    assert kept(tmp_path / "b", 0.25, pool(tmp_path / "other", states, order=order)) == told


@pytest.mark.parametrize("coverage", [0.5, 0.7])
def test_from_a_half_on_it_keeps_what_top_keeps(coverage: float, tmp_path: Path) -> None:
    states = np.random.default_rng(0).normal(size=(40, 1, 6)).astype(np.float32)
    told = kept(tmp_path / "out", coverage, pool(tmp_path / "in", states))
    assert told["ids"] == top_ids(Scores.of(IDS, np.arange(40.0)), len(told["ids"]), 4)


def test_of_rows_that_are_all_alike_the_hash_of_the_id_chooses(tmp_path: Path) -> None:
    inputs = pool(tmp_path / "in", np.ones((40, 1, 6), dtype=np.float32))
    one, other = (kept(tmp_path / str(seed), 0.2, inputs, seed)["ids"] for seed in (1, 2))
    assert one != other and set(one + other) <= set(IDS[20:])


@pytest.mark.slow
def test_an_arm_by_it_goes_from_plan_to_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry, shared = toy_registry(monkeypatch), tmp_path_factory.getbasetemp()
    suite = toy_suite(shared / "toy-models", coverage=0.4, selections=("top", "diverse"))
    planned = plan(suite, registry, trust=["w2s-bench-toy/prompt_hash"])
    arms = [cell for cell in planned.cells if cell.arm.ref.selection == "diverse"]
    assert {cell.task.domain.kind for cell in arms} == {"choice", "generate"}
    store, chosen = Store(shared / "toy-store"), [own for cell in arms for own in cell.stages]
    whole = [cell for cell in planned.cells if cell.task.domain.short_name.endswith("largest")]
    targets = [stage for cell in whole for stage in cell.targets()] + [own.kept for own in chosen if own.kept]
    results = Results(run_inline(targets, store, registry), store)
    for cell in arms:
        for graph, own in zip(cell.graphs, cell.stages, strict=True):
            assert own.kept is not None and own.scores is not None
            assert set(own.kept.inputs) == {"scores", "embeddings", "labels"}, "gold is not among them"
            half = top_ids(Scores.read(results.folder(own.scores)), 50, graph.stream("ties"))
            weights = Kept.read(results.folder(own.kept)).weights
            assert len(weights) == 40 and set(weights) < set(half)
    made = [cell_of(cell, results) for cell in whole]
    for cell in made:
        assert all(seed.error is None for seed in cell.body.seeds)
        cell.write(tmp_path / "toy")
    (tmp_path / "toy" / "suite.yaml").write_text(planned.suite.to_yaml())
    board = write_leaderboard(tmp_path / "toy")
    assert [row.selection for row in board.other_selections] == ["diverse"]
    assert "`diverse` keeps, of the half" in (tmp_path / "toy" / "README.md").read_text()
