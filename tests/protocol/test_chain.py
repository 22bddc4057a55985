"""Chains: a suite's models between teacher and student, each taught by what its own arm made of the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import run_inline, toy_model, toy_registry, toy_suite
from w2s_bench.errors import SuiteError
from w2s_bench.executors import Done, Failed, Outcome
from w2s_bench.models.loading import load_engine
from w2s_bench.protocol.files import ITEMS, PREDICTIONS, ROWS
from w2s_bench.protocol.generation import Generation, Teacher
from w2s_bench.record import read_records, read_rows
from w2s_bench.results.cells import Cell
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, PlannedCell, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite
from w2s_bench.types import Item, Prediction

TRUST = ["confidence", "student_probe"]
CHAINED = {"naive", "random", "oracle", "ceiling", "confidence", "student_probe"}


def chained(models: Path, domain: str = "largest", *, between: tuple[str, ...] = ("middle",), **changes: Any) -> Suite:
    """The toy suite's domain with models between, by their folders' names."""
    suite = toy_suite(models, seeds=1).model_dump(mode="json")
    if not (models / "middle").is_dir():
        toy_model(models / "middle", width=24, seed=3)
    (spec,) = [d for d in suite["domains"] if d["name"].endswith(f"/{domain}")]
    spec["chain"] = [{**spec["student"], "model": str(models / name), "steps": 8} for name in between]
    return Suite.model_validate({**suite, "domains": [{**spec, **changes}]})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A chain of two generations on the whole pool, all of it run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        registry = toy_registry(patch)
        # Models, items and the one hops are those of other files of this test run.
        shared = tmp_path_factory.getbasetemp()
        suite = chained(shared / "toy-models")
        planned = plan(suite, registry, trust=TRUST)
        store = Store(shared / "toy-store")
        chosen = [c for c in planned.cells if c.row.endswith("/naive") or (c.generation and "random" not in c.row)]
        outcomes = run_inline([stage for cell in chosen for stage in cell.targets()], store, registry)
        assert not [o for o in outcomes.values() if isinstance(o, Failed)]
        yield SimpleNamespace(suite=suite, registry=registry, plan=planned, store=store, outcomes=outcomes)


def cell_at(planned: Plan, arm: str, generation: int | None) -> PlannedCell:
    (found,) = [c for c in planned.cells if c.arm.ref.name.rpartition("/")[2] == arm and c.generation == generation]
    return found


def folder(outcomes: Mapping[str, Outcome], stage: Stage | None) -> Path:
    assert stage is not None
    outcome = outcomes[stage.node]
    assert isinstance(outcome, Done), outcome
    return outcome.result.path


def content(outcomes: Mapping[str, Outcome], stage: Stage | None) -> str:
    assert stage is not None
    outcome = outcomes[stage.node]
    assert isinstance(outcome, Done), outcome
    return outcome.result.content


@pytest.mark.slow
def test_a_chain_gives_cells_beside_those_of_the_one_hop(ran: Any) -> None:
    unchained = toy_suite(Path(ran.suite.domains[0].student.model).parent, seeds=1)
    plain = plan(unchained, ran.registry, domains=["largest"], trust=TRUST)
    hops = [cell for cell in ran.plan.cells if cell.generation is None]
    assert [(c.row, [s.node for s in c.targets()]) for c in hops] == [
        (c.row, [s.node for s in c.targets()]) for c in plain.cells
    ], "a chain changes nothing of what is there without one"
    later = [cell.row.partition("/")[2] for cell in ran.plan.cells if cell.generation is not None]
    assert sorted(later) == sorted(f"generation{g}@{arm}" for arm in CHAINED for g in (1, 2))


def test_each_generation_is_taught_by_its_own_arm(ran: Any) -> None:
    for arm in CHAINED:
        first, second = cell_at(ran.plan, arm, 1), cell_at(ran.plan, arm, 2)
        assert (first.teacher.name, first.student.name) == (ran.suite.domains[0].teacher.model, second.teacher.name)
        assert second.student.name == ran.suite.domains[0].student.model
        (graph,), (own,), (before,) = second.graphs, second.stages, first.stages
        assert graph.teacher.weights is before.student.weights
        assert graph.weak_labels("test").node == before.student.predictions.node, "what it answered is what it teaches"
        assert own.student.weights is not None and before.student.weights is not None


def test_the_first_generation_shares_teacher_and_labels_with_the_one_hop(ran: Any) -> None:
    hop, first = cell_at(ran.plan, "naive", None), cell_at(ran.plan, "naive", 1)
    assert hop.graphs[0].weak_labels("transfer").node == first.graphs[0].weak_labels("transfer").node
    hop, first = cell_at(ran.plan, "confidence", None), cell_at(ran.plan, "confidence", 1)
    assert hop.stages[0].kept is not None and first.stages[0].kept is not None
    assert hop.stages[0].kept.node == first.stages[0].kept.node, "what it asks is the teacher alone"


def test_the_student_between_teacher_and_student_is_the_one_hop_itself(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same model twice is a chain: its first generation is the one hop, and costs nothing."""
    suite = chained(models, between=("student",)).model_dump(mode="json")
    (spec,) = suite["domains"]
    spec["chain"] = [spec["student"]]
    planned = plan(Suite.model_validate(suite), toy_registry(monkeypatch), trust=TRUST)
    for arm in CHAINED:
        hop, first = cell_at(planned, arm, None), cell_at(planned, arm, 1)
        assert first.stages[0].student.weights is not None and hop.stages[0].student.weights is not None
        assert first.stages[0].student.weights.node == hop.stages[0].student.weights.node
        assert first.row != hop.row


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "toy-models"


