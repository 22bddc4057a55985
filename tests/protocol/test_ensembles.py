"""Teachers of other seeds, and passes with dropout: trained and read, and where there are none the cell says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import architectures
from support import run_inline, toy_model, toy_registry, toy_suite
from w2s_bench import Need
from w2s_bench.errors import EvidenceError, NotApplicableError
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.protocol.evidence.readings.base import ragged_of
from w2s_bench.protocol.evidence.readings.mc_dropout import McDropout
from w2s_bench.protocol.evidence.view import EvidenceView
from w2s_bench.protocol.files import READING
from w2s_bench.protocol.needs import lacks, own_need
from w2s_bench.record import read_arrays
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.types import Item, Prediction, TrainingRow

NEED = Need("teacher", "ensemble", k=2)
ROWS = [TrainingRow(f"r{i}", f"w{i + 5} w9", " w2", False, (" w2", " w3", " w4"), 0) for i in range(4)]


def test_teachers_of_other_seeds_are_trained_on_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry, shared = toy_registry(monkeypatch), tmp_path_factory.getbasetemp()
    planned = plan(toy_suite(shared / "toy-models", seeds=1), registry, domains=["largest"], trust=[])
    graph = planned.cells[0].graphs[0]
    read = {
        split: graph.evidence([own_need(NEED)], split, with_grades=False, with_gold=False).readings[NEED]
        for split in ("trust", "transfer")
    }
    assert graph.teacher.weights is not None
    trained = {split: [part.inputs["weights"] for part in stage.inputs.values()] for split, stage in read.items()}
    assert [s.node for s in trained["trust"]] == [s.node for s in trained["transfer"]], "one ensemble reads both splits"
    assert {s.inputs["rows"].node for s in trained["trust"]} == {graph.teacher.weights.inputs["rows"].node}
    assert len({s.params["seed"] for s in [*trained["trust"], graph.teacher.weights]}) == 3
    outcomes = run_inline([read["trust"]], Store(shared / "toy-store"), registry)
    told = ragged_of(read_arrays(outcomes[read["trust"].node].result.path / READING))  # type: ignore[union-attr]
    assert len(told) == 24
    for row in told:
        assert row.shape[1] == 2 and np.allclose(row.sum(0), 1) and not np.allclose(row[:, 0], row[:, 1])


def test_of_a_teacher_that_is_used_as_it_is_there_are_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry, shared = toy_registry(monkeypatch), tmp_path_factory.getbasetemp()
    suite = toy_suite(shared / "toy-models", seeds=1)
    domain = suite.domains[0].model_dump()
    domain["teacher"] = {"model": domain["teacher"]["model"], "recipe": "none"}
    planned = plan(
        suite.model_copy(update={"domains": (type(suite.domains[0]).model_validate(domain),)}), registry, trust=[]
    )
    graph = planned.cells[0].graphs[0]
    assert "this one is used as it is" in str(lacks(own_need(NEED), graph.readers, "choice"))
    assert "this one is used as it is" in str(graph.lacking([own_need(NEED)])), (
        "a function that needs it is not applicable"
    )
    other = own_need(Need("teacher", "choice_probs"))
    assert graph.lacking([other]) is None, "and no other is"
    assert not graph.evidence([own_need(NEED)], "trust", with_grades=False, with_gold=False).readings
    items = [Item("a", "a", "a", "s", "p", (" x", " y"))]
    labels = [Prediction("a", "x", " x", False, 0, (0.0, -1.0))]
    view = EvidenceView(items, labels, salt="s", declared=(NEED,), arrays={}, fitting=False)
    with pytest.raises(EvidenceError, match="there are no others of other seeds"):
        view.read(NEED)


def test_passes_with_dropout_differ_and_leave_the_model_as_it_was(tmp_path: Path) -> None:
    engine = load_engine(LocalModel("gpt2", architectures.save("gpt2", tmp_path)))
    for layer in engine.model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.3
    before = engine.choice_scores(ROWS)
    state = torch.random.get_rng_state()
    told = McDropout(5).read(engine, ROWS, rng=np.random.default_rng(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    for row in told:
        assert row.shape == (3, 5) and np.allclose(row.sum(0), 1) and row.std(1).max() > 0
    again = McDropout(5).read(engine, ROWS, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(np.stack(list(told)), np.stack(list(again)))
    for one, other in zip(engine.choice_scores(ROWS), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_a_model_without_dropout_there_are_none(tmp_path: Path) -> None:
    engine = load_engine(LocalModel("toy", toy_model(tmp_path / "model", width=16, layers=1)))
    with pytest.raises(
        NotApplicableError,
        match=r"^not applicable: mc_dropout asks for a model with dropout, and model 'toy' has no layer of it",
    ):
        McDropout(2).read(engine, ROWS, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 1000, got 0"):
        McDropout(0)
