"""Readers who learn in context see solved items of the trust set, never the one that is asked, and only trust functions that may."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support import run_inline, toy_registry, toy_suite
from w2s_bench import Need
from w2s_bench.errors import PluginError
from w2s_bench.executors import Failed
from w2s_bench.plugins.checks import check_trust_function
from w2s_bench.protocol import shots as shots_module
from w2s_bench.protocol.evidence.readings.base import ragged_of
from w2s_bench.protocol.files import ITEMS, READING
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.needs import own_need
from w2s_bench.protocol.shots import BETWEEN, shots
from w2s_bench.record import read_arrays, read_records
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.types import Item, TrainingRow


def item(name: str) -> Item:
    return Item(name, name, name, "all", f"Question {name}?", (" a", " b"))


def solved(name: str) -> TrainingRow:
    return TrainingRow(name, f"Question {name}?", f" answer {name}", False, None, None)


def test_all_items_have_the_same_examples_but_those_that_are_among_them() -> None:
    rows = [solved(f"t{i}") for i in range(10)]
    told = {i.id: i.prompt for i in shots([item("x"), item("y"), *(item(r.id) for r in rows)], rows, 3, seed=1)}
    before = told["x"].removesuffix("Question x?")
    assert told["y"] == before + "Question y?"
    examples = before.split(BETWEEN)[:-1]
    assert len(examples) == 3 and all(part in {r.prompt + r.completion for r in rows} for part in examples)
    for row in rows:
        assert row.completion not in told[row.id], "no item is told its own answer"
        own = told[row.id].removesuffix(row.prompt)
        assert len(own.split(BETWEEN)) == 4
        assert (own == before) == (row.prompt + row.completion not in examples)
    again = shots([item("x")], rows[::-1], 3, seed=1)[0].prompt
    assert again == told["x"] and shots([item("x")], rows, 3, seed=2)[0].prompt != again
    assert shots([item("t0")], [rows[0], rows[1]], 3, seed=1)[0].prompt.count(BETWEEN) == 1, "all there are"


def test_who_learns_from_no_gold_may_not_read_them() -> None:
    class Peeks:
        supervision, scope, needs = "none", "row", (Need("teacher_icl", "choice_probs"),)

        def score(self, evidence: object, *, rng: object) -> None: ...

    with pytest.raises(
        PluginError, match="the teacher_icl is shown the trust set's gold; declare supervision = 'trust_set'"
    ):
        check_trust_function("peeks", Peeks())


def test_readings_are_of_the_prompts_with_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry, shared = toy_registry(monkeypatch), tmp_path_factory.getbasetemp()
    monkeypatch.setattr(shots_module, "SHOTS", 1)  # toy models read 32 tokens
    planned = plan(toy_suite(shared / "toy-models", seeds=1), registry, domains=["largest"], trust=[])
    graph: Generation = next(cell.graphs[0] for cell in planned.cells)
    kinds = [Need("teacher_icl", "choice_probs"), Need("student_icl", "choice_probs"), Need("student", "choice_probs")]
    read = {
        (split, need.of): graph.evidence([own_need(need)], split, with_grades=False, with_gold=False).readings[need]
        for split in ("trust", "transfer")
        for need in kinds
    }
    store = Store(shared / "toy-store")
    outcomes = run_inline(list(read.values()), store, registry)
    folders = {key: outcomes[stage.node].result.path for key, stage in read.items()}  # type: ignore[union-attr]
    values = {key: ragged_of(read_arrays(folder / READING)).values for key, folder in folders.items()}
    for split, size in (("trust", 24), ("transfer", 100)):
        shown = read[split, "teacher_icl"].inputs["subset"]
        assert shown.node == read[split, "student_icl"].inputs["subset"].node, "one stage for both readers"
        items = read_records(outcomes[shown.node].result.path / ITEMS, Item)  # type: ignore[union-attr]
        assert len(items) == size and all(one.prompt.count(BETWEEN) == 1 for one in items)
        assert np.isfinite(values[split, "teacher_icl"]).all()
        assert not np.allclose(values[split, "student_icl"], values[split, "student"]), "examples change what is said"
    monkeypatch.setattr(shots_module, "SHOTS", 4)
    graph = next(cell.graphs[0] for cell in plan(planned.suite, registry, domains=["largest"], trust=[]).cells)
    need = kinds[0]
    long = graph.evidence([own_need(need)], "transfer", with_grades=False, with_gold=False).readings[need]
    failed = run_inline([long], store, registry)[long.node]
    assert isinstance(failed, Failed)
    assert (
        "not applicable: choice_probs asks more of model" in failed.reason
        and "than it reads: prompt and" in failed.reason
    )
    assert "shots" in {stage.name for stage in walk([read["transfer", "student_icl"]])}
    assert "shots" not in {stage.name for stage in walk([read["transfer", "student"]])}
