"""EigenScore: what k copies of options come to without drawing any, and that agreement is worth more than spread."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_bench.testing import synthetic_evidence
from w2s_bench_further.sampling.eigen_score import EigenScore, eigen_score, expected

RNG = np.random.default_rng(0)


def test_of_whole_numbers_of_copies_it_is_the_score_of_the_copies() -> None:
    states = np.random.default_rng(1).normal(size=(3, 12))
    counts = [4, 3, 1]
    copies = np.repeat(states, counts, axis=0)
    direct = eigen_score(np.cov(copies), 1e-3)
    assert expected(states, np.array(counts) / 8, 8, 1e-3) == pytest.approx(direct, abs=1e-9)


def test_answers_that_are_all_one_take_the_least_room() -> None:
    one = np.random.default_rng(2).normal(size=(1, 6))
    same, apart = np.cov(np.repeat(one, 4, axis=0)), np.eye(4)
    variance = float(np.var(one, ddof=1))
    # One eigenvalue of 4 times the variance, and three of 0.
    assert eigen_score(same, 0.01) == pytest.approx((np.log(4 * variance + 0.01) + 3 * np.log(0.01)) / 4)
    assert eigen_score(apart, 0.01) == pytest.approx(np.log(1.01)) and eigen_score(same, 0.01) < eigen_score(
        apart, 0.01
    )


@pytest.mark.parametrize("kind", ["choice", "generate"])
def test_right_labels_have_more(kind: str) -> None:
    shown, right = synthetic_evidence(kind, 300, 3)  # type: ignore[arg-type]
    scores = EigenScore().score(shown, rng=RNG)
    assert np.isfinite(scores).all() and scores.max() <= -np.log(1e-3)
    assert scores[right].mean() > scores[~right].mean()


def test_unknown_parameters_are_refused() -> None:
    for parameters, said in (
        ({"k": 1}, "k must be"),
        ({"of": "verifier"}, "of must be"),
        ({"alpha": 0}, "alpha must be"),
    ):
        with pytest.raises(ValueError, match=said):
            EigenScore(**parameters)  # type: ignore[arg-type]
