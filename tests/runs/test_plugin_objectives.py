"""Objectives of plugins: named, planned in processes of their own, trained by on weak labels, and at fault alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from local_run import result_of
from local_run import run as run_locally
from support import TOY, run_inline, toy_registry, toy_suite
from w2s_bench.errors import ObjectiveError, PluginError, SuiteError, UnknownNameError
from w2s_bench.executors import Failed
from w2s_bench.executors.local.hosts import Host, host_of
from w2s_bench.models.guarded import guarded
from w2s_bench.models.objectives import XENT, Step, Targets
from w2s_bench.plugins.checks import check_objective, raised_at
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.objectives import planned_objective
from w2s_bench.results.against_suite import against_suite
from w2s_bench.results.references import PluginRef
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.objectives_page import objective_rows
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite

FOCAL, MIXED = "w2s-bench-toy/focal:gamma=1.0", "w2s-bench-toy/mixed"
FAULTY = "w2s-bench-toy/faulty:fault={}"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def planned_by(models: Path, registry: Registry, objectives: Iterable[str], **student: Any) -> Plan:
    content = toy_suite(models, seeds=1, objectives=list(objectives)).model_dump(mode="json")
    content["domains"] = content["domains"][:1]
    content["domains"][0]["student"].update(student)
    return plan(Suite.model_validate(content), registry, trust=[])


def weights_of(planned: Plan) -> dict[str, Stage]:
    """Arm → the stage of its student."""
    made = {cell.arm.ref.name: cell.stages[0].student.weights for cell in planned.cells}
    return {name: stage for name, stage in made.items() if stage is not None}


def test_it_is_named_in_full_and_its_students_are_trained_where_its_code_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    planned = planned_by(models, registry, ["focal:gamma=1.", MIXED, "gce"])
    assert planned.suite.objectives == (FOCAL, MIXED, "gce")
    usual, made = weights_of(planned_by(models, registry, ["gce"])), weights_of(planned)
    assert {name: made[name].node for name in usual} == {name: one.node for name, one in usual.items()}
    assert {*made} - {*usual} == {"w2s-bench-toy/focal(gamma=1.0):naive", "w2s-bench-toy/mixed:naive"}
    for name, needs in (
        ("w2s-bench-toy/focal(gamma=1.0):naive", set()),
        ("w2s-bench-toy/mixed:naive", {"teacher", "student"}),
    ):
        stage, naive = made[name], usual["naive"]
        assert host_of(stage, lambda: frozenset({"w2s-bench-toy"})) == Host("objective", "w2s-bench-toy")
        assert host_of(naive, lambda: frozenset({"w2s-bench-toy"})) == Host()
        assert {*stage.inputs} == {"rows"} | needs
        assert stage.inputs["rows"].node == naive.inputs["rows"].node
        source = registry.source_digest(registry.resolve("objective", name.partition("(")[0].partition(":")[0]))
        assert stage.params["plugin"] == {"distribution": "w2s-bench-toy", "version": "1.0", "source": source}
        assert {**stage.params, "plugin": None, "objective": None} == {
            **naive.params,
            "plugin": None,
            "objective": None,
        }
        gold = {one.params["split"] for one in walk([stage]) if one.name == "gold"}
        assert gold == {"weak_train"}, "its labels are weak, and nothing else of it is gold"
    assert Host("objective", "w2s-bench-toy").loads_built_in, "it trains models of the harness"
    assert Host("objective", "w2s-bench-toy").loads_models


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "lora", "head"])
def test_it_trains_any_student(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    """Focal loss at γ = 0 is the cross-entropy, to round-off; a head by AdamW under no penalty."""
    registry, more = toy_registry(monkeypatch), {"ridge": []} if recipe == "head" else {}
    specs = ["w2s-bench-toy/focal:gamma=0", "w2s-bench-toy/confident", MIXED, "xent:over=options"]
    planned = planned_by(models, registry, specs, recipe=recipe, **more)
    results = Results(run_inline(planned.targets(), Store(tmp_path), registry), Store(tmp_path))
    cells = {cell.arm.ref.name: (cell, cell_of(cell, results)) for cell in planned.cells}
    losses = {}
    for spec in specs:
        name = f"{spec.partition(':')[0]}({spec.partition(':')[2]}):naive" if ":" in spec else f"{spec}:naive"
        planned_cell, cell = cells[name]
        assert not cell.body.failed, cell.body.failed
        assert not list(against_suite(cell, planned.suite))
        weights = planned_cell.stages[0].student.weights
        assert weights is not None
        losses[spec] = (results.folder(weights) / "losses.json").read_text()
        assert (cell.body.objective_plugin is None) == (spec == "xent:over=options")
    import json

    plain, focal = (json.loads(losses[spec]) for spec in ("xent:over=options", "w2s-bench-toy/focal:gamma=0"))
    assert focal == pytest.approx(plain, abs=2e-6)
    assert len(set(losses.values())) >= 3


def test_a_cell_whose_objective_came_from_elsewhere_is_not_believed(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    planned = planned_by(models, registry, [FOCAL, "gce"])
    chosen = [cell for cell in planned.cells if cell.arm.ref.objective]
    targets = [stage for cell in chosen for stage in cell.targets()]
    results = Results(run_inline(targets, Store(tmp_path), registry), Store(tmp_path))
    focal, gce = (cell_of(cell, results) for cell in chosen)
    assert focal.body.objective_plugin == PluginRef(
        distribution="w2s-bench-toy",
        version="1.0",
        source=chosen[0].stages[0].student.weights.params["plugin"]["source"],  # type: ignore[union-attr]
    )
    assert "objective_plugin" not in gce.body.model_dump(mode="json"), "cells of before stay as they are"
    acme = PluginRef(distribution="acme", version="1", source="0" * 64)

    def told(cell: Any, plugin: PluginRef | None) -> list[str]:
        body = cell.body.model_copy(update={"objective_plugin": plugin})
        return list(against_suite(cell.model_copy(update={"body": body}), planned.suite))

    assert told(focal, acme) == [f"objective {FOCAL!r} is said to come from 'acme'"]
    assert told(focal, None) == [f"objective {FOCAL!r} is said to come from nowhere"]
    assert told(gce, acme) == ["objective 'gce' is said to come from 'acme'"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", "step 1 of 6: loss raised KeyError: 'no loss today' (objectives.py:"),
        ("exits", "step 1 of 6: loss raised SystemExit: 3 ("),
        ("nan", "step 1 of 6: gave nan as its loss, of finite logits; keep logarithms and roots from 0"),
        ("number", "gave a float as its loss; give a torch tensor without dimensions"),
        ("vector", "gave a tensor of float32 of shape (3,) as its loss; give one number, the mean over the rows"),
        ("detached", "gave a loss that no longer hangs on the logits; compute it of them, without detach() or item()"),
        ("other", "gave a loss that hangs on something else than the logits"),
        ("slope", "gave a loss whose derivative is not finite, of finite logits"),
        ("draws", "drew from torch's global generator in loss; an objective draws nothing"),
    ],
)
def test_a_fault_costs_its_own_cells_and_says_which(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    registry = toy_registry(monkeypatch)
    made = weights_of(planned_by(models, registry, [FAULTY.format(fault)]))
    (name,) = (name for name in made if "faulty" in name)
    outcomes = run_inline([made[name]], Store(tmp_path), registry)
    failed = outcomes[made[name].node]
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("objective 'w2s-bench-toy/faulty', step 1 of 6: ") and said in failed.reason


def test_changed_source_is_not_stored_under_the_old_name(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    stage = weights_of(planned_by(models, registry, [FOCAL]))["w2s-bench-toy/focal(gamma=1.0):naive"]
    monkeypatch.setattr(Registry, "source_digest", lambda *_: "0" * 64)
    outcome = run_inline([stage], Store(tmp_path), registry)[stage.node]
    assert isinstance(outcome, Failed) and "changed on disk since the run began; run again" in outcome.reason


@pytest.mark.parametrize(
    ("objectives", "student", "error", "message"),
    [
        (["focal:gama=1"], {}, UnknownNameError, "unknown parameter of objective 'w2s-bench-toy/focal'"),
        (["focal:gamma=-1"], {}, PluginError, r"gamma is -1, expected a number from 0"),
        (["acme/none"], {}, UnknownNameError, "unknown objective 'acme/none'"),
        (["focol"], {}, UnknownNameError, "unknown objective 'focol'; did you mean w2s-bench-toy/focal"),
        ([], {"objective": FOCAL}, SuiteError, "is a plugin's; those stand under the suite's key `objectives` alone"),
        (["focal", "w2s_bench.toy/focal"], {}, SuiteError, "has w2s-bench-toy/focal in two ways"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch, objectives: list[str], student: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        planned_by(models, toy_registry(monkeypatch), objectives, **student)


def test_a_row_of_another_objective_needs_no_plugin_that_is_missing(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that other rows of a folder are verified where one plugin is not installed."""
    registry, suite = toy_registry(monkeypatch), toy_suite(models, seeds=1, objectives=["acme/none", "gce"])
    row = "w2s-bench-toy.largest/gce@naive"
    assert [cell.row for cell in plan(suite, registry, trust=[], rows=[row]).cells] == [row]
    with pytest.raises(UnknownNameError, match="unknown objective 'acme/none'"):
        plan(suite, registry, trust=[], rows=["w2s-bench-toy.largest/acme.none@naive"])


