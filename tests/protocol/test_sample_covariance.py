"""The covariance of drawn answers' states is that of the answers that the model draws, each read by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support import run_inline, toy_registry, toy_suite
from w2s_bench.executors import Done
from w2s_bench.protocol.evidence.readings.sample_covariance import covariance
from w2s_bench.protocol.files import READING
from w2s_bench.protocol.needs import own_need
from w2s_bench.protocol.planned import load_planned
from w2s_bench.record import read_arrays
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.store.stage import StageContext, walk
from w2s_bench.types import Item, Need


def test_it_is_numpys_own_covariance() -> None:
    states = np.random.default_rng(0).normal(size=(5, 9))
    np.testing.assert_allclose(covariance(states), np.cov(states))


def test_of_the_answers_that_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["sums"], trust=[])
    graph, need = planned.cells[0].graphs[0], Need("teacher", "sample_covariance", k=3)
    stage = graph.evidence([own_need(need)], "trust", with_grades=False, with_gold=False).readings[need]
    assert {one.params["split"] for one in walk([stage]) if one.name == "gold"} == {"weak_train"}
    outcomes = run_inline([stage], Store(tmp_path / "store"), registry)
    done = outcomes[stage.node]
    assert isinstance(done, Done)
    found = read_arrays(done.result.path / READING)["states"]
    assert found.shape == (len(found), 3, 3)
    np.testing.assert_allclose(found, np.swapaxes(found, 1, 2))
    assert np.linalg.eigvalsh(found).min() > -1e-6
    # The same draws again, each answer read alone.
    folders = {}
    for name, one in stage.inputs.items():
        input_done = outcomes[one.node]
        assert isinstance(input_done, Done)
        folders[name] = input_done.result.path
    engine = load_planned(StageContext(stage.params, folders, tmp_path, registry))
    from w2s_bench.protocol.evidence.readings.sample_covariance import answered, half_way
    from w2s_bench.protocol.files import FORMAT, ITEMS, PREDICTIONS
    from w2s_bench.protocol.prediction import label_rows
    from w2s_bench.record import read_json, read_records
    from w2s_bench.types import Prediction

    items = read_records(folders["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(folders["labels"] / PREDICTIONS, Prediction))
    p = stage.params
    until = read_json(folders["subset"] / FORMAT)["until"]
    rng = np.random.default_rng(p["seed"])  # type: ignore[arg-type]
    drawn = engine.samples(rows, 3, 1.0, max_new_tokens=p["max_new_tokens"], until=until, rng=rng)
    for at in range(4):
        texts = drawn[at]
        every = engine.hidden_states(
            [replace(answered(rows[at], text), id=f"{i}") for i, text in enumerate(texts)], "all"
        )
        states = every[:, half_way(every.shape[1])[0]]
        np.testing.assert_allclose(found[at], np.cov(states.astype(np.float64)), rtol=1e-4, atol=1e-6)
