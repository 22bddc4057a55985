"""What cells with full diagnostics say of the rows that are kept beside those of the pool, and of what lies behind an arm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import run_inline, toy_registry, toy_suite
from w2s_bench.executors.outcomes import Failed
from w2s_bench.names import short
from w2s_bench.results.against_suite import against_suite
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.seed_results import KEPT_BY_DIFFICULTY, KEPT_BY_LENGTH, NO_DIFFICULTY
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.kept_mix import QUARTERS, by_quarter, lengths, stages
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.types import Prediction

HASH = "w2s-bench-toy/prompt_hash"


def test_quarters_by_hand() -> None:
    values = {str(i): float(i) for i in range(8)}
    lowest = {row: value < 3 for row, value in values.items()}
    assert by_quarter(values, lowest) == dict(zip(QUARTERS, (1.0, 0.5, 0.0, 0.0), strict=True))
    tied = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 9.0}
    kept = {"a": True, "b": False, "c": False, "d": True}
    assert by_quarter(tied, kept) == {QUARTERS[1]: pytest.approx(1 / 3), QUARTERS[3]: 1.0}, (
        "equal values stand together"
    )
    assert by_quarter(dict.fromkeys("abcd", 2.0), kept) == {}, "of equal values there is nothing to tell"
    assert by_quarter({}, kept) == {}
    labels = [Prediction("a", "12", " 12", True), Prediction("b", "7", "so 3 + 4 = 7", True)]
    assert lengths(labels) == {"a": 2.0, "b": 12.0}, "of what the student is trained on, without space around it"


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_shares_of_quarters_come_to_what_is_kept(rows: list[tuple[int, bool]]) -> None:
    values = {str(i): float(value) for i, (value, _) in enumerate(rows)}
    kept = {str(i): is_kept for i, (_, is_kept) in enumerate(rows)}
    shares = by_quarter(values, kept)
    if len(set(values.values())) == 1:
        assert shares == {}
        return
    every = by_quarter(values, dict.fromkeys(values, True))
    assert set(shares) == set(every) and set(every.values()) == {1.0}
    alone = [by_quarter(values, {row: row == one for row in values}) for one in values]  # 1 / the size of its quarter
    sizes = {name: 1 / max(of[name] for of in alone) for name in every}
    assert sum(sizes.values()) == pytest.approx(len(values))
    assert sum(shares[name] * size for name, size in sizes.items()) == pytest.approx(sum(kept.values()))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        registry = toy_registry(patch)
        shared = tmp_path_factory.getbasetemp()  # with other files of this test run
        suite = toy_suite(shared / "toy-models", coverage=0.4, diagnostics="full")
        arms = ("weak", "base", "naive", "oracle", "gold_random", "gold_trust_set", HASH)
        rows = [f"w2s-bench-toy.largest/{name.replace('/', '.')}" for name in arms]
        planned = plan(suite, registry, domains=["largest"], trust=[HASH], rows=rows)
        results = Results(
            run_inline(planned.targets(), Store(shared / "toy-store"), registry), Store(shared / "toy-store")
        )
        made = {short(cell.arm.ref.name): cell_of(cell, results) for cell in planned.cells}
        cells = {name: cell.body for name, cell in made.items()}
        yield SimpleNamespace(
            cells=cells, made=made, planned=planned, results=results, suite=suite, sizes=suite.domains[0].sizes
        )


def test_a_cell_says_how_much_gold_lies_behind_its_answers(ran: Any) -> None:
    sizes = ran.sizes
    assert {name: body.spent.gold_labels for name, body in ran.cells.items()} == {
        "weak": sizes.weak_train,
        "base": 0,
        "naive": sizes.weak_train,
        "oracle": sizes.weak_train + sizes.transfer,
        "gold_random": sizes.weak_train + sizes.transfer,  # drawn from the items that the teacher has labelled
        "gold_trust_set": sizes.trust,
        HASH: sizes.weak_train,
    }
    assert ran.cells["base"].spent.steps == 0 < ran.cells["weak"].spent.steps < ran.cells["naive"].spent.steps


def test_a_cell_says_how_long_and_how_hard_its_rows_are(ran: Any) -> None:
    for name in ("oracle", "gold_random", HASH):
        for seed in ran.cells[name].seeds:
            shares = seed.diagnostics[KEPT_BY_DIFFICULTY]
            assert set(shares) <= set(QUARTERS) and min(shares.values()) < max(shares.values())
            assert min(shares.values()) <= seed.coverage <= max(shares.values())
    assert set(ran.cells["naive"].seeds[0].diagnostics[KEPT_BY_DIFFICULTY].values()) == {1.0}
    assert not any(
        KEPT_BY_DIFFICULTY in seed.diagnostics for name in ("weak", "base") for seed in ran.cells[name].seeds
    )
    for seed in ran.cells[HASH].seeds:
        different = set(lengths(ran.results.labels(_of(ran, HASH, seed.seed)[0])).values())
        assert (KEPT_BY_LENGTH in seed.diagnostics) == (len(different) > 1), "labels of one length have no quarters"


def _of(ran: Any, name: str, seed: int) -> list[Any]:
    """The weak labels and the difficulties behind a cell's seed."""
    cell = next(cell for cell in ran.planned.cells if short(cell.arm.ref.name) == name)
    return stages(cell.arm.ref.facts, cell.graphs[seed])


