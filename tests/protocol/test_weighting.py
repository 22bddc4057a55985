"""Trust scores as weights: every row is kept, and only the order of scores counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from stage_functions import named
from support import run_stage
from w2s_bench.models.objectives import effective_size
from w2s_bench.protocol import selection
from w2s_bench.protocol.files import KEPT
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.weighting import rank_weights, run_weighted
from w2s_bench.record import read_json


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30))
def test_weights_rise_with_the_rank_of_a_score_and_have_mean_one(values: list[float]) -> None:
    weights = rank_weights(np.array(values))
    np.testing.assert_allclose(weights, (2 * scipy.stats.rankdata(values) - 1) / len(values))
    assert weights.mean() == pytest.approx(1) and weights.min() > 0


def test_rows_of_other_scores_are_worth_three_quarters() -> None:
    assert effective_size(rank_weights(np.arange(1000.0)).tolist()) == pytest.approx(750, abs=0.01)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_every_row_is_kept(tmp_path: Path, scale: float) -> None:
    (tmp_path / "scores").mkdir()
    Scores.of(["a", "b", "c", "d"], scale * np.array([3.0, -1.0, 0.5, 0.5])).write(tmp_path / "scores")
    out = run_stage(run_weighted, tmp_path / "out", {}, scores=tmp_path / "scores")
    assert read_json(out / KEPT) == {
        "ids": ["a", "b", "c", "d"],
        "wanted": 4,
        "shortfall": 0,
        "weights": {"a": 1.75, "b": 0.25, "c": 1.0, "d": 1.0},
    }


def test_scores_alone_are_read() -> None:
    scores, subset, labels = named("score"), named("subset"), named("predict")
    stages = [
        selection.by_scores("weighted", scores, subset=subset, labels=labels, coverage=coverage, seed=seed)
        for coverage, seed in ((0.5, 0), (0.2, 7))
    ]
    assert [(one.name, set(one.inputs)) for one in stages] == [("weighted", {"scores"})] * 2
    assert stages[0].node == stages[1].node
