"""Kept rows in order of trust: the order comes from scores alone, students see it, and it is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stage_functions import named
from support import run_stage, toy_registry, toy_suite
from w2s_bench.controls import TRUST_FIRST, TRUST_LAST
from w2s_bench.errors import ModelError
from w2s_bench.models.head import train_head
from w2s_bench.models.objectives import XENT
from w2s_bench.names import of_arm, short
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import training
from w2s_bench.protocol.files import FORMAT, ITEMS, PREDICTIONS, ROWS, STATE_IDS, STATES
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.needs import own_need
from w2s_bench.protocol.recipes import head as heads
from w2s_bench.protocol.scores import Scores, by_trust
from w2s_bench.protocol.selection import top_ids
from w2s_bench.record import read_records, write_arrays, write_json, write_records
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite
from w2s_bench.types import Item, Need, Prediction, TrainingRow

HASH = "w2s-bench-toy/prompt_hash"


def written(folder: Path) -> dict[str, Path]:
    """Six items of a pool with weak labels; five are kept, of which two have one score and one weighs more."""
    at = {name: folder / name for name in ("subset", "labels", "kept", "scores")}
    for path in at.values():
        path.mkdir()
    write_records(at["subset"] / ITEMS, [Item(i, i, i, "s", f"prompt {i}", None) for i in "abcdef"])
    write_json(at["subset"] / FORMAT, {"kind": "generate", "until": [], "delimiter": " "})
    write_records(at["labels"] / PREDICTIONS, [Prediction(i, i, f" {i}", True) for i in "fedcba"])
    Kept.weighted({"a": 1.0, "b": 2.0, "c": 1.0, "d": 1.0, "f": 1.0}, 5).write(at["kept"])
    Scores.of([*"fbdeca"], np.array([0.5, 3.0, -1.0, 9.0, 0.5, 2.0])).write(at["scores"])
    return at


def test_rows_have_their_turns_by_their_scores_and_are_otherwise_what_they_are(tmp_path: Path) -> None:
    at = written(tmp_path)
    usual = {name: path for name, path in at.items() if name != "scores"}
    shuffled = read_records(run_stage(training.make_weak_rows, tmp_path / "usual", {}, **usual) / ROWS, TrainingRow)
    turns = {}
    for first in ("most", "least"):
        params = {"first": first, "seed": 4}
        out = run_stage(training.make_rows_by_trust, tmp_path / first, params, **at)
        rows = read_records(out / ROWS, TrainingRow)
        assert [replace(row, turn=None) for row in rows] == shuffled
        turns[first] = {row.id: row.turn for row in rows}
    assert set(turns["most"]) == set("abcdf") and sorted(turns["most"].values()) == [*range(5)]  # type: ignore[type-var]
    by_turn = sorted(turns["most"], key=lambda name: turns["most"][name] or 0)
    assert by_turn[:2] == ["b", "a"] and set(by_turn[2:4]) == {"c", "f"} and by_turn[4] == "d"
    assert turns["least"] == {name: 4 - (turn or 0) for name, turn in turns["most"].items()}
    scores = Scores.read(at["scores"])
    assert top_ids(scores, 4, 4) == sorted(["e", *by_turn[:3]]), (
        "of equal scores the one that `top` would keep comes first"
    )


def test_equal_scores_are_parted_by_the_seed() -> None:
    ids = [f"i{n}" for n in range(30)]
    same = dict.fromkeys(ids, 1.0)
    assert by_trust(same, ids, 1) == by_trust(same, reversed(ids), 1) != by_trust(same, ids, 2)


def test_scores_alone_give_the_order() -> None:
    """Whether a label is right is no input, nor is the trust set."""
    inputs = {name: named(name) for name in ("subset", "labels", "kept", "scores")}
    stage = training.rows_by_trust(**inputs, first="most", seed=3)
    assert set(stage.inputs) == set(inputs) and stage.params == {"first": "most", "seed": 3}


# In a run's graph.


@pytest.fixture
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return toy_suite(tmp_path_factory.getbasetemp() / "toy-models", seeds=1)


def planned_as(suite: Suite, patch: pytest.MonkeyPatch, **student: Any) -> Plan:
    content = suite.model_dump(mode="json")
    content["domains"] = content["domains"][:1]
    content["domains"][0]["student"].update(student)
    return plan(Suite.model_validate(content), toy_registry(patch), trust=[HASH], decompose=True)


def test_a_student_of_ordered_rows_differs_in_its_rows_alone(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {short(cell.arm.ref.name): cell for cell in planned_as(suite, monkeypatch).cells}
    usual = cells[HASH].stages[0]
    for word, first in ((TRUST_FIRST, "most"), (TRUST_LAST, "least")):
        own = cells[of_arm(word, HASH)].stages[0]
        assert own.kept is not None and usual.kept is not None and own.kept.node == usual.kept.node
        weights, shuffled = own.student.weights, usual.student.weights
        assert weights is not None and shuffled is not None and own.rows is not None and usual.scores is not None
        assert weights.params == shuffled.params and set(weights.inputs) == set(shuffled.inputs) == {"rows"}
        assert own.rows.name == "rows_by_trust" and own.rows.params["first"] == first
        assert own.rows.inputs["scores"].node == usual.scores.node
        assert weights.inputs["rows"].node == own.rows.node != shuffled.inputs["rows"].node


def test_where_a_head_is_fitted_to_convergence_there_is_no_order_and_that_is_said(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = planned_as(suite, monkeypatch, recipe="head")
    assert not any(cell.arm.ref.facts.in_order for cell in fitted.cells)
    assert any(short(cell.arm.ref.name) == of_arm("gold_kept", HASH) for cell in fitted.cells)
    (said,) = [note for note in fitted.passed_over if TRUST_FIRST in note]
    assert said == (
        "not applicable to w2s-bench-toy/largest: trust_first and trust_last; a head that is fitted to convergence sees all "
        "rows at every step"
    )
    for student in ({"recipe": "head", "ridge": []}, {"recipe": "lora"}):
        by_steps = planned_as(suite, monkeypatch, **student)
        assert sum(cell.arm.ref.facts.in_order for cell in by_steps.cells) == 2, "it is trained step by step"
        assert not any(TRUST_FIRST in note for note in by_steps.passed_over)


def test_a_head_that_is_fitted_to_convergence_has_no_course_of_training_to_follow(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer steps or another seed give the same head: its students at half the steps would be the final one, under another name."""
    course = [own_need(Need("student", "dynamics", points=3))]

    def graph(**student: Any) -> Any:
        return planned_as(suite, monkeypatch, **student).cells[0].graphs[0]

    said = graph(recipe="head").lacking(course)
    assert said == (
        "reading 'dynamics' is of models that steps and seeds tell apart, and a head that is fitted to convergence sees all rows at "
        "every step"
    )
    for student in ({"recipe": "head", "ridge": []}, {"recipe": "lora"}, {"recipe": "full"}):
        assert graph(**student).lacking(course) is None, "it is trained step by step"
    assert graph(recipe="head").lacking([own_need(Need("student", "choice_probs"))]) is None
    monkeypatch.undo()
    content = load_suite("tiny").model_dump(mode="json")
    content["domains"] = [domain for domain in content["domains"] if domain["name"].endswith("knowledge")]
    content["domains"][0]["student"]["recipe"] = "head"
    planned = plan(Suite.model_validate(content), Registry.load(), trust=["aum", "el2n", "confidence"])
    assert planned.passed_over == (f"not applicable to knowledge: aum, el2n; {said}",), "a run says so at once"


