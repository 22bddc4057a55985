"""cleanlab as a trust function keeps the contract, is what cleanlab says, and agrees with the built-in confident learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cleanlab.rank import get_label_quality_scores

from w2s_bench import Need, Ragged
from w2s_bench.testing import Check, MemoryEvidence, trust_function_checks
from w2s_bench_baselines.cross_fitted.confident_learning import ConfidentLearning
from w2s_bench_cleanlab import w2s_trust_functions
from w2s_bench_cleanlab.quality import Cleanlab

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("check", trust_function_checks(), ids=str)
def test_it_keeps_the_contract(check: Check) -> None:
    check(w2s_trust_functions()["cleanlab"])


def drawn(n: int, texts: Any) -> tuple[MemoryEvidence, Any, Any]:
    """Of three options: evidence, (n, 3) probabilities by text, and the labels' places among the sorted texts."""
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet([1.0, 2.0, 3.0], n), rng.integers(0, 3, n)
    turned = [rng.permutation(3) for _ in range(n)]
    choices = tuple(tuple(texts(i)[at] for at in to) for i, to in enumerate(turned))
    index = np.array([int(np.flatnonzero(to == label)[0]) for to, label in zip(turned, labels, strict=True)])
    told = Ragged.from_rows([p[to] for p, to in zip(probs, turned, strict=True)])
    ids = tuple(f"{i:04d}" for i in range(n))
    said = tuple(texts(i)[label] for i, label in enumerate(labels))
    readings = {Need("student_cv", "choice_probs"): told}
    return MemoryEvidence(ids, ids, said, choices, index, readings, said), probs, labels


@pytest.mark.parametrize("measure", ["self_confidence", "normalized_margin", "confidence_weighted_entropy"])
@pytest.mark.parametrize("thresholds", [True, False])
def test_it_says_what_cleanlab_says_wherever_options_stand(measure: Any, thresholds: bool) -> None:
    shown, probs, labels = drawn(300, lambda i: ("a", "b", "c"))
    adjusted = thresholds and measure != "confidence_weighted_entropy"
    expected = get_label_quality_scores(labels, probs, method=measure, adjust_pred_probs=adjusted)
    np.testing.assert_allclose(Cleanlab(measure, thresholds).score(shown, rng=RNG), expected, atol=1e-9)
    apart, _, _ = drawn(300, lambda i: (f"a{i}", f"b{i}", f"c{i}"))
    plain = get_label_quality_scores(labels, probs, method=measure)
    np.testing.assert_allclose(Cleanlab(measure, thresholds).score(apart, rng=RNG), plain, atol=1e-9)


@pytest.mark.parametrize("measure", ["self_confidence", "normalized_margin"])
@pytest.mark.parametrize("thresholds", [True, False])
def test_the_built_in_confident_learning_agrees_with_cleanlab(measure: Any, thresholds: bool) -> None:
    shown, _, _ = drawn(300, lambda i: ("a", "b", "c"))
    own = ConfidentLearning(measure, thresholds).score(shown, rng=RNG)
    np.testing.assert_allclose(own, Cleanlab(measure, thresholds).score(shown, rng=RNG), atol=1e-9)


def test_where_the_label_is_the_likeliest_self_confidence_is_the_greatest_probability() -> None:
    probs = np.random.default_rng(1).dirichlet(np.ones(4), 500)
    scores = get_label_quality_scores(probs.argmax(axis=1), probs)
    np.testing.assert_array_equal(scores, probs.max(axis=1))


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="measure must be one of self_confidence"):
        Cleanlab("margin")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="thresholds must be true or false"):
        Cleanlab(thresholds=1)  # type: ignore[arg-type]
