"""Objectives beside the suite's own: arms of their own, from plan to page, and nothing else of a run or a board knows of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cell_builder import change, make_cells, suite_of
from support import run_inline, toy_registry, toy_suite
from w2s_bench.errors import CellError, SuiteError, UnknownNameError
from w2s_bench.names import of_arm
from w2s_bench.plugins.spec import parse_spec
from w2s_bench.protocol import objectives as known
from w2s_bench.protocol.kept import Kept
from w2s_bench.results import leaderboard
from w2s_bench.results.belief import read_results
from w2s_bench.results.board import OVER_OPTIONS
from w2s_bench.results.cells import Cell
from w2s_bench.results.leaderboard import pages, write_leaderboard
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.references import ArmRef
from w2s_bench.results.statistics import Estimate
from w2s_bench.runs import submit
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite

OBJECTIVES = ("logconf:alpha=0.75", "soft")
TRUST = ["w2s-bench-toy/prompt_hash"]


def test_every_objective_has_an_arm_for_naive_and_each_trust_function_with_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, models = toy_registry(monkeypatch), tmp_path / "models"
    usual = plan(toy_suite(models), registry, trust=TRUST)
    suite = toy_suite(models, objectives=("logconf:alpha=.75", "soft"), selections=("top", "stratified"))
    more = plan(suite, registry, trust=TRUST)
    assert more.suite.objectives == OBJECTIVES, "each is written in one way"
    assert {s.node for s in usual.stages()} < {s.node for s in more.stages()}, "what was there stays what it was"
    added = {(cell.task.spec.name, cell.arm.ref.name): cell for cell in more.cells if cell.arm.ref.is_other_objective}
    largest, sums = "w2s-bench-toy/largest", "w2s-bench-toy/sums"
    crossed = ("naive", "w2s-bench-toy/prompt_hash")
    assert set(added) == {
        *((largest, of_arm(objective, arm)) for objective in OBJECTIVES for arm in crossed),
        *((sums, of_arm("logconf:alpha=0.75", arm)) for arm in crossed),
    }, "soft labels are of options"
    by_name = {(cell.task.spec.name, cell.arm.ref.name): cell for cell in more.cells}
    for (domain, _), cell in added.items():
        ref, plain = cell.arm.ref, by_name[domain, cell.arm.ref.plain]
        assert (ref.role, ref.supervision, ref.coverage) == (
            plain.arm.ref.role,
            plain.arm.ref.supervision,
            plain.arm.ref.coverage,
        )
        assert (ref.trusts, ref.facts, cell.arm.plugin) == (plain.arm.ref.trusts, plain.arm.ref.facts, plain.arm.plugin)
        for own, other in zip(cell.stages, plain.stages, strict=True):
            assert own.rows is not None and other.rows is not None and own.rows.node == other.rows.node
            made, usual_made = own.student.weights, other.student.weights
            assert made is not None and usual_made is not None
            assert {**made.params, "objective": None} == {**usual_made.params, "objective": None}, "the same seed"
            assert made.params["objective"] == ref.objective
        seen = {one.params["split"] for one in walk([cell.stages[0].student.predictions]) if one.name == "gold"}
        assert seen == {"weak_train"}, "no more gold"
    assert len({cell.row for cell in more.cells}) == len(more.cells)
    request = json.loads(json.dumps(submit._request(more, Path("out"))))
    assert [s.node for s in submit._planned(request).targets()] == [s.node for s in more.targets()]


@pytest.mark.slow
def test_cells_of_other_objectives_and_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry, shared = toy_registry(monkeypatch), tmp_path_factory.getbasetemp()
    changes: dict[str, Any] = {"coverage": 0.4, "objectives": OBJECTIVES, "selections": ("top", "weighted")}
    planned = plan(toy_suite(shared / "toy-models", **changes), registry, domains=["largest"], trust=TRUST)
    store = Store(shared / "toy-store")
    results = Results(run_inline(planned.targets(), store, registry), store)
    made = {cell.arm.ref.name: cell_of(cell, results) for cell in planned.cells}
    for one in made.values():
        assert not one.body.failed, one.body.failed
        one.write(tmp_path / "toy")
    (tmp_path / "toy" / "suite.yaml").write_text(planned.suite.to_yaml())
    for objective in OBJECTIVES:
        for arm in ("naive", "w2s-bench-toy/prompt_hash"):
            own, plain = made[of_arm(objective, arm)].body, made[arm].body
            for seed, usual in zip(own.seeds, plain.seeds, strict=True):
                assert (seed.kept, seed.purity, seed.coverage) == (usual.kept, usual.purity, usual.coverage)
                assert seed.digests["kept"] == usual.digests["kept"]
                assert seed.digests["student"] != usual.digests["student"]
    (cell,) = (cell for cell in planned.cells if cell.arm.ref.selection == "weighted")
    weighted, naive = made["weighted:w2s-bench-toy/prompt_hash"].body, made["naive"].body
    for seed, usual, own in zip(weighted.seeds, naive.seeds, cell.stages, strict=True):
        assert own.kept is not None
        kept = Kept.read(results.folder(own.kept)).weights
        assert (seed.kept, seed.coverage, seed.purity) == (100, 1.0, usual.purity)
        assert sum(kept.values()) == pytest.approx(100) and len(set(kept.values())) > 10
        assert seed.diagnostics["effective_share"] == pytest.approx(0.75, abs=1e-3)
        assert 0 < seed.diagnostics["weighted_purity"] < 1
    board = write_leaderboard(tmp_path / "toy")
    assert [row.arm for row in board.other_selections] == ["weighted:w2s-bench-toy/prompt_hash"]
    assert {row.objective for row in board.other_objectives} == {*OBJECTIVES}
    assert (tmp_path / "toy" / "results" / "w2s-bench-toy.largest" / "soft@naive.json").is_file()


def test_what_explains_an_arm_is_trained_by_the_suites_own_objective(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an arm that keeps every row leaves no choice of rows to explain."""
    changes: dict[str, Any] = {"objectives": ["gce"], "selections": ("top", "weighted")}
    suite = toy_suite(tmp_path_factory.getbasetemp() / "toy-models", **changes)
    planned = plan(suite, toy_registry(monkeypatch), domains=["largest"], trust=TRUST, decompose=True)
    explaining = [cell.arm.ref for cell in planned.cells if cell.arm.ref.made_of]
    assert {ref.made_of for ref in explaining} == {TRUST[0]}
    assert not any(ref.objective for ref in explaining)
    assert sum(cell.arm.ref.objective is not None for cell in planned.cells) == 2


