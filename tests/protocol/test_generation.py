"""Generations: a student of any recipe teaches the next, which may have another student and another pool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support import run_inline, toy_registry, toy_suite
from w2s_bench.executors import Done
from w2s_bench.protocol.arms import ArmStages
from w2s_bench.protocol.files import ITEMS, PREDICTIONS, ROWS
from w2s_bench.protocol.generation import Generation, Teacher
from w2s_bench.protocol.planned import PlannedTask
from w2s_bench.protocol.training import parts_of
from w2s_bench.record import read_records, read_rows
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite
from w2s_bench.types import Item, Prediction, RecipeName

TRUST = ["confidence", "student_probe"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def planned_with(models: Path, registry: Any, recipe: RecipeName, domain: str = "largest") -> Plan:
    """One domain, one seed; the student tuned by `recipe`."""
    suite = toy_suite(models, seeds=1).model_dump(mode="json")
    suite["domains"] = [d for d in suite["domains"] if d["name"].endswith(f"/{domain}")]
    suite["domains"][0]["student"]["recipe"] = recipe
    return plan(Suite.model_validate(suite), registry, trust=TRUST)


def other_student(task: PlannedTask) -> PlannedTask:
    """The task with the teacher's model as its student, fully tuned."""
    how = task.spec.student.model_copy(update={"model": task.teacher.name, "recipe": "full"})
    model = replace(task.student, name=task.teacher.name, fingerprint=task.teacher.fingerprint, recipe="full")
    return replace(task, spec=task.spec.model_copy(update={"student": how}), student=model)


def next_of(first: Generation, arm: ArmStages, **changes: Any) -> Generation:
    teacher = Teacher(first.task.student, arm.student.weights)
    return replace(first, index=first.index + 1, taught_by=teacher, **changes)


def gold_behind(stage: Stage | None) -> set[str]:
    return {one.params["split"] for one in walk([stage] if stage else []) if one.name == "gold"}


def test_what_every_arm_asks_of_a_graph_is_built_once_and_belongs_to_that_graph(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = planned_with(models, toy_registry(monkeypatch), "full").cells[0].graphs[0]
    same, other = replace(graph), replace(graph, seed=1)
    asked = ("whole", "subset", "gold", "training_gold", "weak_labels", "label_grades", "training_grades")
    for name in asked:
        stage: Stage = getattr(graph, name)("trust")
        assert getattr(graph, name)("trust") is stage
        assert stage.node != getattr(graph, name)("transfer").node
        assert stage.node == getattr(same, name)("trust").node and stage is not getattr(same, name)("trust")
        assert stage.node != getattr(other, name)("trust").node
    assert graph == same and graph.stream("student") == same.stream("student") != graph.stream("teacher")


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "domain"), [("lora", "largest"), ("head", "largest"), ("full", "sums")])
def test_two_generations_by_hand(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: RecipeName, domain: str
) -> None:
    """Every arm of the second generation runs, on labels that the first one's student made of a fresh pool."""
    registry = toy_registry(monkeypatch)
    planned = planned_with(models, registry, recipe, domain)
    by_name = {cell.arm.ref.name: cell for cell in planned.cells}
    (first,) = by_name["naive"].graphs
    (taught,) = by_name["w2s-bench/confidence"].stages
    second = next_of(first, taught, task=other_student(first.task), pool="dev")
    idle = {"oracle"} if domain == "sums" else set()  # a toy teacher gets none of thirty sums right
    arms = {name: cell.arm.build(second) for name, cell in by_name.items() if name not in idle}
    outcomes = run_inline([stages.student.grades for stages in arms.values()], Store(tmp_path / "store"), registry)

    def folder(stage: Stage | None) -> Path:
        assert stage is not None
        outcome = outcomes[stage.node]
        assert isinstance(outcome, Done), outcome
        return outcome.result.path

    pool = {item.id for item in read_records(folder(second.subset("dev")) / ITEMS, Item)}
    labels = read_records(folder(second.weak_labels("dev")) / PREDICTIONS, Prediction)
    assert {label.id for label in labels} == pool
    completions = {label.id: label.completion for label in labels}
    for name, stages in arms.items():
        folder(stages.student.grades)
        if stages.rows is None or name == "gold_trust_set":
            continue
        # What comes from the trust set besides is gold of its own.
        weak, *_ = parts_of(stages.rows)
        rows = read_rows(folder(weak) / ROWS)
        assert rows and {row["id"] for row in rows} <= pool, name
        if name == "naive_plus_gold" or ("gold" not in name and name != "ceiling"):
            assert all(row["completion"] == completions[row["id"]] for row in rows), name
    assert second.weak_labels("test").node == taught.student.predictions.node, "what it answered is what it teaches"
    assert arms["weak"].student.weights is taught.student.weights


def test_a_generation_is_as_gold_blind_as_its_arms(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain of an arm sees the gold that the arm may see, however often it is repeated."""
    planned = planned_with(models, toy_registry(monkeypatch), "full")
    for cell in planned.cells:
        if cell.arm.ref.role != "trust_function":
            continue
        generation = cell.graphs[0]
        may = {"weak_train"} | ({"trust"} if cell.arm.ref.supervision == "trust_set" else set())
        for _ in range(3):
            generation = next_of(generation, cell.arm.build(generation))
            own = cell.arm.build(generation)
            for stage in (own.scores, own.kept, own.rows, own.student.weights, own.student.predictions):
                assert gold_behind(stage) <= may, f"{cell.row}, generation {generation.index}"


def test_generations_share_items_and_nothing_that_is_drawn(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = planned_with(models, toy_registry(monkeypatch), "full")
    cell = next(cell for cell in planned.cells if cell.arm.ref.name == "random")
    first, own = cell.graphs[0], cell.stages[0]
    second = next_of(first, own)
    again = cell.arm.build(second)
    assert second.subset("transfer").node == first.subset("transfer").node
    assert second.stream("student") != first.stream("student")
    assert own.kept is not None and again.kept is not None
    assert own.kept.params["seed"] != again.kept.params["seed"]
    assert "generation 2" in second.label("x") and "generation" not in first.label("x")


def test_a_cell_names_who_taught(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = planned_with(models, toy_registry(monkeypatch), "full")
    cell = next(cell for cell in planned.cells if cell.arm.ref.name == "naive")
    later = replace(cell, graphs=tuple(next_of(g, s) for g, s in zip(cell.graphs, cell.stages, strict=True)))
    assert cell.teacher.name == cell.task.teacher.name
    assert later.teacher == cell.student


def test_a_later_generation_without_a_teacher_is_none(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = planned_with(models, toy_registry(monkeypatch), "full").cells[0].graphs[0]
    with pytest.raises(ValueError, match="generation 2 taught by None"):
        replace(first, index=2)
