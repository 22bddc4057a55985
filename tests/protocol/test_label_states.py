"""The reading `label_states`: the mean over the label's tokens of what the engine says of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support import toy_model
from w2s_bench import Need
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.readings.label_states import LabelStates
from w2s_bench.types import TrainingRow

ROWS = [
    TrainingRow(f"r{i}", f"{i} + {i} =", answer, False, None, None) for i, answer in enumerate([" 0", " 7 2 34", ""])
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(LocalModel("toy", toy_model(tmp_path_factory.mktemp("m") / "model", width=16, layers=2)))


def test_it_is_the_mean_over_the_labels_tokens(engine: Engine) -> None:
    told = np.asarray(LabelStates([1, 2]).read(engine, ROWS))
    assert told.shape == (3, 2, 16)
    for row, state in zip(ROWS[:2], told, strict=False):
        (pair,) = engine._pairs([(row.prompt, row.completion)], whole=True, may_be_empty=True)
        ends = []
        for length in range(1, len(pair.completion) + 1):
            text = " " + " ".join(row.completion.split()[:length])
            ends.append(engine.hidden_states([replace(row, completion=text)], "all")[0, 1:])
        np.testing.assert_allclose(state, np.mean(ends, axis=0), atol=1e-5)
    last = engine.hidden_states([ROWS[2]], "all")[0, 1:]
    np.testing.assert_allclose(told[2], last, atol=1e-6)
    np.testing.assert_allclose(np.asarray(LabelStates([1, 2]).read(engine, ROWS[1:2])), told[1:2], atol=1e-5)
    assert np.asarray(LabelStates("middle").read(engine, [])).size == 0


def test_it_is_a_need_with_layers() -> None:
    assert built_in_reading("label_states", Need("teacher", "label_states", layers="middle").parameters) is not None
    with pytest.raises(ValueError, match="the layers of label_states must be"):
        LabelStates("last")