@pytest.mark.parametrize(
    ("objectives", "error", "message"),
    [
        (["sofd"], UnknownNameError, r"unknown objective 'sofd'; did you mean soft"),
        (["gce:q=2"], SuiteError, r"'gce:q=2' cannot be made: q is 2"),
        (["gce:q=.5", "gce:q=0.50"], SuiteError, r"an objective may stand once in a suite; 'toy' has gce:q=0.5 in two"),
        (["xent"], SuiteError, r"'xent' is what all students are trained by: take it out of `objectives`"),
    ],
)
def test_an_objective_that_cannot_be_crossed_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    objectives: list[str],
    error: Any,
    message: str,
) -> None:
    suite = toy_suite(tmp_path_factory.getbasetemp() / "toy-models", objectives=objectives)
    with pytest.raises(error, match=message):
        plan(suite, toy_registry(monkeypatch), trust=[])


def test_an_objective_for_no_domain_is_refused_and_one_for_another_domain_is_not(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    suite = toy_suite(tmp_path_factory.getbasetemp() / "toy-models", objectives=["soft"])
    assert not any(cell.arm.ref.objective for cell in plan(suite, registry, domains=["sums"], trust=[]).cells)
    suite = suite.model_copy(update={"domains": suite.domains[1:]})
    with pytest.raises(SuiteError, match=r"'soft' is over the options of an item, and every domain of suite 'toy' gen"):
        plan(suite, registry, trust=[])


def test_the_shipped_suites_are_tiny_with_every_objective() -> None:
    """So that what `tiny` computed is not computed again."""
    tiny, tried = load_suite("tiny"), set[str]()
    shipped = {"tiny-objectives": tiny.domains, "tiny-on-policy": tiny.domains[:2], "tiny-co-teaching": tiny.domains}
    for name, domains in shipped.items():
        ours = load_suite(name)
        assert (ours.domains, ours.seed, ours.seeds, ours.coverage) == (domains, tiny.seed, tiny.seeds, tiny.coverage)
        assert ours.objectives == tuple(map(known.written, ours.objectives))
        tried |= {parse_spec(one)[0] for one in ours.objectives}
    assert tried == {*known.OBJECTIVES}


def other(cell: Cell, objective: str) -> Cell:
    """The same cell as if it were by another objective."""
    ref = cell.body.arm
    return change(cell, arm=ref.model_copy(update={"name": of_arm(objective, ref.name), "objective": objective}))


def written(results: Path, cells: dict[str, Cell], *objectives: str) -> Path:
    suite = Suite.model_validate({**suite_of(cells.values()).model_dump(), "objectives": objectives})
    results.mkdir(parents=True)
    (results / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
    for cell in cells.values():
        change(cell, suite=cell.body.suite.model_copy(update={"digest": suite.digest})).write(results)
    return results


@pytest.fixture
def cells() -> dict[str, Cell]:
    made = make_cells()
    for arm in ("naive", "w2s-bench/confidence", "acme/verifier:layer=-1"):
        made |= {f"{objective}:{arm}": other(made[arm], objective) for objective in OBJECTIVES}
    return made


def test_other_objectives_stand_in_a_table_of_their_own(tmp_path: Path, cells: dict[str, Cell]) -> None:
    results = written(tmp_path / "more", cells, *OBJECTIVES)
    assert len(read_results(results)[1]) == len(cells)
    board, usual = write_leaderboard(results), leaderboard.build(make_cells().values(), tmp_path)
    assert (board.rows, board.pairs, board.detectable) == (usual.rows, usual.pairs, usual.detectable)
    assert board.domains == usual.domains
    for row in board.other_objectives:
        assert row.arm == of_arm(row.objective, row.of) and row.rank is None
        assert isinstance(row.minus_usual, Estimate) and row.minus_usual.value == 0.0, "they are made of the same cell"
    assert not any(row.minus_over_options for row in board.other_objectives)
    hard = {
        f"hard:{arm}": other(cell, OVER_OPTIONS)
        for arm, cell in make_cells().items()
        if arm in ("naive", "w2s-bench/confidence")
    }
    more = write_leaderboard(written(tmp_path / "hard", cells | hard, *OBJECTIVES, OVER_OPTIONS))
    compared = {row.arm for row in more.other_objectives if isinstance(row.minus_over_options, Estimate)}
    assert compared == {of_arm(one, arm) for one in OBJECTIVES for arm in ("naive", "confidence")}
    assert "− by `xent:over=options`" in pages(more)["README.md"]
    page, plain = pages(board), pages(usual)
    assert "− by `xent:over=options`" not in page["README.md"]
    table = page["README.md"].partition("## Other objectives")[2].partition("\n## ")[0]
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in table.splitlines() if "|" in line]
    arms = ("acme/verifier:layer=-1", "confidence", "naive")
    assert [line[:2] for line in lines[2:]] == [[arm, objective] for arm in arms for objective in OBJECTIVES]
    assert "Other objectives" not in plain["README.md"]
    assert all(page[name] == plain[name] for name in plain if name != "README.md")
    told = json.loads(json.dumps(board_as_json(board)))["other_objectives"]
    assert Counter(row["objective"] for row in told) == dict.fromkeys(OBJECTIVES, 3)


def test_no_cell_is_believed_by_an_objective_that_the_suite_has_not(tmp_path: Path, cells: dict[str, Cell]) -> None:
    with pytest.raises(CellError, match=r"it has objective 'soft', the suite's are 'gce', 'logconf:alpha=0\.75'"):
        read_results(written(tmp_path / "without", cells, "gce", "logconf:alpha=0.75"))
    alone = make_cells() | {"soft": other(make_cells()["random"], "soft")}
    with pytest.raises(
        CellError, match="'soft', which arms of all weak labels, by `top` and by `weighted` alone can have"
    ):
        read_results(written(tmp_path / "random", alone, "soft"))


def test_an_arm_is_named_by_its_objective_and_is_of_its_own_kind() -> None:
    fields: dict[str, Any] = {"name": "soft:naive", "kind": "control", "supervision": "none", "coverage": 1.0}
    ref = ArmRef(**fields, objective="soft")
    assert ref.plain == "naive" and ref.facts.keeps_all_weak_labels and ref.under("random") == "soft:random"
    with pytest.raises(ValueError, match="has objective 'gce'; such an arm is named 'gce:naive'"):
        ArmRef(**fields, objective="gce")
    with pytest.raises(ValueError, match="'soft:naive' is of kind 'trust_function'; controls are"):
        ArmRef(**{**fields, "kind": "trust_function"}, objective="soft")
    with pytest.raises(ValueError, match="'soft:naive' has supervision 'privileged', its is 'none'"):
        ArmRef(**{**fields, "supervision": "privileged"}, objective="soft")
    plain = ArmRef(name="naive", role="control", supervision="none", coverage=1.0)
    assert "objective" not in plain.model_dump(mode="json"), "cells of before stay as they are"
    assert plain.plain == "naive" and not plain.is_other_objective