@pytest.mark.parametrize("arm", ["naive", "student_probe"])
def test_two_generations_are_two_runs_by_hand(
    ran: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    """The second run's teacher is the model that the first one made, saved to a folder and taken as it is."""
    first, second = cell_at(ran.plan, arm, 1), cell_at(ran.plan, arm, 2)
    made = first.stages[0].student.weights
    source = ran.registry.model(first.student.name)
    engine = load_engine(source, folder(ran.outcomes, made), recipe="full")
    engine.model.save_pretrained(tmp_path / "taught")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "taught" / name).write_bytes((Path(first.student.name) / name).read_bytes())
    spec = ran.suite.domains[0].model_dump(mode="json", exclude={"chain"})
    spec["teacher"] = {"model": str(tmp_path / "taught"), "recipe": "none"}
    suite = Suite.model_validate({**ran.suite.model_dump(mode="json"), "domains": [spec]})
    by_hand = cell_at(plan(suite, ran.registry, trust=TRUST), arm, None)
    # Draws of a second generation are those of the roles so named; all else is a run like any other.
    task = by_hand.task
    graph = Generation(suite, task, 0, index=2, taught_by=Teacher(task.teacher.untuned, None))
    own = by_hand.arm.build(graph)
    outcomes = run_inline([own.student.grades], ran.store, ran.registry)
    (chain_graph,), (chain_own,) = second.graphs, second.stages
    for by_chain, there in (
        (chain_graph.weak_labels("transfer"), graph.weak_labels("transfer")),
        (chain_own.rows, own.rows),
        (chain_own.student.weights, own.student.weights),
        (chain_own.student.grades, own.student.grades),
    ):
        assert content(ran.outcomes, by_chain) == content(outcomes, there), there
    labels = read_records(folder(ran.outcomes, chain_graph.weak_labels("transfer")) / PREDICTIONS, Prediction)
    first_labels = read_records(folder(ran.outcomes, first.graphs[0].weak_labels("transfer")) / PREDICTIONS, Prediction)
    assert [one.index for one in labels] != [one.index for one in first_labels], "the test must compare new labels"


def test_trust_functions_are_refitted_on_the_new_labels_of_the_trust_set(ran: Any) -> None:
    """What is graded for the fit is what this generation's teacher said of the trust set."""
    second = cell_at(ran.plan, "student_probe", 2)
    (graph,), (own,) = second.graphs, second.stages
    assert own.scores is not None
    behind = {stage.node for stage in walk([own.scores])}
    assert graph.label_grades("trust").node in behind
    assert graph.weak_labels("trust").params["model"]["name"] == second.teacher.name
    assert own.scores.inputs["trust:grades"].node == graph.label_grades("trust").node


