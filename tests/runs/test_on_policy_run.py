"""On-policy objectives of a suite: which arms they have, what their students are told, what is refused, and that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import run_inline, toy_model, toy_registry, toy_suite
from w2s_bench.errors import SuiteError
from w2s_bench.executors import Failed
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.suite import Suite

pytestmark = pytest.mark.slow

TRUST = ["w2s-bench-toy/prompt_hash"]
ALL = ("opd", "trb", "tropd", "w2s_opd")


def planned(models: Path, monkeypatch: Any, *objectives: str, domain: str = "", **more: Any) -> Plan:
    changes: dict[str, Any] = {"objectives": objectives, "selections": ("top", "weighted"), "seeds": 1, **more}
    return plan(
        toy_suite(models, **changes), toy_registry(monkeypatch), trust=TRUST, domains=[domain] if domain else []
    )


@pytest.fixture
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "toy-models"


def test_each_has_arms_for_all_prompts_trusted_ones_and_weighted_ones(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, usual = planned(models, monkeypatch, *ALL, "gce"), planned(models, monkeypatch, "gce")
    assert {s.node for s in usual.stages()} <= {s.node for s in made.stages()}, "what was there stays what it was"
    arms: dict[str, set[str]] = {"largest": set(), "sums": set()}
    for cell in made.cells:
        if cell.arm.ref.is_other_objective:
            arms[cell.task.domain.name.partition("/")[2]].add(cell.arm.ref.name)
    rows = ("naive", *TRUST, f"weighted:{TRUST[0]}")
    generated = {f"{objective}:{arm}" for objective in ALL for arm in rows}
    gce = {f"gce:{arm}" for arm in rows[:2]}
    assert arms["sums"] == generated | gce
    assert arms["largest"] == {arm for arm in generated if not arm.startswith("trb:")} | gce, "of one choice it is opd"


def test_students_are_told_by_models_and_gold_is_behind_the_teacher_alone(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cell in planned(models, monkeypatch, *ALL).cells:
        word, (stages,) = cell.arm.ref.objective, cell.stages
        trained = stages.student.weights
        if word is None or trained is None:
            continue
        seen = {one.params["split"] for one in walk([stages.student.predictions]) if one.name == "gold"}
        assert seen == {"weak_train"}, "no gold but what the teacher learned from"
        assert not any(one.name == "grade" for one in walk([stages.student.predictions])), "nothing is graded"
        needs = {"teacher", "student", "untuned_teacher"} if word == "w2s_opd" else {"teacher"}
        if cell.task.domain.kind == "choice":
            assert trained.name == "train" and set(trained.inputs) == {"rows", *needs}
            continue
        assert trained.name == "train_on_policy" and set(trained.inputs) == {"rows", "subset", "teacher"}
        assert set(trained.params["asked"]) == needs and trained.params["objective"] == word
        assert trained.inputs["teacher"].name == "train"
        assert trained.params["asked"].get("student", trained.params["model"]) == trained.params["model"]


def test_they_run_from_plan_to_page(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry = toy_registry(monkeypatch)
    made = planned(models, monkeypatch, "opd", "trb", "tropd", "w2s_opd", domain="sums")
    store = Store(tmp_path_factory.getbasetemp() / "toy-store")
    results = Results(run_inline(made.targets(), store, registry), store)
    cells = {cell.arm.ref.name: cell_of(cell, results) for cell in made.cells}
    students = set()
    for name, cell in cells.items():
        cell.write(tmp_path / "toy")
        assert not cell.body.failed or name == "oracle", (name, cell.body.failed)  # the toy teacher is right nowhere
        if cell.body.arm.objective:
            (own,), (plain,) = cell.body.seeds, cells[cell.body.arm.plain].body.seeds
            assert (own.kept, own.purity) == (plain.kept, plain.purity)
            assert own.digests.get("kept") == plain.digests.get("kept")
            students.add(own.digests["student"])
    assert len(students) == 12, "each row's weights, rows and objective make another student"
    (tmp_path / "toy" / "suite.yaml").write_text(made.suite.to_yaml())
    board = write_leaderboard(tmp_path / "toy")
    assert {(row.objective, row.of) for row in board.other_objectives} == {
        (objective, arm) for objective in ALL for arm in ("naive", TRUST[0], f"weighted:{TRUST[0]}")
    }


def test_options_are_told_by_the_teachers_predictions(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry = toy_registry(monkeypatch)
    made = planned(models, monkeypatch, "opd", "tropd", "w2s_opd", domain="largest")
    (targets,) = ([c.stages[0].student.predictions for c in made.cells if c.arm.ref.plain == "naive"],)
    store = Store(tmp_path_factory.getbasetemp() / "toy-store")
    outcomes = run_inline(targets, store, registry)
    assert not [one for one in outcomes.values() if isinstance(one, Failed)]
    trained = {c.stages[0].student.weights.node for c in made.cells if c.arm.ref.plain == "naive"}  # type: ignore[union-attr]
    assert len(trained) == 4


def test_a_teacher_of_other_words_fails_these_students_alone(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    other = toy_model(tmp_path / "other", width=16, layers=1, seed=5)
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace('"largest"', '"biggest"'))
    suite = toy_suite(models, seeds=1, objectives=["opd"]).model_dump(mode="json")
    suite["domains"] = suite["domains"][1:]
    suite["domains"][0]["teacher"]["model"] = str(other)
    made = plan(Suite.model_validate(suite), registry, trust=TRUST)
    targets = {c.arm.ref.name: c.stages[0].student.weights for c in made.cells if c.arm.ref.plain == "naive"}
    outcomes = run_inline([one for one in targets.values() if one], Store(tmp_path / "store"), registry)
    ended = {name: outcomes[one.node] for name, one in targets.items() if one}
    assert not isinstance(ended["naive"], Failed)
    failed = ended["opd:naive"]
    assert isinstance(failed, Failed) and "the tokenizers of student and teacher" in failed.reason


@pytest.mark.parametrize(
    ("objective", "changed", "message"),
    [
        (
            "w2s_opd",
            {"teacher": {"recipe": "none"}},
            r"'w2s_opd' needs what training changed in the teacher.*recipe 'none'",
        ),
        (
            "opd",
            {"teacher": {"source": "noisy", "rate": 0.2}},
            r"'opd' needs the teacher's distribution, and the labels of dom",
        ),
        (
            "",
            {"student": {"objective": "opd"}},
            r"'opd' of a model of domain .* learns from its teacher's distributions alone",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch, objective: str, changed: Any, message: str
) -> None:
    suite = toy_suite(models, seeds=1, objectives=[objective] if objective else []).model_dump(mode="json")
    for role, keys in changed.items():
        for domain in suite["domains"]:
            if "source" in keys:
                domain[role] = keys
            elif keys.get("recipe") == "none":
                domain[role] = {"model": domain[role]["model"], **keys}
            else:
                domain[role] |= keys
    with pytest.raises(SuiteError, match=message):
        plan(Suite.model_validate(suite), toy_registry(monkeypatch), trust=[])


def test_a_blend_has_no_arm_where_options_are_chosen(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = toy_suite(models, objectives=["trb"])
    suite = suite.model_copy(update={"domains": suite.domains[:1]})
    with pytest.raises(SuiteError, match=r"'trb' is of answers that students write, .* over which it is 'opd'"):
        plan(suite, toy_registry(monkeypatch), trust=[])
