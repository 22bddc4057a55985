"""Heads under a ridge penalty: the minimum is scikit-learn's, its limits are the untuned model, folds choose its strength."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from w2s_bench.models.head import moments
from w2s_bench.models.ridge import _lowest, _principal_axes, choose, fit_head, problem_of

HOW: dict[str, Any] = {"grid": [0.01, 0.1, 1.0], "folds": 5, "steps": 500, "seed": 0}


def made(
    seed: int, *, items: int = 80, width: int = 6, options: int = 3, lean: float = 1.0
) -> tuple[Any, Any, Any, Any]:
    """States, offsets, labels and zero-shot scores; one dimension leans towards the labels by `lean` deviations."""
    rng = np.random.default_rng(seed)
    offsets = np.arange(0, items * options + 1, options)
    labels = rng.integers(0, options, items)
    states = rng.normal(size=(items * options, width)).astype(np.float32)
    states[offsets[:-1] + labels, 1] += lean
    return states, offsets, labels, rng.normal(size=items * options) * 2


def ranking(scores: Any, offsets: Any) -> list[list[int]]:
    return [np.argsort(scores[a:b]).tolist() for a, b in pairwise(offsets.tolist())]


@pytest.mark.parametrize("ridge", [0.003, 0.05, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("items", "width"), [(80, 6), (10, 60)])
def test_of_two_options_it_is_penalised_logistic_regression(
    items: int, width: int, weighted: bool, ridge: float
) -> None:
    from sklearn.linear_model import LogisticRegression

    states, offsets, labels, _ = made(1, items=items, width=width, options=2)
    weights = np.random.default_rng(2).uniform(0.2, 2, len(labels)) if weighted else np.ones(len(labels))
    none = np.zeros(len(states))
    head, _, chosen = fit_head(
        states, offsets, labels, **{**HOW, "grid": [ridge]}, zero_shot=none, weights=weights if weighted else None
    )
    mean, scale = moments(states)
    x = (states.astype(np.float64) - mean) / scale
    known = LogisticRegression(C=1 / (ridge * len(labels)), fit_intercept=False, tol=1e-10, max_iter=10_000)
    known.fit(x[1::2] - x[::2], labels, sample_weight=weights)
    assert chosen == ridge
    np.testing.assert_allclose(head.weight, known.coef_[0], atol=1e-4)


def test_without_an_iteration_it_is_the_untuned_model() -> None:
    states, offsets, labels, zero_shot = made(0)
    head, losses, _ = fit_head(states, offsets, labels, **{**HOW, "steps": 0}, zero_shot=zero_shot)
    assert np.array_equal(head.scores(states, zero_shot), zero_shot) and len(losses) == 1


def test_under_a_huge_penalty_it_ranks_as_the_untuned_model() -> None:
    states, offsets, labels, zero_shot = made(0)
    head, _, _ = fit_head(states, offsets, labels, **{**HOW, "grid": [1e9]}, zero_shot=zero_shot)
    assert ranking(head.scores(states, zero_shot), offsets) == ranking(zero_shot, offsets)
    free, _, _ = fit_head(states, offsets, labels, **{**HOW, "grid": [1e-3]}, zero_shot=zero_shot)
    assert ranking(free.scores(states, zero_shot), offsets) != ranking(zero_shot, offsets)


def test_the_gradient_is_the_losss() -> None:
    from scipy.optimize import approx_fprime

    states, offsets, labels, zero_shot = made(3, items=20)
    problem, _ = problem_of(states, offsets, labels, zero_shot=zero_shot, weights=np.linspace(0.5, 1.5, 20))
    at = np.random.default_rng(0).normal(size=7)
    expected = approx_fprime(at, lambda solution: problem.loss(solution, 0.3)[0])
    np.testing.assert_allclose(problem.loss(at, 0.3)[1], expected, atol=1e-5)


@pytest.mark.parametrize(("rows", "width"), [(30, 8), (8, 30), (12, 12)])
def test_principal_axes_hold_all_rows_and_are_at_right_angles(rows: int, width: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, width))
    x -= x.mean(axis=0)  # one direction fewer than there are rows
    axes, squares = _principal_axes(x)
    assert axes.shape == (width, min(rows - 1, width))
    np.testing.assert_allclose(axes.T @ axes, np.eye(len(squares)), atol=1e-10)
    np.testing.assert_allclose((x @ axes) @ axes.T, x, atol=1e-10)
    np.testing.assert_allclose(np.sum((x @ axes) ** 2, axis=0), squares, atol=1e-10)


def test_where_all_options_have_one_state_the_head_is_a_scale_alone() -> None:
    states, offsets, labels, zero_shot = made(2)
    head, _, _ = fit_head(np.ones_like(states), offsets, labels, **HOW, zero_shot=zero_shot)
    assert not head.weight.any() and head.zero_shot > 0


def test_a_fit_descends_and_ends_where_the_gradient_is_nothing() -> None:
    states, offsets, labels, zero_shot = made(4)
    problem, _ = problem_of(states, offsets, labels, zero_shot=zero_shot, weights=None)
    solution, losses = problem.solve(0.1, np.concatenate([[1.0], np.zeros(6)]), steps=500)
    assert all(later <= sooner + 1e-12 for sooner, later in pairwise(losses)) and losses[-1] < losses[0]
    assert np.abs(problem.loss(solution, 0.1)[1][1:]).max() < 1e-4


def test_folds_choose_a_strong_penalty_for_noise_and_a_weak_one_for_what_holds() -> None:
    grid = {"grid": [1e-3, 10.0], "folds": 5, "steps": 200, "seed": 0}
    chosen = []
    for lean in (0.0, 4.0):
        states, offsets, labels, _ = made(5, items=60, width=40, lean=lean)
        problem, _ = problem_of(states, offsets, labels, zero_shot=np.zeros(len(states)), weights=None)
        chosen.append(choose(problem, **grid))  # type: ignore[arg-type]
    assert chosen == [10.0, 1e-3]


@pytest.mark.parametrize("items", [1, 2, 3])
def test_few_items_suffice(items: int) -> None:
    states, offsets, labels, zero_shot = made(6, items=items)
    head, _, chosen = fit_head(states, offsets, labels, **HOW, zero_shot=zero_shot)
    assert np.isfinite(head.weight).all() and (items > 1 or chosen == 1.0)


FINE = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@pytest.mark.slow
def test_the_strength_is_no_matter_of_which_folds_were_drawn() -> None:
    """Of one draw it is: the same rows under eight seeds."""
    states, offsets, labels, zero_shot = made(7, items=120, width=60)
    problem, _ = problem_of(states, offsets, labels, zero_shot=zero_shot, weights=None)
    how: dict[str, Any] = {"folds": 5, "steps": 200}
    once, often = ([choose(problem, FINE, **how, seed=seed, draws=draws) for seed in range(8)] for draws in (1, 5))
    assert 0 < np.std(np.log10(often)) < 0.7 * np.std(np.log10(once)) and np.std(np.log10(often)) < 0.1
    assert choose(problem, FINE, **how, seed=0) == often[0] == choose(problem, FINE[::-1], **how, seed=0)


@pytest.mark.parametrize("lowest", [0.02, 0.1, 0.7])
def test_of_losses_on_a_parabola_the_lowest_point_is_found_between_the_strengths(lowest: float) -> None:
    strengths = sorted(FINE, reverse=True)
    losses = (np.log(strengths) - np.log(lowest)) ** 2
    assert _lowest(strengths, losses) == pytest.approx(lowest)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1.0, 2.0, 3.0], 1.0),  # the strongest is the best that was tried
        ([3.0, 2.0, 1.0], 0.01),  # the weakest
        ([1.0, 1.0, 1.0], 1.0),  # of equal ones the strongest
        ([2.0, 1.0, 2.0], 0.1),
        ([2.0, 1.0, 1.0], 10**-1.5),
    ],
)
def test_beyond_what_was_tried_nothing_is_taken(losses: list[float], expected: float) -> None:
    assert _lowest([1.0, 0.1, 0.01], np.array(losses)) == pytest.approx(expected)


@pytest.mark.parametrize("times", [2, 5])
def test_rows_that_are_repeated_choose_the_strength_that_each_once_would(times: int) -> None:
    """Copies of an item that lay on both sides of a fold would be foretold perfectly, and best under the weakest penalty."""
    states, offsets, _, _ = made(0, items=100, width=50)
    labels = np.random.default_rng(1).integers(0, 3, 100)  # nothing to learn
    none = np.zeros(len(states))
    once, _ = problem_of(states, offsets, labels, zero_shot=none, weights=None)
    often = once.of(np.repeat(np.arange(100), times))
    ids = np.repeat([f"item {number:03}" for number in range(100)], times).tolist()
    how: dict[str, Any] = {"grid": [0.001, 0.01, 0.1, 1.0], "folds": 5, "steps": 200, "seed": 0}
    assert choose(often, **how, groups=ids) == choose(once, **how) == 1.0
    assert choose(often, **how) < 1.0  # what it would be without knowing whose rows they are


def test_the_copies_of_one_item_cannot_be_parted() -> None:
    states, offsets, labels, _ = made(0, items=1)
    once, _ = problem_of(states, offsets, labels, zero_shot=np.zeros(3), weights=None)
    often = once.of(np.zeros(4, dtype=np.int64))
    assert choose(often, [0.1, 1.0], folds=5, steps=10, seed=0, groups=["one"] * 4) == 1.0


def test_rows_of_one_group_are_in_one_fold() -> None:
    """Facts that are asked in twenty ways each, with a label of their own that says nothing of other facts."""
    rng = np.random.default_rng(3)
    facts, ways = 8, 20
    states, offsets, _, _ = made(0, items=facts * ways, width=30)
    of = np.repeat(np.arange(facts), ways)
    labels = rng.integers(0, 3, facts)[of]
    states[offsets[:-1] + labels] += 2 * rng.normal(size=(facts, 30)).astype(np.float32)[of]
    problem, _ = problem_of(states, offsets, labels, zero_shot=np.zeros(len(states)), weights=None)
    how: dict[str, Any] = {"folds": 5, "steps": 200, "seed": 0}
    assert choose(problem, FINE, **how, groups=[f"fact {fact}" for fact in of]) > 10 * choose(problem, FINE, **how)
