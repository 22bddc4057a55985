"""Verdicts of `verify`: identical, within the suite's tolerance, or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import toy_registry, toy_suite
from w2s_bench import api
from w2s_bench.cells import ArmRef, Cell, CellBody, DomainRef, ModelRef, PluginRef, SeedResult, SuiteRef
from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.pipeline import Plan, PlannedCell, plan
from w2s_bench.plugin_loading import Plugin, Problem
from w2s_bench.record import pack_bits
from w2s_bench.suite import Suite
from w2s_bench.verify import compare, verify

ITEMS = 100


def seed_result(seed: int = 0, right: int = 60, **changes: Any) -> SeedResult:
    correct = np.arange(ITEMS) < right
    digests = {"student": "a" * 64, "kept": "b" * 64}
    fields = {"seed": seed, "accuracy": right / ITEMS, "correct": pack_bits(correct), "digests": digests}
    return SeedResult(**(fields | changes))


def cell(*seeds: SeedResult, **changes: Any) -> Cell:
    fields: dict[str, Any] = {
        "suite": SuiteRef(name="s", version="1", digest="0" * 64, evaluate_on="test"),
        "protocol": "w2s-1",
        "domain": DomainRef(name="w2s-bench/math", version="1", fingerprint="1" * 64),
        "teacher": ModelRef(name="t", fingerprint="2" * 64),
        "student": ModelRef(name="u", fingerprint="3" * 64),
        "arm": ArmRef(name="w2s-bench/probe", kind="trust_function", supervision="trust_set"),
        "plugin": PluginRef(distribution="w2s-bench", version="0.1", source="4" * 64),
        "items": ITEMS,
        "items_digest": "5" * 64,
        "seeds": seeds or (seed_result(0), seed_result(1)),
    }
    return Cell.of(CellBody(**(fields | changes)), {"platform": "here"})


def test_equal_bodies_are_identical_wherever_they_were_made() -> None:
    other = Cell.of(cell().body, {"platform": "elsewhere"})
    assert compare(cell(), other, 0.02).verdict == "identical"


def test_accuracies_within_the_tolerance_are_so_said_with_what_differs() -> None:
    verified = compare(cell(), cell(seed_result(0, 61), seed_result(1)), 0.02)
    assert verified.verdict == "within tolerance"
    assert verified.why == (
        "seed 0: accuracy 0.6000 before, 0.6100 now; seed 0: 1 of 100 items are answered right in one and wrong in the other"
    )


def test_other_weights_with_the_same_answers_are_within_tolerance() -> None:
    verified = compare(
        cell(), cell(seed_result(0, digests={"student": "c" * 64, "kept": "b" * 64}), seed_result(1)), 0.0
    )
    assert verified.verdict == "within tolerance"
    assert "other student" in verified.why


def flipped(count: int) -> SeedResult:
    """As many items right as by default, but `count` of them others."""
    correct = np.arange(ITEMS) < 60
    correct[: count // 2] = False
    correct[60 : 60 + count // 2] = True
    return seed_result(0, correct=pack_bits(correct))


def first(**changes: Any) -> Cell:
    """The cell with changes in its first seed."""
    return cell(seed_result(0, **changes), seed_result(1))


BEFORE = {
    "kept": 50,
    "coverage": 0.5,
    "purity": 0.7,
    "by_stratum": {"easy": 0.8, "hard": 0.4},
    "diagnostics": {"auroc": 0.9, "kept_by_stratum": {"easy": 0.6, "hard": 0.4}},
}
ARM = ArmRef(name="w2s-bench/probe", kind="trust_function", supervision="trust_set")


@pytest.mark.parametrize(
    "changed",
    [
        {"purity": 0.78},
        {"by_stratum": {"easy": 0.72, "hard": 0.48}},
        {"diagnostics": {"auroc": 0.81, "kept_by_stratum": {"easy": 0.68, "hard": 0.32}}},
    ],
)
def test_finer_figures_may_be_a_few_tolerances_apart(changed: dict[str, Any]) -> None:
    verified = compare(first(**BEFORE), first(**(BEFORE | changed)), 0.02)
    assert verified.verdict == "within tolerance"
    assert "before" in verified.why
    assert compare(first(**BEFORE), first(**(BEFORE | changed)), 0.01).verdict == "DIFFERS"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"kept": 40, "coverage": 0.4}, "kept 50 before, 40 now"),
        ({"shortfall": 1}, "shortfall 0 before, 1 now"),
        ({"coverage": 0.4}, "coverage 0.5 before, 0.4 now"),
        ({"purity": None}, "purity 0.7 before, None now"),
        ({"by_stratum": {"other": 0.6}}, "by_stratum.easy 0.8 before, None now"),
        ({"diagnostics": {"auroc": 0.9}}, "kept_by_stratum.easy 0.6 before, None now"),
        ({"digests": {"student": "a" * 64}}, "other kept"),
    ],
)
def test_what_was_kept_and_told_must_agree(changed: dict[str, Any], why: str) -> None:
    verified = compare(first(**BEFORE), first(**(BEFORE | changed)), 0.02)
    assert verified.verdict == "DIFFERS"
    assert why in verified.why


def test_an_accuracy_exactly_at_the_tolerance_is_within_it() -> None:
    assert compare(cell(), first(right=62), 0.02).verdict == "within tolerance"


def test_the_same_accuracy_of_other_answers_differs() -> None:
    assert compare(cell(), cell(flipped(10), seed_result(1)), 0.02).verdict == "within tolerance"
    verified = compare(cell(), cell(flipped(12), seed_result(1)), 0.02)
    assert verified.verdict == "DIFFERS"
    assert verified.why == "seed 0: 12 of 100 items are answered right in one and wrong in the other"


def test_a_row_that_failed_says_so_and_is_never_well() -> None:
    broken = seed_result(0, accuracy=None, correct=None, error="it broke", digests={})
    again = compare(cell(broken, seed_result(1)), cell(broken, seed_result(1)), 0.02)
    assert (again.verdict, again.failed, again.ok) == ("identical", True, False)
    assert again.why == "seed 0 failed both times: it broke"
    close = compare(cell(broken, seed_result(1)), cell(broken, seed_result(1, 61)), 0.02)
    assert (close.verdict, close.failed) == ("within tolerance", True)
    assert "failed both times" in close.why
    other = compare(
        cell(broken, seed_result(1)), cell(broken.model_copy(update={"error": "else"}), seed_result(1)), 0.02
    )
    assert other.verdict == "DIFFERS"
    assert compare(cell(), cell(), 0.0).ok


def test_bodies_that_only_look_equal_are_not_passed_over_in_silence() -> None:
    one, other = (first(diagnostics={"rank": rank}) for rank in (1, 1.0))
    assert one.digest != other.digest
    assert compare(one, other, 0.0).why == "equal figures, written otherwise"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (cell(seed_result(0, 63), seed_result(1)), "accuracy 0.6000 before, 0.6300 now"),
        (cell(seed_result(0, accuracy=None, correct=None, error="it broke"), seed_result(1)), "it broke now"),
        (cell(plugin=PluginRef(distribution="w2s-bench", version="0.2", source="4" * 64)), "plugin was"),
        (cell(items_digest="6" * 64), "items was"),
        (cell(domain=DomainRef(name="w2s-bench/math", version="2", fingerprint="1" * 64)), "domain was"),
        (cell(seed_result(0)), "seeds were 0, 1, are 0"),
        (cell(generation=2), "generation was 1, is 2"),
        (cell(arm=ARM.model_copy(update={"coverage": 0.25})), '"coverage":0.25'),
        (cell(arm=ARM.model_copy(update={"supervision": "none"})), '"supervision":"none"'),
        (cell(protocol="w2s-2"), "protocol was"),
    ],
)
def test_anything_more_differs(changed: Cell, why: str) -> None:
    verified = compare(cell(), changed, 0.02)
    assert verified.verdict == "DIFFERS"
    assert why in verified.why


def test_a_plugin_left_out_is_a_problem_of_every_plan(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    problem = Problem("bad", "w2s-broken", "0.1", "could not be imported")
    broken = replace(
        registry, plugins=(*registry.plugins, Plugin("bad", "w2s-broken", "0.1", "broken", problem=problem))
    )
    problems = plan(toy_suite(models), broken, trust=()).problems
    assert problems == ("entry point 'bad' of w2s-broken 0.1: could not be imported",)
    board: Any = None
    assert not api.RunReport(toy_suite(models), models, (), board, problems).ok


# Rows planned one by one.


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "toy-models"


def cell_for(planned: PlannedCell, suite: Suite) -> Cell:
    """A made-up cell with the identity of a planned one."""
    ref = SuiteRef(name=suite.name, version=suite.version, digest=suite.digest, evaluate_on=suite.evaluate_on)
    return cell(
        suite=ref,
        domain=planned.domain,
        teacher=planned.teacher,
        student=planned.student,
        arm=planned.arm.ref,
        plugin=planned.arm.plugin,
    )


def bare_named(suite: Suite) -> Suite:
    return suite.with_full_names(lambda name: name.partition("/")[2])


def test_bare_and_full_names_give_one_plan(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    full = toy_suite(models)
    one, other = plan(full, registry), plan(bare_named(full), registry, domains=["largest", "w2s-bench-toy/sums"])
    assert bare_named(full).digest != full.digest == one.suite.digest == other.suite.digest
    assert [c.row for c in one.cells] == [c.row for c in other.cells]
    assert [s.node for s in one.targets()] == [s.node for s in other.targets()]
    assert "w2s-bench-toy.largest/naive" in [c.row for c in one.cells]
    with pytest.raises(UnknownNameError, match="results/DOMAIN/ARM"):
        plan(full, registry, rows=["largest/naive"])
    controls = plan(full, registry, trust=())
    assert {c.arm.ref.kind for c in controls.cells} == {"reference", "control"}


def test_rows_that_cannot_be_run_differ_and_the_others_are_verified(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    written = toy_suite(models)
    content = written.model_dump()
    content["domains"][1]["version"] = "0"  # of `sums`, installed as 1
    suite = Suite.model_validate(content)
    planned = [
        *plan(suite, registry, domains=["largest"]).cells,
        *plan(written, registry, domains=["sums"], trust=()).cells,
    ]
    cells = [
        cell_for(one, suite) for one in planned if one.arm.ref.name in {"naive", "weak", "w2s-bench-toy/prompt_hash"}
    ]
    gone = ARM.model_copy(update={"name": "acme/gone"})
    cells.append(Cell.of(cell_for(planned[0], suite).body.model_copy(update={"arm": gone}), {}))
    for one in cells:
        one.write(tmp_path)
    (tmp_path / "suite.yaml").write_text(bare_named(suite).to_yaml())
    asked: list[Plan] = []

    def compute(planned: Plan, **_: object) -> tuple[Cell, ...]:
        asked.append(planned)
        return tuple(cell_for(one, suite) for one in planned.cells)

    monkeypatch.setattr(api, "compute", compute)
    found = {one.row: one for one in verify(tmp_path)}
    assert len(asked) == 1, "one run for all rows"
    assert {one.row for one in asked[0].cells} == {
        f"w2s-bench-toy.largest/{arm}" for arm in ("naive", "weak", "w2s-bench-toy.prompt_hash")
    }
    assert found["w2s-bench-toy.largest/naive"].verdict == "identical"
    assert found["w2s-bench-toy.largest/w2s-bench-toy.prompt_hash"].ok
    assert "cannot be run: unknown trust function 'acme/gone'" in found["w2s-bench-toy.largest/acme.gone"].why
    assert "cannot be run: the suite was made for domain" in found["w2s-bench-toy.sums/naive"].why
    assert found["w2s-bench-toy.sums/naive"].verdict == "DIFFERS"


def test_splits_that_cannot_be_filled_end_a_run_before_anything_is_written(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And items that cannot be made do not: those cells fail by themselves."""
    from w2s_bench.executors import Failed

    planned = plan(toy_suite(models), toy_registry(monkeypatch), trust=())
    splits = planned.splits()
    assert len(splits) == 4 and {stage.name for stage in splits} == {"splits"}
    asked: list[list[str]] = []
    causes = {stage.node: stage.inputs["items"].node for stage in splits}

    class Fails:
        def run(self, targets: Any, *_: object) -> dict[str, Failed]:
            asked.append([stage.name for stage in targets])
            return {stage.node: Failed("items", "no loader", causes[stage.node]) for stage in targets}

    settings: Any = {"store": tmp_path / "store", "executor": Fails(), "events": lambda event: None}
    api.refuse_unfilled_splits(planned, **settings)
    causes[splits[1].node] = splits[1].node
    with pytest.raises(SuiteError, match=r"^no loader$"):
        api.execute(planned, out=tmp_path / "out", **settings)
    assert asked == [["splits"] * 4] * 2
    assert not list((tmp_path / "out" / "toy").iterdir())
