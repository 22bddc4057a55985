"""`analyse`: from a toy run's folder and store to a page, through the store; and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from support import run_inline, toy_registry, toy_suite
from w2s_bench._cli.app import app
from w2s_bench.errors import StoreError, UnknownNameError
from w2s_bench.executors import Event, Outcome
from w2s_bench.names import of_arm, short
from w2s_bench.protocol.files import ANSWERS, KEPT, PREDICTIONS, ROWS
from w2s_bench.protocol.gradients import Gradients
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_json, read_rows
from w2s_bench.results.cells import Cell
from w2s_bench.results.mechanisms.facts import SECTIONS
from w2s_bench.results.mechanisms.page import PAGE, pages
from w2s_bench.runs.analyse import analyse
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.looked import new_stages
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite

pytestmark = pytest.mark.slow

HASH = "w2s-bench-toy/prompt_hash"
ARMS = [
    *("weak", "ceiling", "naive", "random", "gold_random", "easy", "easy_gold", HASH),
    *(of_arm(word, HASH) for word in ("gold_kept", "matched_random", "trust_first", "trust_last")),
]
DOMAINS = ("largest", "sums")


class Inline:
    """An executor without processes; `new` has the names of the stages that were not stored."""

    def __init__(self, registry: Any) -> None:
        self.registry, self.new = registry, list[str]()

    def run(
        self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None] = lambda event: None
    ) -> Mapping[str, Outcome]:
        before = {path for path in store.root.glob("*/*") if path.is_dir()}
        outcomes = run_inline(targets, store, self.registry)
        self.new = [path.parent.name for path in store.root.glob("*/*") if path.is_dir() and path not in before]
        return outcomes


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A decomposed run of both toy domains, of few rows; one seed; 60 of 100 items are kept."""
    with pytest.MonkeyPatch.context() as patch:
        registry, shared = toy_registry(patch), tmp_path_factory.getbasetemp()
        suite = toy_suite(shared / "toy-models", coverage=0.6, seeds=1)
        planned = plan(suite, registry, trust=[HASH], decompose=True)
        cells = [cell for cell in planned.cells if short(cell.arm.ref.name) in map(short, ARMS)]
        assert len(cells) == 2 * len(ARMS)
        store = Store(tmp_path_factory.mktemp("store") / "toy")
        results = Results(run_inline([s for cell in cells for s in cell.targets()], store, registry), store)
        folder = tmp_path_factory.mktemp("analyse") / "toy"
        folder.mkdir()
        (folder / "suite.yaml").write_text(planned.suite.to_yaml())
        for cell in cells:
            cell_of(cell, results).write(folder)
        executor = Inline(registry)
        options = {"store": store.root, "executor": executor, "sample": 100, "trust_folder": True}
        found = analyse(folder, **options)
        yield SimpleNamespace(
            folder=folder,
            store=store,
            executor=executor,
            cells=cells,
            options=options,
            found=found,
            new=list(executor.new),
        )


def test_every_section_has_its_figures_in_both_kinds_of_domain(ran: Any) -> None:
    found = ran.found
    assert found.problems == () and found.decompose == "" and found.sections == SECTIONS
    assert [domain.name for domain in found.domains] == [f"w2s-bench-toy/{name}" for name in DOMAINS]
    for domain in found.domains:
        arms = {arm.arm: arm for arm in domain.curriculum.arms}
        assert set(arms) == {"random", "gold_random", "easy", "easy_gold", HASH}
        assert arms["easy"].kept_place.values == pytest.approx((0.3,)), "the 60 easiest of 100"
        assert arms["easy"].kept_loss.mean < domain.curriculum.pool_loss.mean
        assert len(arms[HASH].spearman.there) == 1 and not arms["random"].spearman.there
        assert set(domain.easy) == {"easy", "easy_gold", "random", "gold_random"}
        for told in (domain.gradients, domain.warmed):
            gradients = {arm.arm: arm for arm in told.arms}
            assert told.rows == (60,) and told.held_out == 30
            assert {"naive", "ceiling", "random", HASH} <= set(gradients)
            assert gradients["ceiling"].labels == "gold" and gradients["naive"].labels == "weak"
            assert all(0 < arm.effective_rank.mean <= 60 for arm in gradients.values())
        assert domain.gradients.steps == 0 < domain.warmed.steps
        fit, kind = domain.fit, "generate" if domain.name.endswith("sums") else "choice"
        assert len(fit.steps) == len(fit.right) == len(fit.wrong) == 6 and list(fit.steps) == sorted(fit.steps)
        assert all(0 <= at.mean <= 1 for at in (*fit.right, *fit.wrong) if at.mean is not None)
        shown = {arm.arm: arm for arm in domain.solutions}
        assert {*shown} == ({"naive", "random", "easy", HASH} if kind == "generate" else set())
        assert [told.arm for told in domain.orders] == [HASH] and domain.no_order == ""
    assert [told.arm for told in found.attribution] == [HASH]