def test_two_plugins_share_no_process(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from w2s_bench.protocol.objectives import refuse_unfit
    from w2s_bench.suite_training import Training

    focal = planned_objective(FOCAL, toy_registry(monkeypatch))

    def refuse(model: str) -> None:
        how = Training(model=model, steps=1, learning_rate=0.1)
        refuse_unfit(how, ("options",), "d", "choice", teaches=False, objective=focal)

    with pytest.raises(SuiteError, match=r"and model 'acme/large' of acme are code of two plugins"):
        refuse("acme/large")
    for model in ("w2s-bench-toy/small", "tiny/knowledge-l", "local/x", "hf/acme/large@0"):
        refuse(model)


def test_it_is_listed_beside_the_harness_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_TOY_BROKEN", "unnamed")
    rows = {row["name"]: row for row in objective_rows(toy_registry(monkeypatch))}
    assert next(iter(rows)) == "xent" and rows["xent"]["from"].startswith("w2s-bench ")
    assert rows["w2s-bench-toy/focal"] == {
        "name": "w2s-bench-toy/focal",
        "choice": "options",
        "generated": "tokens",
        "needs": "nothing",
        "heads": "by AdamW",
        "summary": "Focal loss of the label: −(1 − p_y)ᵞ ln p_y.",
        "from": "w2s-bench-toy 1.0",
    }
    assert rows["w2s-bench-toy/mixed"]["needs"] == "teacher, student"
    assert "whose distributions are over an item's options" in rows["w2s-bench-toy/unnamed"]["summary"]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"over": ["tokens"]}, "over must be a tuple of 'tokens', 'options', each once, got ['tokens']"),
        ({"over": ()}, "over must be a tuple"),
        ({"over": ("options", "options")}, "each once"),
        ({"needs": ("verifier",)}, "needs must be a tuple of 'teacher', 'student'"),
        ({"over": ("tokens",), "needs": ("teacher",)}, "write over = ('options',), or leave needs empty"),
        ({"loss": lambda logits, targets: 0}, "cannot be called as loss(logits, targets, weights, step)"),
        ({"settled": lambda logits: 0}, "cannot be called as settled(logits, targets, step)"),
    ],
)
def test_a_broken_contract_is_named(attributes: dict[str, Any], said: str) -> None:
    sound: dict[str, Any] = {"over": ("options",), "needs": (), "loss": lambda logits, targets, weights, step: 0}

    class Made:
        pass

    made = Made()
    vars(made).update({**sound, **attributes})
    with pytest.raises(PluginError, match=r"^it: ") as raised:
        check_objective("it", made)
    assert said in str(raised.value)