def test_teachers_that_are_heads_fitted_to_convergence_are_no_ensemble(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = suite.model_dump(mode="json")
    content["domains"] = content["domains"][:1]
    others, said = [own_need(Need("teacher", "ensemble", k=2))], []
    for teacher in ({"recipe": "head"}, {"recipe": "full"}):
        content["domains"][0]["teacher"].update(teacher)
        planned = plan(Suite.model_validate(content), toy_registry(monkeypatch), trust=[HASH])
        said.append(planned.cells[0].graphs[0].lacking(others))
    assert said[0] is not None and "tell apart" in said[0] and said[1] is None


def test_a_head_by_steps_sees_the_order_and_one_fitted_to_convergence_refuses_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(24, 5)).astype(np.float32)
    offsets = np.arange(0, 25, 2)
    arrays: dict[str, Any] = {
        "layer 1": values,
        "scores": np.zeros(24),
        "offsets": offsets.astype(np.int64),
    }
    write_arrays(tmp_path / STATES, arrays)
    ids = [f"i{n:02}" for n in range(12)]
    write_json(tmp_path / STATE_IDS, ids)
    labels = rng.integers(0, 2, 12)
    turns = rng.permutation(12).tolist()
    rows = [
        TrainingRow(name, "p", " a", False, ("a", "b"), int(label), turn=turn)
        for name, label, turn in zip(ids, labels, turns, strict=True)
    ]
    how: dict[str, Any] = {"steps": 7, "batch_size": 4, "learning_rate": 0.05, "seed": 1}
    found, _ = heads.trained([tmp_path], rows, **how)
    order = sorted(range(12), key=turns.__getitem__)
    expected, _ = train_head(values, offsets, labels, zero_shot=np.zeros(24), order=order, **how)
    shuffled, _ = heads.trained([tmp_path], [replace(row, turn=None) for row in rows], **how)
    assert np.array_equal(found.weight, expected.weight) and not np.array_equal(found.weight, shuffled.weight)
    with pytest.raises(
        ModelError, match=r"these rows have an order, and a head that is fitted .* take ridge: \[\], or"
    ):
        heads.trained([tmp_path], rows, grid=[1.0], objective=XENT, **how)
