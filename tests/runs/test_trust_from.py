"""A domain whose trust functions learn from another's trust set: whose gold lies behind what, and where it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from support import TOY, run_inline, toy_registry, toy_suite
from w2s_bench.domains.documents import Documents
from w2s_bench.errors import CellError, SuiteError
from w2s_bench.executors import Done, Failed
from w2s_bench.names import short
from w2s_bench.results.belief import read_results
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite

LARGEST, MADE = "w2s-bench-toy/largest", "w2s-bench-toy/made"
TRUST = ["confidence", "probe:folds=3", "verifier", "crossfit_student_gold"]


def made_task(folder: Path) -> Path:
    """A second choice domain: `largest` with other numbers, under other ids."""
    tasks = TOY / "w2s_bench_toy" / "tasks"
    folder.mkdir(parents=True, exist_ok=True)
    text = (tasks / "largest.yaml").read_text().replace("task: w2s_toy_largest", "task: made")
    (folder / "made.yaml").write_text(text)
    loader = (tasks / "loader.py").read_text().replace('f"largest-{', 'f"made-{').replace("Random(0)", "Random(1)")
    (folder / "loader.py").write_text(loader)
    return folder


def two_domains(root: Path, *, trust_from: str | None = MADE, **of_made: Any) -> Suite:
    """`largest`, which learns from the trust set of `made`, and `made`."""
    content = toy_suite(root / "models", seeds=1).model_dump(mode="json")
    largest = content["domains"][0]
    made = {**largest, "name": MADE, "parameters": {"folder": str(made_task(root / "task"))}, **of_made}
    made["sizes"] = {**largest["sizes"], "trust": 30}
    content["domains"] = [{**largest, **({"trust_from": trust_from} if trust_from else {})}, made]
    return Suite.model_validate(content)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trust-from")


@pytest.fixture(scope="module")
def known() -> Documents:
    """Documents of `made`, which another process reads, once for all plans."""
    return Documents()


@pytest.fixture
def planned(known: Documents, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    return lambda suite, **only: plan(suite, toy_registry(monkeypatch), **{"trust": TRUST, "documents": known, **only})


def gold(stages: list[Stage]) -> set[tuple[str, str]]:
    """(domain, split) of the gold among stages."""
    return {
        (short(stage.inputs["answers"].params["domain"]["name"]), stage.params["split"])
        for stage in walk(stages)
        if stage.name == "gold"
    }


@pytest.mark.slow
def test_no_gold_of_its_own_trust_set_lies_behind_anything_of_the_domain(
    root: Path, planned: Callable[..., Plan]
) -> None:
    here = planned(two_domains(root), domains=["largest"])
    assert {cell.task.spec.name for cell in here.cells} == {LARGEST}
    everything = gold(here.targets())
    assert (LARGEST, "trust") not in everything and (MADE, "trust") in everything
    assert {split for domain, split in everything if domain == MADE} <= {"trust", "weak_train"}, "no pool or test of it"
    behind = {
        short(cell.arm.ref.name): gold([cell.stages[0].rows or cell.stages[0].student.predictions])
        for cell in here.cells
    }
    assert behind["probe:folds=3"] == {(LARGEST, "weak_train"), (MADE, "weak_train"), (MADE, "trust")}
    assert behind["verifier"] == {(LARGEST, "weak_train"), (MADE, "weak_train"), (MADE, "trust")}
    assert behind["gold_trust_set"] == {(MADE, "trust")}
    assert behind["naive_plus_gold"] == {(LARGEST, "weak_train"), (MADE, "trust")}
    assert behind["confidence"] == behind["naive"] == {(LARGEST, "weak_train")}


def test_what_learns_from_no_trust_set_and_the_other_domain_stay_what_they_are(
    root: Path, planned: Callable[..., Plan]
) -> None:
    """And a domain without the key is written as ever."""
    without, having = two_domains(root, trust_from=None), two_domains(root)
    assert "trust_from" not in without.to_yaml() and "trust_from: w2s-bench-toy/made" in having.to_yaml()
    assert without.digest != having.digest
    one, other = (
        {cell.row: [s.node for s in cell.targets()] for cell in planned(suite).cells} for suite in (without, having)
    )
    changed = {row for row in one if one[row] != other[row]}
    assert one.keys() == other.keys()
    assert changed == {
        f"w2s-bench-toy.largest/{arm}"
        for arm in ("gold_trust_set", "naive_plus_gold", "probe@folds=3", "verifier", "crossfit_student_gold")
    }


@pytest.mark.slow
def test_a_run_names_whose_trust_set_it_was_and_is_believed_of_that_suite_alone(
    root: Path, tmp_path: Path, planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = two_domains(root)
    here = planned(suite, domains=["largest"], trust=["probe:folds=3"])
    outcomes = run_inline(here.targets(), Store(root / "store"), toy_registry(monkeypatch))
    results = Results(outcomes, Store(root / "store"))
    cells = {short(cell.arm.ref.name): cell_of(cell, results) for cell in here.cells}
    assert {cell.body.trust_from for cell in cells.values()} == {MADE}
    assert not any(cell.body.failed for cell in cells.values())
    assert [seed.kept for seed in cells["gold_trust_set"].body.seeds] == [30], "the size of the other's trust set"
    folder = tmp_path / "toy"
    for cell in cells.values():
        cell.write(folder)
    (folder / "suite.yaml").write_text(here.suite.to_yaml())
    assert len(read_results(folder)[1]) == len(cells)
    write_leaderboard(folder)
    assert "learn from that of w2s-bench-toy/made." in (folder / "README.md").read_text()
    body = cells["naive"].body.model_copy(update={"trust_from": None})
    type(cells["naive"]).of(body, {}).write(folder)
    with pytest.raises(CellError, match="it has trust_from None, the suite's domain 'w2s-bench-toy/made'"):
        read_results(folder)


def test_states_of_another_width_are_not_applicable_and_probabilities_are(
    root: Path, planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {**two_domains(root).domains[0].model_dump(mode="json")["teacher"]}
    wide["model"] = str(root / "models" / "student")
    suite = two_domains(root, teacher=wide)
    here = planned(suite, domains=["largest"], trust=["probe:folds=3", "calibrated"])
    scores = [stage for cell in here.cells if (stage := cell.stages[0].scores) is not None]
    outcomes = run_inline(scores, Store(root / "store"), toy_registry(monkeypatch))
    found = {short(stage.params["function"]["name"]): outcomes[stage.node] for stage in scores}
    assert isinstance(found["calibrated"], Done)
    failed = found["probe"]
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("not applicable: trust_from: of one label teacher.hidden_states")
    assert "(3, 32)" in failed.reason or "32)" in failed.reason


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("w2s-bench-toy/sums", "trust_from 'w2s-bench-toy/sums', which none is of the suite's domains"),
        (LARGEST, "has trust_from itself"),
    ],
)
def test_a_trust_set_that_is_not_there_is_refused(root: Path, name: str, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        two_domains(root, trust_from=name)


def test_what_cannot_go_together_is_refused(root: Path, planned: Callable[..., Plan]) -> None:
    with pytest.raises(ValidationError, match="has trust_from 'w2s-bench-toy/largest' itself"):
        Suite.model_validate(_mutual(two_domains(root)))
    student = two_domains(root).model_dump(mode="json")["domains"][0]["student"]
    content = two_domains(root).model_dump(mode="json")
    content["domains"][0]["chain"] = [student]
    with pytest.raises(ValidationError, match="either a `chain`"):
        Suite.model_validate(content)
    both = toy_suite(root / "models", seeds=1).model_dump(mode="json")
    both["domains"][0]["trust_from"] = "sums"
    with pytest.raises(
        SuiteError, match="is a choice domain and has trust_from 'w2s-bench-toy/sums', a generate domain"
    ):
        planned(Suite.model_validate(both))


def _mutual(suite: Suite) -> dict[str, Any]:
    content = suite.model_dump(mode="json")
    content["domains"][1]["trust_from"] = LARGEST
    return content
