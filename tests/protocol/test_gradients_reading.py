"""The reading `gradients`: the engine's projected gradient of each label's loss, alike for all rows and splits."""

from __future__ import annotations

import numpy as np
import pytest

from support import toy_model
from w2s_bench import Need
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.readings.gradients import Gradients
from w2s_bench.testing import synthetic_evidence
from w2s_bench.types import TrainingRow

ROWS = [
    TrainingRow(f"r{i}", f"{i} + {i} =", answer, True, None, None)
    for i, answer in enumerate([" 0", " 2", " 4", " 6", " 9"])
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(LocalModel("toy", toy_model(tmp_path_factory.mktemp("m") / "model", width=16, layers=1)))


def test_a_row_alone_has_the_gradient_that_it_has_among_others(engine: Engine) -> None:
    whole = np.asarray(Gradients(64).read(engine, ROWS))
    assert whole.shape == (5, 64) and np.isfinite(whole).all() and (np.linalg.norm(whole, axis=1) > 0).all()
    np.testing.assert_array_equal(np.asarray(Gradients(64).read(engine, ROWS[3:])), whole[3:])
    assert not np.allclose(whole[0], whole[1])
    assert np.asarray(Gradients(7).read(engine, [])).shape == (0, 7)


def test_a_step_against_it_lowers_the_loss_of_the_label(engine: Engine) -> None:
    """So that its sign is that of the loss: alike labels have inner products above 0."""
    twice = np.asarray(Gradients(4096).read(engine, [ROWS[0], ROWS[0], ROWS[1]]))
    assert twice[0] @ twice[1] == pytest.approx(twice[0] @ twice[0])
    loss = [-float(row.mean()) for row in engine.label_logprobs(ROWS[:1])]
    parameters = [p for p in engine.model.parameters() if p.requires_grad]
    import torch

    from w2s_bench.models.gradients import sketch_of, sketched

    places = sketch_of(parameters, 4096, 0)
    before = [p.detach().clone() for p in parameters]
    try:
        with torch.no_grad():
            for parameter, where in zip(parameters, places, strict=True):
                sign = torch.where(where < 4096, 1.0, -1.0)
                back = torch.tensor(twice[0])[(where % 4096).long()] * sign
                parameter -= 1e-3 * back.reshape(parameter.shape)
        assert -float(engine.label_logprobs(ROWS[:1])[0].mean()) < loss[0]
        moved = sketched([p.detach() - b for p, b in zip(parameters, before, strict=True)], places, 4096).numpy()
        assert moved @ twice[0] < 0
    finally:
        with torch.no_grad():
            for parameter, was in zip(parameters, before, strict=True):
                parameter.copy_(was)


def test_it_is_a_need_with_a_size_and_has_a_twin() -> None:
    need = Need("student", "gradients", size=32)
    assert built_in_reading("gradients", need.parameters) is not None
    for kind in ("choice", "generate"):
        evidence, correct = synthetic_evidence(kind, 200, 0)  # type: ignore[arg-type]
        told = np.asarray(evidence.read(need))
        mean = told[correct].mean(0)
        assert told.shape == (200, 32) and (told @ mean)[correct].mean() > (told @ mean)[~correct].mean()
    with pytest.raises(ValueError, match="size must be a whole number from 1 to 65536, got 0"):
        Gradients(0)
