"""Rows and what is done with them: weights from selections, objectives from suites, and today's files as they were."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from other_objectives import Tokens
from support import run_inline, run_stage, toy_registry, toy_suite
from w2s_bench.errors import SuiteError, UnknownNameError, W2SBenchError
from w2s_bench.executors import Done, Outcome
from w2s_bench.models.weights import WEIGHTS
from w2s_bench.protocol import objectives, training
from w2s_bench.protocol.arms import ArmStages
from w2s_bench.protocol.files import FORMAT, ITEMS, KEPT, LOSSES, PREDICTIONS, ROWS
from w2s_bench.protocol.kept import Kept
from w2s_bench.record import digest_of, read_json, read_records, write_json, write_records
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, StageContext, stage, walk
from w2s_bench.suite import Suite
from w2s_bench.suite_training import Training
from w2s_bench.types import Item, Prediction, RecipeName, TrainingRow

OTHERS = {"tokens": Tokens}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def planned_with(models: Path, registry: Any, domain: str = "largest", **student: Any) -> Plan:
    suite = toy_suite(models, seeds=1).model_dump(mode="json")
    suite["domains"] = [d for d in suite["domains"] if d["name"].endswith(f"/{domain}")]
    suite["domains"][0]["student"].update(student)
    return plan(Suite.model_validate(suite), registry, trust=["confidence"])


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "OBJECTIVES", {**objectives.OBJECTIVES, **OTHERS})


def folder_of(outcomes: Any, stage: Stage | None) -> Path:
    assert stage is not None
    outcome: Outcome = outcomes[stage.node]
    assert isinstance(outcome, Done), outcome
    return outcome.result.path


# Weights


def test_kept_rows_of_one_weight_are_written_as_ever(tmp_path: Path) -> None:
    Kept.whole(["a", "b"], 3).write(tmp_path)
    assert (tmp_path / KEPT).read_text() == '{\n "ids": [\n  "a",\n  "b"\n ],\n "shortfall": 1,\n "wanted": 3\n}\n'
    assert Kept.read(tmp_path) == Kept({"a": 1.0, "b": 1.0}, 3)
    again = tmp_path / "again"
    again.mkdir()
    Kept.weighted({"b": 1, "a": 1.0, "c": 0}, 3).write(again)
    assert (again / KEPT).read_bytes() == (tmp_path / KEPT).read_bytes()


def test_a_weight_of_nothing_drops_a_row_and_a_part_is_written(tmp_path: Path) -> None:
    Kept.weighted({"b": 0.25, "a": 1.0, "c": 0.0}, 2).write(tmp_path)
    assert read_json(tmp_path / KEPT) == {
        "ids": ["a", "b"],
        "shortfall": 0,
        "wanted": 2,
        "weights": {"a": 1.0, "b": 0.25},
    }
    assert Kept.read(tmp_path).weights == {"a": 1.0, "b": 0.25}


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -0.5])
def test_what_is_no_weight_is_named(weight: float) -> None:
    with pytest.raises(SuiteError, match=rf"row 'x' the weight {weight}; a finite number from 0 is expected"):
        Kept.weighted({"x": weight}, 1)


ROW = '{"choices":null,"completion":" a","ended":true,"id":"%s","index":null,"prompt":"q"%s}\n'


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"a": 1.0, "c": 1.0}, ROW % ("a", "") + ROW % ("c", "")),
        ({"a": 1.0, "c": 0.5, "b": 0.0}, ROW % ("a", "") + ROW % ("c", ',"weight":0.5')),
    ],
)
def test_rows_of_weight_one_are_the_bytes_they_were(tmp_path: Path, weights: dict[str, float], expected: str) -> None:
    """Students are shared by the content of their rows."""
    for name in ("subset", "labels", "kept"):
        (tmp_path / name).mkdir()
    write_records(tmp_path / "subset" / ITEMS, [Item(i, "g", i, "all", "q", None) for i in "abc"])
    write_json(tmp_path / "subset" / FORMAT, {"kind": "generate", "until": [], "delimiter": " "})
    write_records(tmp_path / "labels" / PREDICTIONS, [Prediction(i, "a", " a", True) for i in "cab"])
    Kept.weighted(weights, 2).write(tmp_path / "kept")
    inputs = {name: tmp_path / name for name in ("subset", "labels", "kept")}
    out = run_stage(training.make_weak_rows, tmp_path / "rows", {}, **inputs)
    assert (out / ROWS).read_text() == expected
    assert [row.weight for row in read_records(out / ROWS, TrainingRow)] == [weights["a"], weights["c"]]


@stage("weighted_for_tests", version=1)
def weigh(context: StageContext) -> None:
    """Every third label is dropped, every third has a quarter of the weight of the rest."""
    ids = sorted(p.id for p in read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    weights = {row: (0.0, 0.25, 1.0)[place % 3] * context.params["scale"] for place, row in enumerate(ids)}
    Kept.weighted(weights, len(ids)).write(context.out)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "head"])
def test_students_are_trained_by_weight(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: RecipeName,
) -> None:
    """As many steps whatever the weights (a head: no more); proportions matter, and not the scale."""
    registry = toy_registry(monkeypatch)
    graph = planned_with(models, registry, recipe=recipe).cells[0].graphs[0]

    def student(scale: float | None) -> Stage:
        labels, subset = graph.weak_labels("transfer"), graph.subset("transfer")
        kept = Stage(weigh, {"scale": scale}, {"labels": labels}) if scale else None
        made = graph.student(training.weak_rows(subset, labels, kept), "weighted")
        assert made.weights is not None
        return made.weights

    targets = {scale: student(scale) for scale in (None, 1.0, 8.0)}
    outcomes = run_inline(list(targets.values()), Store(tmp_path / "store"), registry)
    weights = {scale: (folder_of(outcomes, made) / WEIGHTS).read_bytes() for scale, made in targets.items()}
    assert weights[1.0] == weights[8.0] != weights[None]
    steps = graph.task.spec.student.steps
    losses = [read_json(folder_of(outcomes, made) / LOSSES) for made in targets.values()]
    # A head ends where it has converged; its losses begin with the untuned model's.
    assert all(1 < len(each) <= steps + 1 if recipe == "head" else len(each) == steps for each in losses)
    rows = read_records(folder_of(outcomes, targets[1.0].inputs["rows"]) / ROWS, TrainingRow)
    worth = sum(row.weight for row in rows) ** 2 / sum(row.weight**2 for row in rows)
    assert len(rows) == 66 and {row.weight for row in rows} == {0.25, 1.0}
    assert capsys.readouterr().out.count(f"66 rows of unequal weights, worth {worth:.1f} of one weight") == 2


# Objectives


def test_the_usual_objective_is_no_part_of_what_a_stage_or_suite_is(models: Path, monkeypatch: Any) -> None:
    registry = toy_registry(monkeypatch)
    plain, named = (planned_with(models, registry, **more) for more in ({}, {"objective": "xent"}))
    assert named.suite.digest == plain.suite.digest
    assert [s.node for s in named.stages()] == [s.node for s in plain.stages()]
    assert not any("objective" in s.params for s in plain.stages())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "head"])
@pytest.mark.parametrize("objective", ["gce:q=0.5", "logconf", "soft", "product"])
def test_any_objective_trains_any_student(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: None, recipe: RecipeName, objective: str
) -> None:
    """What it needs is in the graph: the teacher's labels, the untuned student's answers; gold has no teacher."""
    registry = toy_registry(monkeypatch)
    planned = planned_with(models, registry, recipe=recipe, objective=objective)
    assert planned.suite.digest != planned_with(models, registry, recipe=recipe).suite.digest
    students = {cell.arm.ref.name: cell.stages[0].student.weights for cell in planned.cells}
    needs = set(objectives.objective_of(objective).needs)
    for name, made in students.items():
        if made is None or name == "weak":
            continue
        assert made.params["objective"] == objective
        of_gold = name in ("ceiling", "gold_trust_set", "gold_random")
        assert set(made.inputs) & {"teacher", "student"} == needs - ({"teacher"} if of_gold else set()), name
    targets = [made for name in ("naive", "ceiling") if (made := students[name])]
    outcomes = run_inline(targets, Store(tmp_path / "store"), registry)
    usual = planned_with(models, registry, recipe=recipe)
    (plain,) = (cell.stages[0].student.weights for cell in usual.cells if cell.arm.ref.name == "naive")
    assert plain is not None
    outcomes = {**outcomes, **run_inline([plain], Store(tmp_path / "store"), registry)}
    written = [(folder_of(outcomes, made) / WEIGHTS).read_bytes() for made in (*targets, plain)]
    assert len(set(written)) == 3


def test_a_student_told_the_teachers_distribution_sees_no_more_gold(
    models: Path, monkeypatch: pytest.MonkeyPatch, others: None
) -> None:
    planned = planned_with(models, toy_registry(monkeypatch), objective="product")
    (naive,) = (cell for cell in planned.cells if cell.arm.ref.name == "naive")
    seen = {one.params["split"] for one in walk([naive.stages[0].student.predictions]) if one.name == "gold"}
    assert seen == {"weak_train"}


@pytest.mark.parametrize(("objective", "told"), [("early", True), ("xent", False)])
def test_a_stage_that_stops_early_knows_the_groups_of_all_that_it_trains_on(
    models: Path, monkeypatch: pytest.MonkeyPatch, objective: str, told: bool
) -> None:
    """Others have no more inputs than they had; rows of several splits have the items of each."""
    planned = planned_with(models, toy_registry(monkeypatch), objective=objective)
    (cell,) = (cell for cell in planned.cells if cell.arm.ref.name == "naive_plus_gold")
    weights = cell.stages[0].student.predictions.inputs["weights"]
    names = [name for name in weights.inputs if name.startswith("subset")]
    assert names == (["subset", "subset 1"] if told else [])
    assert {weights.inputs[name].params["split"] for name in names} == ({"transfer", "trust"} if told else set())


def test_groups_are_those_of_the_items_in_every_split(tmp_path: Path) -> None:
    for name, ids in (("subset", "ab"), ("subset 1", "c")):
        (tmp_path / name).mkdir()
        write_records(tmp_path / name / ITEMS, [Item(i, f"of {i}", i, "all", "q", None) for i in ids])
    inputs = {name: tmp_path / name for name in ("subset", "subset 1")}
    context: Any = StageContext({}, inputs, tmp_path, None)  # type: ignore[arg-type]
    assert training.groups_in(context) == {"a": "of a", "b": "of b", "c": "of c"}


def test_probabilities_are_joined_by_id(tmp_path: Path) -> None:
    scores = {"b": (0.0, np.log(3.0)), "a": (0.0, 0.0)}
    (tmp_path / "teacher").mkdir()
    labels = [Prediction(i, "x", " x", False, 0, s) for i, s in scores.items()]
    write_records(tmp_path / "teacher" / PREDICTIONS, labels)
    rows = [TrainingRow(i, "q", " x", False, (" x", " y"), 0) for i in ("a", "b", "of the trust set")]
    context: Any = StageContext({}, {"teacher": tmp_path / "teacher"}, tmp_path, None)  # type: ignore[arg-type]
    probs = training.probs_of(context, rows, ("teacher", "student"))
    np.testing.assert_allclose(probs["teacher"][0], [0.5, 0.5])
    np.testing.assert_allclose(probs["teacher"][1], [0.25, 0.75])
    assert len(probs["teacher"][2]) == 0 and [len(row) for row in probs["student"]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("spec", "asked", "error", "message"),
    [
        ("xnet", {}, UnknownNameError, r"unknown objective 'xnet'; did you mean xent\? Known: .*xent"),
        ("xent:q=1", {}, W2SBenchError, r"objective 'xent'.*'q'"),
        ("gce:k=1", {}, UnknownNameError, r"unknown parameter of objective 'gce' 'k'.* Known: .*q"),
        ("gce:q=2", {}, SuiteError, r"objective 'gce:q=2' cannot be made: q is 2, expected .*; change its parameters"),
        (
            "soft",
            {"domain": "sums"},
            SuiteError,
            r"'soft' is over the options of an item; domain '.*sums' generates",
        ),
        (
            "early",
            {"recipe": "head"},
            SuiteError,
            r"'early' keeps a student of before the last step; recipe 'head' has",
        ),
        (
            "co_teaching",
            {"recipe": "head"},
            SuiteError,
            r"'co_teaching' trains two language models side by side; recipe 'head' trains none",
        ),
        ("tokens", {"recipe": "head"}, SuiteError, r"'tokens' is over tokens, recipe 'head' trains over options; take"),
    ],
)
def test_an_objective_that_cannot_be_is_refused_before_anything_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch, others: None, spec: str, asked: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        planned_with(models, toy_registry(monkeypatch), objective=spec, **asked)


def test_a_teacher_has_no_teacher(others: None) -> None:
    def refuse(objective: str) -> None:
        how = Training(model="m", steps=1, learning_rate=0.1, objective=objective)
        objectives.refuse_unfit(how, ("tokens", "options"), "d", "choice", teaches=True)

    with pytest.raises(
        SuiteError, match=r"'soft' needs distributions of teacher, and a teacher is trained on gold alone"
    ):
        refuse("soft")
    refuse("logconf")


def test_a_cell_says_what_unequal_weights_come_to(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of one weight are told by their ids alone."""
    registry = toy_registry(monkeypatch)
    cell = next(c for c in planned_with(models, registry).cells if c.arm.ref.name == "random")
    (graph,), (own,) = cell.graphs, cell.stages
    kept = Stage(weigh, {"scale": 1.0}, {"labels": graph.weak_labels(graph.pool)})
    rows = training.weak_rows(graph.subset(graph.pool), graph.weak_labels(graph.pool), kept)
    weighted = replace(cell, stages=(ArmStages(graph.student(rows, "weighted"), rows, kept),))
    store = Store(tmp_path / "store")
    outcomes = run_inline([*cell.targets(), *weighted.targets(), *filter(None, [own.kept])], store, registry)
    (plain,), (other,) = (cell_of(one, Results(outcomes, store)).body.seeds for one in (cell, weighted))
    assert plain.error is None and other.error is None
    assert "effective_share" not in plain.diagnostics
    assert plain.digests["kept"] == digest_of(sorted(Kept.read(folder_of(outcomes, own.kept)).weights))
    assert other.kept == 66 and other.shortfall == 34
    assert other.diagnostics["effective_share"] == pytest.approx((33 * 1.25) ** 2 / (33 * 1.0625) / 66)
    assert other.digests["kept"] == digest_of(Kept.read(folder_of(outcomes, kept)).weights)


def test_rows_of_several_splits_have_a_like_share(tmp_path: Path) -> None:
    def part(name: str, count: int) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rows = [TrainingRow(f"{name}{i}", "p", "c", False, None, None) for i in range(count)]
        write_records(folder / ROWS, rows)
        return folder

    folders = {"part": part("weak", 11), "part 1": part("gold", 4)}
    out = run_stage(training.join_rows, tmp_path / "out", {"share": "equal"}, **folders)
    ids = [row.id for row in read_records(out / ROWS, TrainingRow)]
    assert ids == sorted(ids)
    assert Counter(ids) == {**{f"weak{i}": 1 for i in range(11)}, **{f"gold{i}": 3 for i in range(4)}}
    with pytest.raises(SuiteError, match="stands in two sets of rows that are joined"):
        run_stage(training.join_rows, tmp_path / "twice", {}, **{"part": folders["part"], "part 1": folders["part"]})