def test_what_is_said_of_kept_rows_is_no_part_of_what_an_arm_takes(ran: Any) -> None:
    for cell in ran.planned.cells:
        name = short(cell.arm.ref.name)
        own = [*walk([stage for graph in cell.graphs for stage in cell.made_of(graph.seed)])]
        assert ran.made[name].provenance["cost"]["stages"] == len(own)
        assert "difficulty" not in {stage.name for stage in own}
    naive = next(cell for cell in ran.planned.cells if short(cell.arm.ref.name) == "naive")
    assert "difficulty" in {stage.name for stage in walk(naive.targets())}, "and it is computed all the same"


def test_a_cell_whose_difficulties_failed_has_all_else(ran: Any) -> None:
    _, difficulty = _of(ran, "oracle", 0)
    failed = Failed(stage=difficulty.label, reason="no memory", cause_node=difficulty.node)
    results = Results({**ran.results.outcomes, difficulty.node: failed}, ran.results.store)
    cell = next(cell for cell in ran.planned.cells if short(cell.arm.ref.name) == "oracle")
    lost, whole = cell_of(cell, results).body.seeds, ran.cells["oracle"].seeds
    assert lost[0].error is None and lost[0].accuracy == whole[0].accuracy
    assert KEPT_BY_DIFFICULTY not in lost[0].diagnostics and "no memory" in lost[0].diagnostics[NO_DIFFICULTY]
    kept = {name for name in whole[0].diagnostics if name != KEPT_BY_DIFFICULTY}
    assert kept == {*lost[0].diagnostics} - {NO_DIFFICULTY}
    assert lost[1:] == whole[1:], "the other seeds are what they were"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"gold_labels": 10_000}, "it had 10000 gold labels, of"),
        ({"steps": 1}, "it took 1 steps, its student alone takes"),
    ],
)
def test_what_cannot_lie_behind_an_arm_is_refused(ran: Any, wrong: dict[str, int], said: str) -> None:
    cell = ran.made["naive"]
    assert not list(against_suite(cell, ran.suite))
    spent = cell.body.spent.model_copy(update=wrong)
    (fault,) = against_suite(Cell.of(cell.body.model_copy(update={"spent": spent}), cell.provenance), ran.suite)
    assert fault.startswith(said)
    usual = ran.suite.model_copy(update={"diagnostics": "usual"})
    assert any("which the suite does not ask for" in fault for fault in against_suite(cell, usual))


def test_gold_of_another_domains_teacher_lies_behind_what_its_trust_set_taught(ran: Any) -> None:
    """A bound that leaves it out would refuse cells that a run has written."""
    own, sizes = ran.suite.domains[0], ran.sizes
    other = own.model_copy(update={"name": "w2s-bench-toy/other"})
    taught = own.model_copy(update={"trust_from": "other"})
    suite = ran.suite.model_copy(update={"domains": (taught, other)})
    most = 2 * sizes.weak_train + sizes.trust + sizes.transfer + sizes.of(suite.evaluate_on)
    cell = ran.made["naive"]
    for gold, refused in ((most, False), (most + 1, True)):
        spent = cell.body.spent.model_copy(update={"gold_labels": gold})
        body = cell.body.model_copy(update={"spent": spent, "trust_from": "other"})
        faults = [fault for fault in against_suite(Cell.of(body, {}), suite) if "gold labels" in fault]
        assert bool(faults) == refused


def test_nothing_that_is_trained_or_scored_reads_how_hard_items_are(ran: Any) -> None:
    for cell in ran.planned.cells:
        for own in cell.stages:
            assert "difficulty" not in {stage.name for stage in walk([own.student.predictions])}, cell.row


def test_a_usual_suite_has_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = toy_suite(tmp_path / "models")
    planned = plan(suite, toy_registry(monkeypatch), trust=[HASH])
    assert "difficulty" not in {stage.name for stage in planned.stages()}


def test_what_lies_behind_is_left_out_of_files_that_have_none(ran: Any) -> None:
    told = ran.cells["naive"].model_dump(mode="json")
    assert told["spent"] == {"steps": ran.cells["naive"].spent.steps, "gold_labels": ran.sizes.weak_train}
    assert "spent" not in CellBody.model_validate({**told, "spent": None}).model_dump(mode="json")
