"""Cross-fitted readers: no student reads a label that it was trained on, or whose gold it has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from support import run_inline, run_stage, toy_registry, toy_suite
from w2s_bench.errors import PluginError, W2SBenchError
from w2s_bench.executors import Done, Outcome
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.crossfit import FOLDS, folds_of, join_readings
from w2s_bench.protocol.evidence.readings.base import to_arrays
from w2s_bench.protocol.evidence.readings.dynamics import COLUMNS, grid, of_options, of_tokens
from w2s_bench.protocol.files import ITEMS, PREDICTIONS, READING, ROWS
from w2s_bench.protocol.needs import planned_needs
from w2s_bench.record import read_arrays, read_records, write_arrays, write_records
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage
from w2s_bench.types import Item, Need, Prediction, TrainingRow

TRUST = ["crossfit_student", "crossfit_student_gold", "crossfit_stack:of=verifier_cv+student_cv", "aum:points=2"]


def item(name: int, group: str) -> Item:
    return Item(f"i{name}", group, "k", "s", "p", None)


def test_folds_keep_groups_whole_and_are_of_like_size() -> None:
    items = [item(n, f"g{n // 3}") for n in range(60)] + [item(n, f"alone{n}") for n in range(60, 64)]
    folds = folds_of(items, FOLDS)
    assert folds == folds_of(items[::-1], FOLDS), "the order of items means nothing"
    assert len({folds[f"i{n}"] for n in range(3)}) == 1
    assert all(folds[f"i{3 * g}"] == folds[f"i{3 * g + 2}"] for g in range(20))
    sizes = Counter(folds.values())
    assert set(sizes) == set(range(FOLDS)) and max(sizes.values()) - min(sizes.values()) <= 1
    assert set(folds_of([item(1, "a"), item(2, "b")], FOLDS).values()) == {0, 1}
    with pytest.raises(W2SBenchError, match="2 items of 1 group cannot be cut into folds"):
        folds_of([item(1, "a"), item(2, "a")], FOLDS)


@pytest.mark.parametrize("form", ["array", "tokens", "option_array"])
def test_readings_of_folds_are_joined_by_the_labels(form: str, tmp_path: Path) -> None:
    """Whatever the order within folds; a fold may be empty."""
    whole, parts = ["c", "a", "d", "b"], [["d", "a"], [], ["b", "c"]]

    def value(name: str) -> np.ndarray:  # type: ignore[type-arg]
        size = 2 if form == "array" else 1 + ord(name) % 3
        return np.full((size, 2) if form == "option_array" else size, float(ord(name)))

    inputs = {}
    for place, ids in enumerate([whole, *parts]):
        folder = inputs["labels" if place == 0 else f"labels {place}"] = tmp_path / f"labels {place}"
        folder.mkdir()
        write_records(folder / PREDICTIONS, [Prediction(name, "x", "x", True) for name in ids])
    for place, ids in enumerate(parts):
        folder = inputs["part" if place == 0 else f"part {place}"] = tmp_path / f"part {place}"
        folder.mkdir()
        rows = [value(name) for name in ids]
        write_arrays(folder / READING, to_arrays(form, np.array(rows) if form == "array" else rows))  # type: ignore[arg-type]
    joined = run_stage(join_readings, tmp_path / "joined", {"form": form}, **inputs)
    expected = to_arrays(form, np.array([value(name) for name in whole]) if form == "array" else [*map(value, whole)])  # type: ignore[arg-type]
    found = read_arrays(joined / READING)
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


Ran = tuple[Plan, Mapping[str, Outcome]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The toy choice domain, scored by functions of every cross-fitted reader and of the dynamics."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        registry = toy_registry(monkeypatch)
        planned = plan(
            toy_suite(tmp_path_factory.mktemp("models"), seeds=1), registry, domains=["largest"], trust=TRUST
        )
        scored = [one.scores for cell in planned.cells for one in cell.stages if one.scores]
        return planned, run_inline(scored, Store(tmp_path_factory.mktemp("store")), registry)


def inputs_of(ran: Ran, name: str) -> Mapping[str, Stage]:
    (cell,) = (cell for cell in ran[0].cells if cell.arm.ref.trust_function == f"w2s-bench/{name}")
    scores = cell.stages[0].scores
    assert scores is not None and isinstance(ran[1][scores.node], Done), ran[1][scores.node]
    return scores.inputs


def folder(ran: Ran, stage: Stage) -> Path:
    outcome = ran[1][stage.node]
    assert isinstance(outcome, Done), outcome.reason
    return outcome.result.path


def ids_of(ran: Ran, stage: Stage, file: str = PREDICTIONS) -> set[str]:
    kind = {PREDICTIONS: Prediction, ROWS: TrainingRow, ITEMS: Item}[file]
    return {record.id for record in read_records(folder(ran, stage) / file, kind)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "need", "learned"),
    [
        ("crossfit_student", "pool:student_cv.choice_probs", {"transfer"}),
        ("crossfit_student_gold", "pool:student_gold_cv.choice_probs", {"transfer", "trust"}),
        ("crossfit_student_gold", "trust:student_gold_cv.choice_probs", {"transfer", "trust"}),
        ("crossfit_stack", "trust:verifier_cv.choice_probs", {"trust"}),
        ("crossfit_stack", "trust:student_cv.choice_probs", {"transfer"}),
    ],
)
def test_no_student_reads_what_it_was_trained_on(ran: Ran, name: str, need: str, learned: set[str]) -> None:
    joined = inputs_of(ran, name)[need]
    graph = ran[0].cells[0].graphs[0]
    split = "trust" if need.startswith("trust") else "transfer"
    split_ids = {where: ids_of(ran, graph.subset(where), ITEMS) for where in ("trust", "transfer")}
    seen: set[str] = set()
    parts = [stage for key, stage in joined.inputs.items() if key.startswith("part")]
    assert len(parts) == FOLDS
    for part in parts:
        read = ids_of(ran, part.inputs["labels"])
        trained_on = ids_of(ran, part.inputs["weights"].inputs["rows"], ROWS)
        assert read and not read & seen and not read & trained_on
        assert {where for where, ids in split_ids.items() if ids & trained_on} == learned
        for where in learned:  # a fold of a split is left out, and nothing else
            missing = split_ids[where] - trained_on
            assert len(missing) <= -(-len(split_ids[where]) // FOLDS) + 3 and (where != split or missing == read)
        seen |= read
    assert seen == split_ids[split]


@pytest.mark.slow
def test_of_the_pool_the_verifier_without_a_fold_is_the_verifier(ran: Ran) -> None:
    read = inputs_of(ran, "crossfit_stack")["pool:verifier_cv.choice_probs"]
    graph = ran[0].cells[0].graphs[0]
    assert read.name == "read" and read.inputs["weights"].node == graph.student(graph.trust_gold_rows, "x").weights.node  # type: ignore[union-attr]


@pytest.mark.slow
def test_dynamics_are_of_students_trained_longer_and_longer_on_every_weak_label(ran: Ran) -> None:
    read = inputs_of(ran, "aum")["pool:student.dynamics[points=2]"]
    points = [read.inputs["point"], read.inputs["point 1"]]
    assert [one.inputs["weights"].params["steps"] for one in points] == [3, 6]
    rows = {one.inputs["weights"].inputs["rows"].node for one in points}
    assert len(rows) == 1
    told = read_records(folder(ran, points[0].inputs["weights"].inputs["rows"]) / ROWS, TrainingRow)
    assert len(told) == len({row.id for row in told}) == 24 + 100, "each once, of trust set and pool"
    labels = read_records(folder(ran, read.inputs["labels"]) / PREDICTIONS, Prediction)
    found = read_arrays(folder(ran, read) / READING)["states"]
    assert found.shape == (100, 2, len(COLUMNS))
    for point, stage in enumerate(points):
        scores = read_arrays(folder(ran, stage) / READING)
        for row, label in enumerate(labels[:5]):
            own = scores["values"][scores["offsets"][row] : scores["offsets"][row + 1]]
            p = np.exp(own) / np.exp(own).sum()
            assert label.index is not None
            one_hot = np.eye(len(own))[label.index]
            margin = own[label.index] - np.delete(own, label.index).max()
            expected = [margin, np.log(p[label.index]), float(margin > 0), np.linalg.norm(p - one_hot)]
            np.testing.assert_allclose(found[row, point], expected, rtol=1e-6, atol=1e-9)


def test_dynamics_by_hand() -> None:
    assert grid(96, 6) == [3, 6, 12, 24, 48, 96] and grid(4, 4) == [1, 1, 2, 4]
    np.testing.assert_allclose(of_options(np.log([0.5, 0.5]), 1), [0, np.log(0.5), 0.5, np.sqrt(0.5)])
    np.testing.assert_allclose(of_options(np.array([3.0]), 0), [0, 0, 1, 0])
    np.testing.assert_allclose(
        of_tokens(np.log([0.8, 0.25])), [(np.log(4) - np.log(3)) / 2, np.log(0.2) / 2, 0.5, 0.475]
    )
    assert np.isfinite(of_tokens(np.zeros(2))).all() and list(of_tokens(np.zeros(0))) == [0, 0, 0, 0]


def test_dynamics_are_of_the_student_alone() -> None:
    with pytest.raises(PluginError, match=r"who: need teacher\.dynamics: dynamics is read of the student alone"):
        planned_needs(Registry.of(()), [Need("teacher", "dynamics")], "who")
    with pytest.raises(PluginError, match="points must be a whole number from 2 to 20, got 1"):
        planned_needs(Registry.of(()), [Need("student", "dynamics", points=1)], "who")


def test_gold_readers_are_no_evidence_for_who_learns_from_no_gold() -> None:
    from w2s_bench.plugins.checks import check_trust_function
    from w2s_bench_baselines.cross_fitted import CrossfitStudentGold

    function = CrossfitStudentGold()
    function.supervision = "none"  # type: ignore[misc]
    with pytest.raises(PluginError, match="the student_gold_cv is trained on the trust set's gold"):
        check_trust_function("it", function)