def test_an_analysis_goes_through_the_store_and_is_the_same_again(ran: Any) -> None:
    assert ran.new.count("gradients") == 2 * 2 * 3, "weak labels, gold and dev's gold, a domain and student"
    again = analyse(ran.folder, **ran.options)
    assert ran.executor.new == [] and again == ran.found and pages(again) == pages(ran.found)


def test_no_student_tells_how_hard_an_item_is_that_it_was_trained_on(ran: Any) -> None:
    cell = next(cell for cell in ran.cells if cell.arm.ref.name == "easy")
    graph = cell.graphs[0]
    kept = cell.stages[0].kept
    assert kept is not None
    outcomes = Results(run_inline([graph.difficulty, kept], ran.store, ran.executor.registry), ran.store)
    told: list[str] = []
    for stage in walk([graph.difficulty]):
        if stage.name == "read":
            asked = {row["id"] for row in read_rows(outcomes.folder(stage.inputs["labels"]) / PREDICTIONS)}
            trained = {row["id"] for row in read_rows(outcomes.folder(stage.inputs["weights"].inputs["rows"]) / ROWS)}
            assert asked and trained and not asked & trained
            told += asked
    difficulty = dict(Scores.read(outcomes.folder(graph.difficulty)).items())
    assert sorted(told) == sorted(difficulty) and min(difficulty.values()) >= 0
    assert {s.params["split"] for s in walk([graph.difficulty]) if s.name == "gold"} == {"transfer"}
    ids = read_json(outcomes.folder(kept) / KEPT)["ids"]
    assert max(difficulty[row] for row in ids) <= min(v for row, v in difficulty.items() if row not in ids)


def test_weak_and_gold_gradients_are_of_the_same_items_and_differ_where_labels_do(ran: Any) -> None:
    cell = next(cell for cell in ran.cells if cell.arm.ref.name == "naive" and cell.domain.name.endswith("largest"))
    graph = cell.graphs[0]
    looked = new_stages(graph, SECTIONS, 100)
    wanted = [graph.gold("transfer"), graph.label_grades("transfer"), *looked.stages()]
    outcomes = Results(run_inline(wanted, ran.store, ran.executor.registry), ran.store)
    right = outcomes.grades(graph.label_grades("transfer"))
    gold = {row["id"] for row in read_rows(outcomes.folder(graph.gold("transfer")) / ANSWERS)}
    at_each = []
    for taken in (looked.untuned, looked.warmed):
        assert taken is not None
        weak_and_gold = [Gradients.read(outcomes.folder(stage)) for stage in (taken.weak, taken.gold)]
        assert all(set(one.places) == gold for one in weak_and_gold)
        assert list(weak_and_gold[0].places) == list(weak_and_gold[1].places)
        for row, told in right.items():
            same = np.array_equal(*(one.of([row]) for one in weak_and_gold))
            assert same == told, "this domain's options are distinct"
        at_each.append(weak_and_gold[1].values)
    assert not np.array_equal(*at_each), "the student has moved"


