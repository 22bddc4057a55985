"""Functions on cross-fitted students and on training dynamics: the formulas by hand, and against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from w2s_bench.errors import EvidenceError
from w2s_bench.testing import MemoryEvidence, synthetic_evidence
from w2s_bench.types import FloatArray, IntArray, Need, Ragged
from w2s_bench_baselines.cross_fitted import (
    ConfidentLearning,
    CrossfitStack,
    CrossfitStudent,
    CrossfitStudentGold,
    CrossfitVerifier,
)
from w2s_bench_baselines.cross_fitted.confident_learning import adjusted
from w2s_bench_baselines.dynamics import Aum, Cartography, El2n, Forgetting, SmallLoss
from w2s_bench_baselines.dynamics.small_loss import lower_of_two
from w2s_bench_baselines.learned.calibration import log_odds_of
from w2s_bench_baselines.learned.logistic import fit_path
from w2s_bench_baselines.sampling import SelfConsistency, SemanticEntropy

RNG = np.random.default_rng(0)


def evidence_of(
    readings: dict[Need, Any], choices: tuple[tuple[str, ...], ...] | None, index: IntArray | None
) -> MemoryEvidence:
    n = next(len(values) for values in readings.values())
    text = tuple(f"{i}" for i in range(n))
    labels = (
        text if choices is None or index is None else tuple(row[at] for row, at in zip(choices, index, strict=True))
    )
    return MemoryEvidence(text, text, labels, choices, index, readings, text)


def of_classes(probs: FloatArray, labels: IntArray, of: str = "student_cv") -> MemoryEvidence:
    """Rows that all offer the options a, b, …"""
    choices = tuple(tuple("abcdef"[: probs.shape[1]]) for _ in probs)
    return evidence_of({Need(of, "choice_probs"): Ragged.from_rows(list(probs))}, choices, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "of"),
    [(CrossfitStudent, "student_cv"), (CrossfitStudentGold, "student_gold_cv"), (CrossfitVerifier, "verifier_cv")],
)
def test_what_a_cross_fitted_student_says(function: Callable[..., Any], of: Any) -> None:
    shown = of_classes(np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]]), np.array([1, 2]), of)
    assert function().score(shown.declaring(function().needs), rng=RNG).tolist() == [0.7, 0.3]
    np.testing.assert_allclose(function("margin").score(shown, rng=RNG), [0.5, -0.2])
    tokens = evidence_of({Need(of, "label_logprobs"): Ragged.from_rows([[-1.0, -3.0], [-0.5]])}, None, None)
    assert function().score(tokens, rng=RNG).tolist() == [-2.0, -0.5]
    assert function("margin").score(tokens, rng=RNG).tolist() == [-3.0, -0.5]
    with pytest.raises(ValueError, match="measure must be"):
        function("mean")


def test_confident_learning_without_thresholds_is_self_confidence() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(3), 50)
    labels = probs.argmax(axis=1)
    scores = ConfidentLearning(thresholds=False).score(of_classes(probs, labels), rng=RNG)
    np.testing.assert_allclose(scores, probs.max(axis=1))  # the label is the favourite: its own is the greatest
    margin = ConfidentLearning("normalized_margin", thresholds=False).score(of_classes(probs, labels), rng=RNG)
    ordered = np.sort(probs, axis=1)
    np.testing.assert_allclose(margin, (ordered[:, -1] - ordered[:, -2] + 1) / 2)


def test_confident_learning_by_hand() -> None:
    """Thresholds .7 of a, (.6 + .2) / 2 of b; .3 more for all; what comes out has sum 1."""
    probs = np.array([[0.8, 0.2], [0.6, 0.4], [0.4, 0.6], [0.8, 0.2]])
    labels = np.array([0, 0, 1, 1])
    scores = ConfidentLearning(least=2).score(of_classes(probs, labels), rng=RNG)
    lifted = np.array([0.8, 0.6, 0.6 + 0.3, 0.2 + 0.3])
    np.testing.assert_allclose(scores, lifted / (1 + 0.3))
    np.testing.assert_allclose(adjusted(np.array([0.8, 0.2]), np.array([0.7, 0.4])), [0.8 / 1.3, 0.5 / 1.3])
    # Of two rows a class three are too few: one threshold for all changes nothing but the scale.
    one = ConfidentLearning(least=3).score(of_classes(probs, labels), rng=RNG)
    np.testing.assert_allclose(one, [0.8, 0.6, 0.6, 0.2])


def test_the_stack_is_a_logistic_regression_on_log_odds() -> None:
    trust, correct = synthetic_evidence("choice", 120, 0)
    pool, _ = synthetic_evidence("choice", 30, 1)
    stack = CrossfitStack("verifier_cv+teacher", l2=0.1)
    stack.fit(trust.declaring(stack.needs, fitting=True), correct, rng=RNG)

    def features(shown: MemoryEvidence) -> FloatArray:
        assert shown.label_index is not None
        told = []
        for of in ("verifier_cv", "teacher"):
            rows = shown.choice_probs(of)  # type: ignore[arg-type]
            told.append(log_odds_of(np.array([p[at] for p, at in zip(rows, shown.label_index, strict=True)])))
        return np.stack(told, axis=1)

    expected = fit_path(features(trust), correct, [0.1])[0].log_odds(features(pool))
    np.testing.assert_allclose(stack.score(pool.declaring(stack.needs), rng=RNG), expected)
    with pytest.raises(EvidenceError, match=r"read student_cv\.choice_probs"):
        CrossfitStudent().score(pool.declaring(stack.needs), rng=RNG)
    for wrong in ("verifier", "teacher+teacher", ""):
        with pytest.raises(ValueError, match="of must be some of teacher, student, verifier_cv"):
            CrossfitStack(wrong)


#: Three rows on a path of three students: margin, log p, agreement, error.
PATH = np.array(
    [
        [[-1.0, np.log(0.2), 0, 1.0], [2.0, np.log(0.6), 1, 0.5], [5.0, np.log(0.7), 1, 0.3]],
        [[1.0, np.log(0.5), 1, 0.6], [-1.0, np.log(0.3), 0, 0.8], [3.0, np.log(0.7), 1, 0.3]],
        [[-2.0, np.log(0.1), 0, 1.2], [-2.0, np.log(0.1), 0, 1.2], [-1.0, np.log(0.1), 0.5, 1.1]],
    ]
)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Aum(points=3), [2.0, 1.0, -5 / 3]),
        (Cartography(points=3), [0.5, 0.5, 0.1]),
        (Cartography("variability", 3), [-np.std([0.2, 0.6, 0.7]), -np.std([0.5, 0.3, 0.7]), 0]),
        (Cartography("correctness", 3), [2 / 3, 2 / 3, 1 / 6]),
        (Forgetting(points=3), [0, -1, -3]),
        (Forgetting("first_learned", 3), [-1, 0, -3]),
        (El2n(point=0, points=3), [-1.0, -0.6, -1.2]),
        (SmallLoss(point=1, points=3, mixture=False), np.log([0.6, 0.3, 0.1])),
    ],
)
def test_dynamics_by_hand(function: Any, expected: Any) -> None:
    shown = evidence_of({Need("student", "dynamics", points=3): PATH}, None, None)
    np.testing.assert_allclose(function.score(shown.declaring(function.needs), rng=RNG), expected, atol=1e-12)


def test_small_loss_is_the_posterior_of_the_lower_gaussian() -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(3)
    loss = np.concatenate([rng.normal(1, 0.1, 300), rng.normal(3, 0.2, 200)])
    found = lower_of_two(loss)
    low, high = 0.6 * norm.pdf(loss, 1, 0.1), 0.4 * norm.pdf(loss, 3, 0.2)
    np.testing.assert_allclose(found, low / (low + high), atol=0.02)
    shuffled = rng.permutation(len(loss))
    np.testing.assert_allclose(lower_of_two(loss[shuffled]), found[shuffled])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Aum(points=1), "points must be 2 or more"),
        (lambda: El2n(point=6), "point must be from -6 to 5, got 6"),
        (lambda: SmallLoss(mixture=1), "mixture must be true or false"),
        (lambda: Cartography("loss"), "measure must be"),
        (lambda: Forgetting("learned"), "count must be"),
        (lambda: ConfidentLearning(least=0), "least must be 1 or more"),
        (lambda: ConfidentLearning(thresholds="no"), "thresholds must be true or false"),
    ],
)
def test_parameters_out_of_range(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_sampled_answers_by_hand() -> None:
    need = Need("teacher", "samples", k=4, temperature=1.0)
    shown = evidence_of({need: np.array([[0, 1, 0, 2], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=np.float64)}, None, None)
    assert SelfConsistency(k=4).score(shown.declaring((need,)), rng=RNG).tolist() == [0.5, 0, 1]
    spread = 0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25)
    np.testing.assert_allclose(SemanticEntropy(k=4).score(shown, rng=RNG), [spread, 0, 0], atol=1e-12)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        SelfConsistency(temperature=0)
