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
from w2s_bench.names import short
from w2s_bench.results.cells import CellBody
from w2s_bench.results.seed_results import KEPT_BY_DIFFICULTY, KEPT_BY_LENGTH
from w2s_bench.runs.collect import Results, cell_of
from w2s_bench.runs.kept_mix import QUARTERS, by_quarter, lengths
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
        cells = {short(cell.arm.ref.name): cell_of(cell, results).body for cell in planned.cells}
        yield SimpleNamespace(cells=cells, planned=planned, sizes=suite.domains[0].sizes)


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
    assert all(
        KEPT_BY_LENGTH not in seed.diagnostics or len(seed.diagnostics[KEPT_BY_LENGTH]) > 1
        for seed in ran.cells[HASH].seeds
    )


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
