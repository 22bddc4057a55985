"""Scores by a model's own probabilities, one model or two: by hand, against scipy, and by the identities that bind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_bench import FloatArray, Need, Ragged, TrustFunction
from w2s_bench.testing import MemoryEvidence, synthetic_evidence
from w2s_bench_baselines.confidence import FUNCTIONS as CONFIDENCE
from w2s_bench_baselines.confidence.batch_calibrated import BatchCalibrated
from w2s_bench_baselines.confidence.confidence import Confidence
from w2s_bench_baselines.confidence.doctor import Doctor
from w2s_bench_baselines.confidence.energy import Energy
from w2s_bench_baselines.confidence.length_residual import LengthResidual
from w2s_bench_baselines.confidence.mean_logprob import MeanLogprob
from w2s_bench_baselines.confidence.min_logprob import MinLogprob
from w2s_bench_baselines.confidence.neg_entropy import NegEntropy
from w2s_bench_baselines.confidence.option_margin import OptionMargin
from w2s_bench_baselines.confidence.quantile_logprob import QuantileLogprob
from w2s_bench_baselines.confidence.self_certainty import SelfCertainty
from w2s_bench_baselines.confidence.sequence_logprob import SequenceLogprob
from w2s_bench_baselines.confidence.short_label import ShortLabel
from w2s_bench_baselines.confidence.token_spread import TokenSpread
from w2s_bench_baselines.cross_model.acceptance import Acceptance
from w2s_bench_baselines.cross_model.divergence import Divergence
from w2s_bench_baselines.cross_model.product_of_experts import ProductOfExperts
from w2s_bench_baselines.cross_model.size_contrast import SizeContrast
from w2s_bench_baselines.cross_model.student_agreement import StudentAgreement
from w2s_bench_baselines.cross_model.student_probability import StudentProbability
from w2s_bench_baselines.likelihood import EMPTY_LABEL
from w2s_bench_baselines.weak_to_strong.wsconf import Wsconf

RNG = np.random.default_rng(0)
TEACHER = [[0.1, 0.7, 0.2], [0.5, 0.5], [1.0, 0.0]]
STUDENT = [[0.6, 0.3, 0.1], [0.2, 0.8], [0.5, 0.5]]
TEACHER_TOKENS = [[-1.0, -3.0], [-0.5], []]
STUDENT_TOKENS = [[-2.0, -1.0], [-0.5], []]


def choice() -> MemoryEvidence:
    """Three items, of which the labels are "x", "y" and "x"."""
    readings: dict[Need, Any] = {
        Need("teacher", "choice_probs"): Ragged.from_rows(TEACHER),
        Need("student", "choice_probs"): Ragged.from_rows(STUDENT),
        Need("teacher", "label_logprobs"): Ragged.from_rows([[-1.0, -2.0], [-4.0], [-0.25]]),
    }
    choices = (("a", "x", "b"), ("y", "a"), ("x", "c"))
    labels, names = ("x", "y", "x"), ("1", "2", "3")
    return MemoryEvidence(names, names, labels, choices, np.array([1, 0, 0]), readings, names)


def generate() -> MemoryEvidence:
    readings: dict[Need, Any] = {
        Need("teacher", "label_logprobs"): Ragged.from_rows(TEACHER_TOKENS),
        Need("student", "label_logprobs"): Ragged.from_rows(STUDENT_TOKENS),
    }
    names = ("1", "2", "3")
    return MemoryEvidence(names, names, ("12345", "1", ""), None, None, readings, names)


def scored(function: TrustFunction, evidence: MemoryEvidence) -> FloatArray:
    return function.score(evidence.declaring(function.needs), rng=RNG)


LOG = np.log


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (OptionMargin(), [0.5, 0.0, 1.0]),
        (OptionMargin("student"), [-0.3, -0.6, 0.0]),
        (NegEntropy(), [0.1 * LOG(0.1) + 0.7 * LOG(0.7) + 0.2 * LOG(0.2), -LOG(2), 0.0]),
        (Doctor(), [1 - 0.46 / 0.54, 0.0, 1.0]),
        (Energy(), [-3 - LOG(0.7), -4 - LOG(0.5), -0.25]),
        (SequenceLogprob(), [-3.0, -4.0, -0.25]),
        # "x" is offered in items 1 and 3, with .7 and 1; a prior of one item at 1/3 and 1/2 before them.
        (BatchCalibrated(), [LOG(0.7) - LOG((1.7 + 1 / 3) / 3), LOG(0.5) - LOG(1 / 2), 0 - LOG((1.7 + 1 / 2) / 3)]),
        (BatchCalibrated(prior_items=0), [LOG(0.7) - LOG(0.85), 0.0, -LOG(0.85)]),
        (ShortLabel(), [-1.0, -1.0, -1.0]),
        (StudentProbability(), [0.3, 0.2, 0.5]),
        (StudentAgreement(), [-0.3, -0.6, 0.0]),
        (StudentAgreement(graded=False), [0.0, 0.0, 0.5]),
        (SizeContrast(), [LOG(0.3 / 0.7), LOG(0.2 / 0.5), LOG(0.5)]),
        (Wsconf("margin"), [0.5 - 0.35, 0.35 - 0.65, 0.5]),
        (ProductOfExperts(), [0.21**0.5 / (0.06**0.5 + 0.21**0.5 + 0.02**0.5), 0.1**0.5 / (0.1**0.5 + 0.4**0.5), 1.0]),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "score") else "",
)  # fmt: skip
def test_of_options_by_hand(function: TrustFunction, expected: list[float]) -> None:
    np.testing.assert_allclose(scored(function, choice()), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (SequenceLogprob(), [-4.0, -0.5, EMPTY_LABEL]),
        (MeanLogprob(), [-2.0, -0.5, EMPTY_LABEL]),
        (MeanLogprob("student"), [-1.5, -0.5, EMPTY_LABEL]),
        (MinLogprob(), [-3.0, -0.5, EMPTY_LABEL]),
        (QuantileLogprob(0.25), [-2.5, -0.5, EMPTY_LABEL]),
        (TokenSpread(), [-1.0, 0.0, 0.0]),
        (ShortLabel(), [-5.0, -1.0, 0.0]),
        (StudentProbability(), [-1.5, -0.5, EMPTY_LABEL]),
        (SizeContrast(), [1.0, 0.0, 0.0]),
        (ProductOfExperts(0.25), [-1.875, -0.5, EMPTY_LABEL]),
        (Acceptance(), [(np.exp(-1) + 1) / 2, 1.0, 1.0]),
        (Acceptance("min"), [np.exp(-1), 1.0, 1.0]),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "score") else "",
)
def test_of_tokens_by_hand(function: TrustFunction, expected: list[float]) -> None:
    np.testing.assert_allclose(scored(function, generate()), expected, atol=1e-12)


def test_labels_that_two_models_cut_otherwise_are_compared_whole() -> None:
    evidence = generate()
    readings = {**evidence.readings, Need("student", "label_logprobs"): Ragged.from_rows([[-6.0], [-0.25, 0.0], []])}
    other = MemoryEvidence(**{**vars(evidence), "readings": readings})
    np.testing.assert_allclose(scored(Acceptance(), other), [np.exp(-1), 1.0, 1.0])


def test_entropy_divergence_and_certainty_are_scipys() -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import entropy

    evidence, _ = synthetic_evidence("choice", 30, 4)
    rows = list(zip(evidence.choice_probs("teacher"), evidence.choice_probs("student"), strict=True))
    np.testing.assert_allclose(scored(NegEntropy(), evidence), [-entropy(p) for p, _ in rows])
    np.testing.assert_allclose(
        scored(Divergence(), evidence), [-(jensenshannon(p, q) ** 2) for p, q in rows], atol=1e-12
    )
    np.testing.assert_allclose(scored(Wsconf(), evidence), [-entropy((p + q) / 2) for p, q in rows])
    np.testing.assert_allclose(scored(SelfCertainty(), evidence), [entropy(np.full(4, 0.25), p) for p, _ in rows])


def test_the_residual_of_length_is_that_of_least_squares() -> None:
    evidence, _ = synthetic_evidence("generate", 60, 3)
    tokens = np.array([len(row) for row in evidence.label_logprobs()], dtype=float)
    total = scored(SequenceLogprob(), evidence)
    slope, intercept = np.polyfit(tokens, total, 1)
    residual = scored(LengthResidual(), evidence)
    np.testing.assert_allclose(residual, total - slope * tokens - intercept, atol=1e-9)
    assert abs(np.corrcoef(residual, tokens)[0, 1]) < 1e-9


# Identities.


def ranks(scores: FloatArray) -> list[int]:
    return np.argsort(np.argsort(np.round(scores, 12), kind="stable"), kind="stable").tolist()


def of_two_options(logits: FloatArray, temperature: float) -> MemoryEvidence:
    """Binary items whose teacher prefers its label, the first option."""
    p = 1 / (1 + np.exp(-np.abs(logits) / temperature))
    names = tuple(f"{i:03d}" for i in range(len(p)))
    readings: dict[Need, Any] = {Need("teacher", "choice_probs"): Ragged.from_rows([[a, 1 - a] for a in p])}
    choices = (("yes", "no"),) * len(p)
    return MemoryEvidence(names, names, ("yes",) * len(p), choices, np.zeros(len(p), dtype=np.int64), readings, names)


@given(
    st.lists(st.integers(1, 400), min_size=2, max_size=20, unique=True),
    st.floats(0.3, 5),
    st.sampled_from([Confidence(), OptionMargin(), NegEntropy(), Doctor(), SelfCertainty()]),
)
def test_with_two_options_temperature_keeps_the_ranking_and_so_does_every_measure(
    hundredths: list[int], temperature: float, measure: TrustFunction
) -> None:
    logits = np.array(hundredths) / 100
    plain, tempered = of_two_options(logits, 1.0), of_two_options(logits, temperature)
    assert ranks(scored(measure, tempered)) == ranks(logits) == ranks(scored(measure, plain))


def test_where_the_label_is_the_likeliest_option_its_probability_is_the_greatest() -> None:
    evidence, _ = synthetic_evidence("choice", 50, 2)
    np.testing.assert_allclose(scored(Confidence(), evidence), [row.max() for row in evidence.choice_probs()])
    assert (scored(OptionMargin(), evidence) >= 0).all()


def test_a_product_of_experts_ends_in_either_expert() -> None:
    for kind in ("choice", "generate"):
        evidence, _ = synthetic_evidence(kind, 40, 6)  # type: ignore[arg-type]
        np.testing.assert_allclose(scored(ProductOfExperts(0.0), evidence), scored(Confidence(), evidence))
        np.testing.assert_allclose(scored(ProductOfExperts(1.0), evidence), scored(StudentProbability(), evidence))


def test_the_least_quantile_is_the_minimum_and_the_perplexity_ranks_as_the_mean() -> None:
    evidence, _ = synthetic_evidence("generate", 40, 6)
    np.testing.assert_array_equal(scored(QuantileLogprob(0.0), evidence), scored(MinLogprob(), evidence))
    mean = scored(MeanLogprob(), evidence)
    assert ranks(-np.exp(-mean)) == ranks(mean) == ranks(scored(Confidence(), evidence))


def test_a_student_like_the_teacher_accepts_everything_and_differs_in_nothing() -> None:
    evidence = generate()
    same = {
        **evidence.readings,
        Need("student", "label_logprobs"): evidence.readings[Need("teacher", "label_logprobs")],
    }
    twin = MemoryEvidence(**{**vars(evidence), "readings": same})
    assert scored(Acceptance(), twin).tolist() == [1.0, 1.0, 1.0]
    assert scored(SizeContrast(), twin).tolist() == [0.0, 0.0, 0.0]


def test_a_preference_of_the_teachers_gains_nothing_by_itself() -> None:
    """A teacher that says the same of every item is, calibrated, sure of none."""
    names = tuple(f"{i:03d}" for i in range(20))
    readings: dict[Need, Any] = {Need("teacher", "choice_probs"): Ragged.from_rows([[0.9, 0.1]] * 20)}
    index = np.zeros(20, dtype=np.int64)
    evidence = MemoryEvidence(names, names, ("yes",) * 20, (("yes", "no"),) * 20, index, readings, names)
    np.testing.assert_allclose(scored(BatchCalibrated(prior_items=0), evidence), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptionMargin("verifier"), "of must be 'teacher' or 'student', got 'verifier'"),
        (lambda: MeanLogprob("me"), "of must be"),  # type: ignore[arg-type]
        (lambda: QuantileLogprob(1.5), r"q must lie in \[0, 1\], got 1.5"),
        (lambda: BatchCalibrated(prior_items=-1), "prior_items must be at least 0"),
        (lambda: ProductOfExperts(2), r"weight must lie in \[0, 1\]"),
        (lambda: Acceptance("max"), "pooling must be"),
        (lambda: Wsconf("mode"), "measure must be"),
    ],
)
def test_parameters_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_million_rows_could_be_streamed_by_all_but_those_that_look_around() -> None:
    around = {name for name, factory in CONFIDENCE.items() if factory().scope == "pool"}
    assert around == {"batch_calibrated", "length_residual"}
