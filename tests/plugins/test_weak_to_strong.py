"""The scores proposed for weak-to-strong itself: their formulas on paper, and what each must find in made-up data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from w2s_bench import FloatArray, Need, Ragged, TrustFunction, TrustFunctionError
from w2s_bench.testing import MemoryEvidence, synthetic_evidence
from w2s_bench_baselines.change_point import change_point
from w2s_bench_baselines.weak_to_strong.em_posterior import EmPosterior, posterior
from w2s_bench_baselines.weak_to_strong.overlap_density import OverlapDensity, chance_corrected
from w2s_bench_baselines.weak_to_strong.selective import Selective, smoothed

RNG = np.random.default_rng(0)


def scored(function: TrustFunction, evidence: MemoryEvidence) -> FloatArray:
    return function.score(evidence.declaring(function.needs), rng=RNG)


def binary(teacher: FloatArray, student: FloatArray, states: FloatArray | None = None) -> MemoryEvidence:
    """Items of two options, the label the first; `teacher` and `student` (n,) are their probabilities of it."""
    n = len(teacher)
    names = tuple(f"{i:04d}" for i in range(n))
    readings: dict[Need, Any] = {
        Need(of, "choice_probs"): Ragged.from_rows([[p, 1 - p] for p in ps])  # type: ignore[arg-type]
        for of, ps in (("teacher", teacher), ("student", student))
    }
    if states is not None:
        readings[Need("student", "hidden_states", -1)] = states
    choices = (("yes", "no"),) * n
    return MemoryEvidence(names, names, ("yes",) * n, choices, np.zeros(n, dtype=np.int64), readings, names)


# Change points.


def best_split(series: FloatArray, jump: int) -> int:
    """Every place tried, by the definition."""
    places = [at for at in range(0, len(series), jump) if at >= 2 and len(series) - at >= 2]
    costs = [series[:at].var() * at + series[at:].var() * (len(series) - at) for at in places]
    return places[int(np.argmin(costs))]


@pytest.mark.parametrize("jump", [1, 5])
def test_a_change_point_is_the_split_of_least_squares(jump: int) -> None:
    for seed in range(30):
        series = np.sort(np.random.default_rng(seed).normal(size=60) ** 2)
        assert change_point(series, jump) == best_split(series, jump)


def test_the_change_point_of_ruptures() -> None:
    """`Binseg(model="l2").fit(series).predict(n_bkps=1)` of ruptures 1.1.10 gives [25, 60]."""
    assert change_point(np.sort(np.random.default_rng(7).random(60)), jump=5) == 25


def test_series_too_short_to_split_and_constant_ones() -> None:
    assert change_point(np.arange(3.0)) == 3
    assert change_point(np.zeros(0)) == 0
    assert change_point(np.ones(10)) == 8, "of equal places the last"


# Overlap density.


def test_overlap_density_by_hand() -> None:
    confidence = np.array([0.52, 0.55, 0.5, 0.9, 0.95, 0.99])  # of two options: 2p - 1
    states = np.array([[1, 0], [1, 0.1], [0.9, -0.1], [2, 0], [0, 3], [-1, 1]], dtype=float)
    scores = scored(OverlapDensity(jump=1), binary(confidence, confidence, states))
    # The values are sorted .00 .04 .10 | .80 .90 .98; at or below the first after the cut is hard: four rows.
    assert (scores[:4] < 0).all() and scores[:4].argmax() == 3
    np.testing.assert_allclose(scores[3], -1.0)
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    np.testing.assert_allclose(scores[4:], np.abs(unit[4:] @ unit[:4].T).max(axis=1))
    np.testing.assert_allclose(scores[0], -1 - (0.8 - 0.04) / (1 + 0.76))


def test_hard_rows_stand_below_easy_ones_and_keep_the_order_of_confidence() -> None:
    for kind in ("choice", "generate"):
        evidence, _ = synthetic_evidence(kind, 90, 3)  # type: ignore[arg-type]
        confidence, scores = chance_corrected(evidence), scored(OverlapDensity(), evidence)
        easy = scores >= 0
        assert 0 < easy.sum() < 90
        assert confidence[easy].min() > confidence[~easy].max()
        order = np.argsort(confidence[~easy])
        assert (np.diff(scores[~easy][order]) >= 0).all()


def test_where_nothing_is_easy_confidence_orders_all() -> None:
    confidence = np.array([0.6, 0.7])
    scores = scored(OverlapDensity(), binary(confidence, confidence, np.eye(2)))
    assert scores[1] > scores[0] and scores[1] == -1


def test_confidence_is_corrected_for_chance() -> None:
    evidence = binary(np.array([0.5, 0.75, 1.0]), np.array([0.5] * 3))
    np.testing.assert_allclose(chance_corrected(evidence), [0, 0.5, 1])


# EM posterior.


def test_bayes_by_hand() -> None:
    # Prior .4 that the label is right, teacher right .8 of the time, three other options.
    assert posterior(np.array([0.4]), np.array([0.8]), np.array([3.0]))[0] == pytest.approx(
        0.32 / (0.32 + 0.6 * 0.2 / 3)
    )
    assert posterior(np.zeros(1), np.zeros(1), np.ones(1))[0] == 0.0
    assert posterior(np.ones(1), np.zeros(1), np.ones(1))[0] == 0.5, "both models are sure of the opposite"


def test_the_posterior_is_about_calibrated() -> None:
    """A teacher that is right 85 % of the time, and a student whose probabilities are honest."""
    rng = np.random.default_rng(0)
    n = 4000
    prior = rng.beta(0.3, 0.3, n)
    truth = rng.random(n) < prior  # whether option "yes" is right
    says_yes = np.where(rng.random(n) < 0.85, truth, ~truth)
    p_label = np.where(says_yes, prior, 1 - prior)
    evidence = binary(np.full(n, 0.8), p_label)
    scores = scored(EmPosterior(rounds=60), evidence)
    right = says_yes == truth
    # Calibrated: of labels given about s, a share of about s is right.
    for low in (0.2, 0.4, 0.6, 0.8):
        among = (scores >= low) & (scores < low + 0.2)
        if among.sum() > 100:
            assert abs(right[among].mean() - scores[among].mean()) < 0.1


def test_a_higher_temperature_believes_the_student_less() -> None:
    evidence, _ = synthetic_evidence("choice", 200, 1)
    cold, hot = scored(EmPosterior(temperature=0.5), evidence), scored(EmPosterior(temperature=50), evidence)
    assert cold.std() > hot.std()


# Selective.


def test_smoothing_solves_its_equation_and_keeps_what_is_constant() -> None:
    nearest = np.array([[1], [0], [1], [2]])
    values = np.array([1.0, 0.0, 1.0, 0.0])
    adjacency = np.zeros((4, 4))
    for a, b in ((0, 1), (1, 2), (2, 3)):
        adjacency[a, b] = adjacency[b, a] = 1
    scale = np.diag(1 / np.sqrt(adjacency.sum(axis=1)))
    laplacian = np.eye(4) - scale @ adjacency @ scale
    np.testing.assert_allclose(smoothed(values, nearest, 2.0), np.linalg.solve(np.eye(4) + 2 * laplacian, values))
    np.testing.assert_array_equal(smoothed(values, nearest, 0.0), values)
    np.testing.assert_array_equal(smoothed(values, nearest[:, :0], 1.0), values)


def test_selective_believes_the_student_where_it_knows() -> None:
    """Of half of the items the student knows the answer, which its state says; of the others it says the opposite of right."""
    rng = np.random.default_rng(4)

    def drawn(n: int) -> tuple[MemoryEvidence, Any]:
        knows, right = rng.random(n) < 0.5, rng.random(n) < 0.6
        student = np.where(knows == right, 0.9, 0.1)
        states = np.column_stack([np.where(knows, 3.0, -3.0), rng.normal(size=n)])
        return binary(np.where(right, 0.9, 0.6), student, states), right

    (trust, trust_right), (pool, right) = drawn(200), drawn(300)
    function = Selective(layer=-1, smoothing=0)
    function.fit(trust.declaring(function.needs, fitting=True), trust_right, rng=RNG)
    scores = scored(function, pool)
    knows = pool.hidden_states("student")[:, 0] > 0
    assert scores[knows & right].min() > scores[knows & ~right].max()
    # Where the student knows nothing, the teacher's confidence decides.
    assert scores[~knows & right].mean() > scores[~knows & ~right].mean()


def test_rows_that_say_nothing_of_the_student_are_left_out() -> None:
    """The label is wrong and the student prefers the other option: among several it may be right or wrong."""
    evidence = binary(np.full(40, 0.8), np.full(40, 0.2), np.random.default_rng(0).normal(size=(40, 2)))
    function = Selective(layer=-1)
    function.fit(evidence.declaring(function.needs, fitting=True), np.zeros(40, dtype=bool), rng=RNG)
    assert np.isfinite(scored(function, evidence)).all()
    with pytest.raises(TrustFunctionError, match="call fit"):
        scored(Selective(layer=-1), evidence)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OverlapDensity(of="verifier"), "of must be"),
        (lambda: OverlapDensity(jump=0), "jump must be 1 or more"),
        (lambda: EmPosterior(temperature=0), "temperature must be above 0"),
        (lambda: EmPosterior(l2=0), "l2 must be above 0"),
        (lambda: EmPosterior(rounds=0), "rounds must be 1 or more"),
        (lambda: Selective(layer=0), "layer must not be 0"),
        (lambda: Selective(smoothing=-1), "smoothing must be at least 0"),
        (lambda: Selective(folds=1), "folds must be 2 or more"),
    ],
)
def test_parameters_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