def test_a_student_is_warmed_up_by_weak_labels_alone_and_few_steps(ran: Any) -> None:
    for cell in ran.cells:
        graph = cell.graphs[0]
        looked = new_stages(graph, ["gradients"], 100)
        assert looked.difficulty is None and looked.untuned is not None and looked.warmed is not None
        (weights,) = {
            stage.inputs["weights"].node: stage.inputs["weights"] for stage in looked.warmed.stages()
        }.values()
        assert not any("weights" in stage.inputs for stage in looked.untuned.stages())
        assert weights.params["steps"] == looked.steps == max(1, round(0.2 * graph.task.spec.student.steps))
        assert {s.params["split"] for s in walk([weights]) if s.name == "gold"} <= {"weak_train"}
        assert weights.inputs["rows"].inputs["labels"].node == graph.weak_labels("transfer").node


@pytest.mark.parametrize(("ridge", "warms_up"), [([0.1], False), ([], True)])
def test_a_head_that_is_fitted_to_convergence_has_no_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ridge: list[float], warms_up: bool
) -> None:
    """A fifth of its steps would bound the iterations of the same fit, and be the finished student."""
    content = toy_suite(tmp_path / "models", seeds=1).model_dump(mode="json")
    (domain,) = [one for one in content["domains"] if one["name"].endswith("largest")]
    domain["student"] |= {"recipe": "head", "ridge": ridge}
    planned = plan(Suite.model_validate(content | {"domains": [domain]}), toy_registry(monkeypatch), trust=[])
    looked = new_stages(planned.cells[0].graphs[0], ["gradients"], 16)
    assert looked.untuned is not None and (looked.warmed is not None) == warms_up


def test_a_store_that_lacks_the_run_is_told_of_with_the_command_that_makes_it(ran: Any, tmp_path: Path) -> None:
    with pytest.raises(
        StoreError,
        match=r"lacks .* of these stages .*w2s-bench run .*suite.yaml --trust .*prompt_hash --decompose --out",
    ):
        analyse(ran.folder, **{**ran.options, "store": tmp_path / "empty"})
    assert not (tmp_path / "empty").exists()
    only = analyse(ran.folder, **{**ran.options, "store": tmp_path / "empty"}, sections=["attribution"])
    assert only.attribution == ran.found.attribution, "cells alone tell it"
    with pytest.raises(UnknownNameError, match="unknown domain 'maths'"):
        analyse(ran.folder, **ran.options, domains=["maths"])


def test_a_store_of_another_outcome_is_refused(ran: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ran.folder, tmp_path / "toy"))
    path = folder / "results" / "w2s-bench-toy.largest" / "random.json"
    cell = Cell.model_validate_json(path.read_text())
    first = cell.body.seeds[0]
    told = first.model_copy(update={"digests": {**first.digests, "kept": "0" * 64}})
    Cell.of(cell.body.model_copy(update={"seeds": (told, *cell.body.seeds[1:])}), {}).write(folder)
    with pytest.raises(StoreError, match="the rows that this store keeps are not those of the cell"):
        analyse(folder, **ran.options, domains=["w2s-bench-toy/largest"])


def test_a_run_without_explaining_controls_says_how_to_have_them(ran: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ran.folder, tmp_path / "toy"))
    for path in folder.glob("results/*/*.json"):
        if path.stem.startswith(("easy", "gold_kept", "matched_random", "trust_first", "trust_last")):
            path.unlink()
    found = analyse(folder, **ran.options, domains=["w2s-bench-toy/sums"])
    assert found.attribution == () and "--decompose --out" in found.decompose
    page = pages(found)[PAGE]
    assert page.count("--decompose --out") == 3 and "This run has no arms `easy` and `easy_gold`" in page


def test_the_command_writes_the_page_and_prints_json(ran: Any, tmp_path: Path) -> None:
    asked = ["analyse", str(ran.folder), "--section", "attribution", "--store", str(ran.store.root), "--trust-folder"]
    told = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "page"), "--quiet"])
    assert told.exit_code == 0, told.output
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["analysis-attribution.svg", PAGE]
    printed = CliRunner().invoke(app, [*asked, "--json"])
    assert json.loads(printed.stdout)["attribution"][0]["arm"] == HASH
    assert not (ran.folder / PAGE).exists(), "JSON alone leaves the folder as it is"
    (tmp_path / "file").write_text("")
    refused = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "file")])
    assert refused.exit_code == 2 and "is a file" in refused.stderr
