"""Rows of a results folder that a run would compute again, named with the reason; nothing is computed here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cell_builder import make_cells
from support import run_inline, toy_registry, toy_suite
from w2s_bench.errors import NotApplicableError
from w2s_bench.names import short
from w2s_bench.plugins.registry import Registry
from w2s_bench.results.cells import Cell
from w2s_bench.results.references import PluginRef, SuiteRef
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.runs.again import Again, computed_again, in_words
from w2s_bench.runs.plan import Plan, PlannedCell, plan
from w2s_bench.runs.preview import Explained, explain
from w2s_bench.store import Store
from w2s_bench.store.manifest import installed_version
from w2s_bench.store.stage import walk


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return toy_registry(monkeypatch)


def of_plan(cell: PlannedCell, plan: Plan, *, versions: Mapping[str, str] = {}, **fields: Any) -> Cell:
    """A made-up row that such a run could have written."""
    made = make_cells(seeds=plan.suite.seeds)["w2s-bench/confidence" if cell.arm.plugin else "naive"].body
    suite = SuiteRef(name=plan.suite.name, version="1", digest=plan.suite.digest, evaluate_on="test")
    facts = {"domain": cell.domain, "teacher": cell.teacher, "student": cell.student, "arm": cell.arm.ref}
    body = made.model_copy(update={"suite": suite, "plugin": cell.arm.plugin, **facts, **fields})
    here = {name: installed_version(name) for name in ("torch", "transformers")}
    return Cell.of(body, {"packages": {**here, **versions}})


def looked(planned: Plan, store: Path) -> list[Explained]:
    return explain(planned.stages(), Store(store), reasons=False)


def test_rows_are_named_with_what_has_changed_since_and_the_others_are_not(tmp_path: Path, registry: Registry) -> None:
    planned = plan(toy_suite(tmp_path / "models"), registry, domains=["largest"], trust=["confidence"])
    by_arm = {short(cell.arm.ref.name): cell for cell in planned.cells}
    results, mine = tmp_path / "toy", by_arm["confidence"]
    old = PluginRef(distribution=mine.arm.plugin.distribution, version="0.0.1", source="0" * 64)  # type: ignore[union-attr]
    changed = mine.arm.plugin.model_copy(update={"source": "1" * 64})  # type: ignore[union-attr]

    def again() -> tuple[Again, ...]:
        return computed_again(planned, results, looked(planned, tmp_path / "store"))

    assert again() == (), "no row is there yet"
    of_plan(mine, planned, plugin=old).write(results)
    of_plan(by_arm["naive"], planned, versions={"torch": "1.0"}).write(results)
    of_plan(by_arm["random"], planned, versions={"torch": "1.0"}).write(results)
    of_plan(by_arm["oracle"], planned).write(results)
    (results / "results/w2s-bench-toy.largest/majority.json").write_text("{")
    told = {each.why: [row.rpartition("/")[2] for row in each.rows] for each in again()}
    torch = f"made with torch 1.0, here {installed_version('torch')}"
    assert told == {
        torch: ["naive", "random"],
        f"made by w2s-bench 0.0.1, here w2s-bench {mine.arm.plugin.version}": ["confidence"],  # type: ignore[union-attr]
        "of which this store does not hold everything": ["oracle"],
    }
    first, *more = in_words(again(), results)
    assert first.startswith(f"4 rows in {results} must be computed again: 2 {torch} (") and len(more) == 2
    of_plan(mine, planned, plugin=changed).write(results)
    assert any(" of source 111111111111, here " in each.why for each in again())


def test_what_is_stored_is_not_computed_again_whatever_a_row_says(tmp_path: Path, registry: Registry) -> None:
    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["largest"], trust=[])
    (base,) = (cell for cell in planned.cells if cell.arm.ref.name == "base")
    results, store = tmp_path / "toy", tmp_path / "store"
    of_plan(base, planned, versions={"torch": "1.0"}).write(results)
    outcomes = run_inline(base.targets(), Store(store), registry)
    assert computed_again(planned, results, looked(planned, store)) == ()
    result = outcomes[base.stages[0].student.grades.node].result  # type: ignore[union-attr]
    next(path for path in result.path.iterdir() if path.name != "manifest.json").write_text("altered")
    (again,) = computed_again(planned, results, looked(planned, store))
    assert again.rows == (base.row,)


def test_what_is_not_applicable_has_not_failed_and_no_run_makes_it(tmp_path: Path, registry: Registry) -> None:
    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["largest"], trust=["confidence"])
    (mine,) = (cell for cell in planned.cells if cell.arm.ref.trust_function)
    results, store = tmp_path / "toy", tmp_path / "store"
    scores = mine.stages[0].scores
    assert scores is not None

    def written(why: str, **fields: Any) -> None:
        failed = SeedResult(seed=0, error=f"{scores.label} failed: {why}")
        of_plan(mine, planned, seeds=(failed,), versions={"torch": "1.0"}, **fields).write(results)

    def again() -> list[str]:
        return [each.why for each in computed_again(planned, results, looked(planned, store))]

    behind, others = {scores.node}, []
    for stage in walk(mine.targets()):
        if stage.node in behind or any(needed.node in behind for needed in stage.inputs.values()):
            behind.add(stage.node)
        else:
            others.append(stage)
    written(str(NotApplicableError("no options here")))
    assert again() == [f"made with torch 1.0, here {installed_version('torch')}"], "the store is empty"
    run_inline(others, Store(store), registry)
    assert again() == [], "all that a run makes is stored"
    written(
        str(NotApplicableError("no options here")),
        plugin=PluginRef(distribution="w2s-bench", version="0.0.1", source="0" * 64),
    )
    assert [why.partition(", here")[0] for why in again()] == ["made by w2s-bench 0.0.1"], "a new function may apply"
    written("it raised ValueError")
    assert len(again()) == 1, "a failure is made again"


def test_the_dry_run_names_them(tmp_path: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    from w2s_bench._cli.dry_run import print_dry_run
    from w2s_bench._cli.report import print_explanation

    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["largest"], trust=[])
    results, store = tmp_path / "toy", str(tmp_path / "store")
    of_plan(planned.cells[0], planned).write(results)
    row, why = planned.cells[0].row, "of which this store does not hold everything"
    for show in (print_dry_run, print_explanation):
        show(planned, results, store, (), as_json=False)
        assert f"must be computed again: 1 {why} ({row})" in " ".join(capsys.readouterr().out.split())
        show(planned, results, store, (), as_json=True)
        assert json.loads(capsys.readouterr().out)["computed_again"] == {why: [row]}


def test_both_previews_tell_what_a_run_leaves_out(
    tmp_path: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    from w2s_bench._cli.dry_run import print_dry_run
    from w2s_bench._cli.report import print_explanation

    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["largest"], trust=[])
    planned = replace(planned, passed_over=("not applicable to largest: aum",))
    for show in (print_dry_run, print_explanation):
        show(planned, tmp_path / "toy", str(tmp_path / "store"), (), as_json=False)
        assert "note: not applicable to largest: aum" in capsys.readouterr().err
        show(planned, tmp_path / "toy", str(tmp_path / "store"), (), as_json=True)
        assert json.loads(capsys.readouterr().out)["passed_over"] == list(planned.passed_over)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ({"version": "0"}, {}, "of version 0 of domain w2s-bench-toy/largest, here 1"),
        (
            {"fingerprint": "a" * 64},
            {"fingerprint": "b" * 64},
            "of other code or files of domain .*: aaaaaaaaaaaa, here bbbbbbbbbbbb",
        ),
        (
            {"documents": "c" * 64},
            {"documents": "d" * 64},
            "of other documents of domain .*: cccccccccccc, here dddddddddddd",
        ),
        ({"documents": "c" * 64}, {}, "of domain .*, whose documents cannot be read now"),
    ],
)
def test_of_a_domain_is_told_what_has_changed(
    tmp_path: Path, registry: Registry, was: dict[str, str], now: dict[str, str], said: str
) -> None:
    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["largest"], trust=[])
    cell = planned.cells[0]
    domain = cell.domain
    of_plan(cell, planned, domain=domain.model_copy(update=was)).write(tmp_path / "toy")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PlannedCell, "domain", domain.model_copy(update=now))
        (again,) = computed_again(planned, tmp_path / "toy", looked(planned, tmp_path / "store"))
    assert re.fullmatch(said, again.why)