def test_under_guard_it_gives_the_same_and_has_no_way_to_the_model() -> None:
    """Bit for bit: value and gradient, and logits that hang on nothing."""
    parameters = torch.randn(4, 3, dtype=torch.float32, requires_grad=True)
    targets, seen = Targets(torch.tensor([0, 2, 1, 1])), []

    class Looks:
        over, needs = XENT.over, XENT.needs

        def loss(self, logits: torch.Tensor, *given: Any) -> torch.Tensor:
            seen.append(logits.grad_fn)
            return XENT.loss(logits, *given)

    step = Step(0, 2)
    plain = XENT.loss(parameters * 2, targets, None, step)
    made = guarded("looks", Looks(), raised_at).loss(parameters * 2, targets, None, step)
    assert torch.equal(plain, made) and seen == [None]
    for share in (1.0, 0.25):  # a part of a batch has its share of the loss
        one, other = (torch.autograd.grad(loss * share, parameters, retain_graph=True)[0] for loss in (plain, made))
        assert torch.equal(one, other)
    with torch.no_grad():
        assert torch.equal(guarded("looks", Looks(), raised_at).loss(parameters * 2, targets, None, step), plain)
    infinite = torch.full((4, 3), float("inf"), requires_grad=True)
    assert not guarded("looks", Looks(), raised_at).loss(infinite, targets, None, step).isfinite(), (
        "the trainer says so"
    )


def test_what_settles_a_batch_is_under_guard_too() -> None:
    class Settles:
        over, needs = ("options",), ()

        def loss(self, *given: Any) -> Any:
            raise AssertionError("the settled one is asked")

        def settled(self, logits: Any, targets: Any, step: Any) -> Any:
            return 3 if step.number else XENT

    made: Any = guarded("settles", Settles(), raised_at)  # type: ignore[arg-type]
    logits, targets = torch.zeros(2, 2, requires_grad=True), Targets(torch.tensor([0, 1]))
    settled = made.settled(logits.detach(), targets, Step(0, 2))
    assert settled.over == ("options",)
    assert settled.loss(logits, targets, None, Step(0, 2)).item() == pytest.approx(0.6931, abs=1e-4)
    with pytest.raises(ObjectiveError, match="step 2 of 2: gave a int for settled, which has no loss"):
        made.settled(logits.detach(), targets, Step(1, 2))


@pytest.mark.slow
def test_what_it_leaves_in_its_process_meets_no_house_objective(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker's place, an objective that patches torch, and the harness's own before and after it."""
    monkeypatch.setenv("PYTHONPATH", str(TOY))
    registry = toy_registry(monkeypatch)
    planned = planned_by(models, registry, [FAULTY.format("patches"), "gce"])
    made = weights_of(planned)
    (patches,) = (made[name] for name in made if "faulty" in name)
    own = [made["naive"], made["gce:naive"], made["ceiling"]]
    alone = run_inline(own, Store(tmp_path / "alone"), registry)
    outcomes, _ = run_locally([made["naive"], patches, made["gce:naive"], made["ceiling"]], tmp_path / "beside")
    for stage in own:
        assert result_of(outcomes, stage).content == result_of(alone, stage).content