def test_cells_of_generations_tell_of_their_own_labels(ran: Any) -> None:
    results = Results(ran.outcomes, ran.store)
    for generation in (1, 2):
        planned = cell_at(ran.plan, "naive", generation)
        cell = cell_of(planned, results)
        (seed,) = cell.body.seeds
        assert seed.diagnostics["label_accuracy"] == seed.purity, "it keeps every label"
        assert cell.body.generation == generation and cell.row == planned.row
        assert cell.body.chain is not None and cell.body.chain.generations == 2
    hop = cell_of(cell_at(ran.plan, "naive", None), results)
    assert hop.body.chain is None and "chain" not in hop.body.model_dump(mode="json")
    assert "label_accuracy" not in hop.body.seeds[0].diagnostics


def test_what_a_chain_takes_is_counted(ran: Any) -> None:
    """Steps: 30 of the teacher, 8 of the model between, 6 of the student. Gold: 60 of the teacher's, 24 and 100 of others'."""
    results = Results(ran.outcomes, ran.store)

    def spent(arm: str, generation: int) -> tuple[int, int, int, int]:
        chain = cell_of(cell_at(ran.plan, arm, generation), results).body.chain
        assert chain is not None
        return chain.spent.steps, chain.spent.gold_labels, chain.one_hop.steps, chain.one_hop.gold_labels

    assert spent("naive", 1) == (38, 60, 36, 60)
    assert spent("naive", 2) == (44, 60, 36, 60)
    assert spent("student_probe", 2) == (44, 84, 36, 84)
    assert spent("oracle", 2) == (44, 160, 36, 160)
    assert spent("ceiling", 2) == (6, 100, 6, 100), "no teacher has a part in it"


def test_a_cell_file_of_a_generation_is_read_again(ran: Any, tmp_path: Path) -> None:
    from w2s_bench.results.files import read_placed

    cell = cell_of(cell_at(ran.plan, "confidence", 2), Results(ran.outcomes, ran.store))
    path = cell.write(tmp_path)
    assert path.name == "generation2@confidence.json"
    again: Cell = read_placed(path, tmp_path)
    assert again == cell


def test_a_fresh_pool_is_another_part_each_generation(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    suite = chained(models, between=("middle", "student"), pool="fresh")
    planned = plan(suite, registry, trust=[])
    cells = [cell_at(planned, "naive", generation) for generation in (1, 2, 3)]
    outcomes = run_inline([cell.stages[0].student.grades for cell in cells], Store(tmp_path / "store"), registry)
    seen: set[str] = set()
    for cell in cells:
        (graph,), (own,) = cell.graphs, cell.stages
        pool = {item.id for item in read_records(folder(outcomes, graph.subset("transfer")) / ITEMS, Item)}
        assert len(pool) == 33 and not pool & seen, "⌊100 / 3⌋ that no other generation has"
        assert {row["id"] for row in read_rows(folder(outcomes, own.rows) / ROWS)} == pool
        seen |= pool
    hop = cell_at(planned, "naive", None).graphs[0]
    whole = {item.id for item in read_records(folder(outcomes, hop.subset("transfer")) / ITEMS, Item)}
    assert len(whole) == 100 and seen <= whole


def test_a_model_between_must_fit_its_domain(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    suite = chained(models, "sums").model_dump(mode="json")
    suite["domains"][0]["chain"][0]["recipe"] = "head"
    with pytest.raises(SuiteError, match=r"recipe 'head' chooses among options; domain 'w2s-bench-toy/sums' generates"):
        plan(Suite.model_validate(suite), registry, trust=[])


def test_every_model_of_a_chain_is_looked_at_before_anything_is_trained(ran: Any) -> None:
    cell = cell_at(ran.plan, "naive", None)
    looked = {stage.params["model"]["name"] for stage in cell.models}
    spec = ran.suite.domains[0]
    assert looked == {spec.teacher.model, spec.chain[0].model, spec.student.model}


def test_links_are_those_of_the_ladder(ran: Any) -> None:
    task = cell_at(ran.plan, "naive", None).task
    assert replace(task.link(1), spec=task.spec, student=task.student) == task
    assert task.link(2).teacher == task.chain[0] == task.link(1).student
    assert task.link(2).student == task.student
