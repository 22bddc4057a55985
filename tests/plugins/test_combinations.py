"""Combinations of other functions, contrast pairs without gold, and the reward model: by hand, and by what they must find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad

from w2s_bench.errors import EvidenceError, TrustFunctionError
from w2s_bench.plugins.spec import parse_spec, write_spec
from w2s_bench.testing import MemoryEvidence, synthetic_evidence, trust_function_checks
from w2s_bench.types import FloatArray, Need, Ragged
from w2s_bench_baselines import FAMILIES, combined, w2s_trust_functions
from w2s_bench_baselines.combined import Product, RankAverage, Stacked, Veto
from w2s_bench_baselines.combined.components import KNOWN, Components, rank_shares
from w2s_bench_baselines.consistency import Ccs, CrcTpc
from w2s_bench_baselines.consistency.ccs import inconsistency
from w2s_bench_baselines.learned import Probe
from w2s_bench_baselines.learned.logistic import fit_path, stratified_folds
from w2s_bench_baselines.learned.reward_model import RewardModel, choosing, comparing, shares

RNG = np.random.default_rng(0)


def auroc(scores: FloatArray, correct: Any) -> float:
    gaps = scores[correct][:, None] - scores[~correct][None]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


#: Families whose functions are no parts of combinations, each with its reason.
NOT_COMBINED = {"combined": "a combination of combinations is one of their parts"}


def test_every_family_can_be_combined_or_is_left_out_on_purpose() -> None:
    """`FAMILIES` and `KNOWN` are two lists kept by hand: a family may be entered in the first and forgotten in the second."""
    families = {family.__name__.rpartition(".")[2]: family.FUNCTIONS for family in FAMILIES}
    for name, functions in families.items():
        known = {function for function, factory in functions.items() if KNOWN.get(function) is factory}
        assert known == (set() if name in NOT_COMBINED else set(functions)), (
            f"family {name!r}: {sorted(set(functions) - known)} are not in `combined/components.py`'s KNOWN (or, of NOT_COMBINED, are); "
            "enter the family there, or name it in NOT_COMBINED here with the reason"
        )
    assert set(NOT_COMBINED) <= set(families), "NOT_COMBINED names a family that is not there"
    folder = Path(combined.__file__).parent.parent
    packages = {
        path.parent.name for path in folder.glob("*/__init__.py") if "FUNCTIONS" in path.read_text(encoding="utf-8")
    }
    assert packages == set(families), (
        "a package with FUNCTIONS is missing in FAMILIES of w2s_bench_baselines/__init__.py"
    )


def two_readers() -> MemoryEvidence:
    """Four rows, labels first: the teacher ranks them 4 3 2 1 (from the lowest), the student 1 2.5 2.5 4."""
    text = ("w", "x", "y", "z")
    readings = {
        Need("teacher", "choice_probs"): Ragged.from_rows([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]),
        Need("student", "choice_probs"): Ragged.from_rows([[0.1, 0.9], [0.5, 0.5], [0.5, 0.5], [0.8, 0.2]]),
    }
    choices = tuple((name, "other") for name in text)
    return MemoryEvidence(text, text, text, choices, np.zeros(4, dtype=np.int64), readings, text)


def test_combinations_by_hand() -> None:
    teacher, student = np.array([7, 5, 3, 1]) / 8, np.array([1, 4, 4, 7]) / 8
    np.testing.assert_allclose(rank_shares(np.array([[9.0, 8, 7, 6], [1, 5, 5, 8]])), [teacher, student])
    shown, of = two_readers(), "confidence+student_probability"
    np.testing.assert_allclose(RankAverage(of).score(shown, rng=RNG), (teacher + student) / 2)
    np.testing.assert_allclose(Product(of).score(shown, rng=RNG), np.sqrt(teacher * student))
    lowest = np.array([1, 0, 0, 1])
    np.testing.assert_allclose(Veto(of, share=0.25).score(shown, rng=RNG), (teacher + student) / 2 - lowest)
    assert Veto(of, share=0).score(shown, rng=RNG).tolist() == RankAverage(of).score(shown, rng=RNG).tolist()


def test_a_combination_is_what_all_its_functions_allow() -> None:
    mixed = RankAverage("probe+option_margin+crossfit_verifier")
    assert (mixed.supervision, mixed.kinds) == ("trust_set", ("choice",))
    assert {str(need) for need in mixed.needs} == {
        "teacher.hidden_states[all]",
        "teacher.choice_probs",
        "verifier_cv.choice_probs",
        "verifier_cv.label_logprobs",
    }
    both = Components("confidence+option_margin").needs  # one of both kinds and one of choice alone read the same
    assert [(str(need), need.when) for need in both] == [
        ("teacher.choice_probs", "choice"),
        ("teacher.label_logprobs", "generate"),
    ]
    name, parameters = parse_spec("rank_average:of=confidence+probe")
    assert (name, parameters) == ("rank_average", {"of": "confidence+probe"})
    assert parse_spec(write_spec(name, parameters)) == (name, parameters)
    with pytest.raises(TrustFunctionError, match=r"probe\+confidence was not fitted"):
        RankAverage("probe+confidence").score(synthetic_evidence("choice", 5, 0)[0], rng=RNG)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RankAverage("confidence"), "two different functions or more, joined by"),
        (lambda: RankAverage("confidence+confidence"), "two different functions"),
        (lambda: Product("confidence+acme/lid"), "'acme/lid', which cannot be combined; known are .*verifier"),
        (lambda: RankAverage("veto+confidence"), "'veto', which cannot be combined"),
        (lambda: RankAverage("option_margin+answer_format"), "no kind of domain that all are for"),
        (lambda: Stacked("verifier+confidence"), "take crossfit_verifier in its place"),
        (lambda: Veto(share=1.0), "share must be 0 or more and below 1"),
        (lambda: Stacked(folds=1), "folds must be 2 or more"),
        (lambda: Ccs(tries=0), "tries must be 1 or more"),
        (lambda: CrcTpc(of="verifier"), "of must be 'teacher' or 'student'"),
        (lambda: RewardModel(l2=0), "l2 must be above 0"),
    ],
)
def test_what_cannot_be_built_says_why(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_everything_but_combinations_can_be_combined() -> None:
    assert w2s_trust_functions() == {**KNOWN, **combined.FUNCTIONS}
    assert not set(KNOWN) & set(combined.FUNCTIONS)


def test_stacking_learns_from_scores_out_of_fold() -> None:
    """As if each fold had been done by hand; of rows that a probe was fitted on it would think too well."""
    trust, correct = synthetic_evidence("choice", 60, 0, signal=0.5, width=30)
    pool, _ = synthetic_evidence("choice", 20, 1, signal=0.5, width=30)
    stacked = Stacked("confidence+probe", l2=0.1, folds=3)
    stacked.fit(trust.declaring(stacked.needs, fitting=True), correct, rng=np.random.default_rng(1))
    fold, columns = stratified_folds(correct, 3), np.empty((60, 2))
    assert trust.label_index is not None and pool.label_index is not None
    columns[:, 0] = [p[at] for p, at in zip(trust.choice_probs(), trust.label_index, strict=True)]
    for held in range(3):
        probe = Probe()
        probe.fit(trust.take(np.flatnonzero(fold != held)), correct[fold != held], rng=RNG)
        columns[fold == held, 1] = probe.score(trust.take(np.flatnonzero(fold == held)), rng=RNG)
    probe = Probe()
    probe.fit(trust, correct, rng=RNG)
    confident = [p[at] for p, at in zip(pool.choice_probs(), pool.label_index, strict=True)]
    expected = fit_path(columns, correct, [0.1])[0].log_odds(np.stack([confident, probe.score(pool, rng=RNG)], axis=1))
    np.testing.assert_allclose(stacked.score(pool.declaring(stacked.needs), rng=RNG), expected)


def test_stacking_reads_what_its_functions_declare_and_no_more() -> None:
    trust, correct = synthetic_evidence("generate", 40, 0)
    stacked = Stacked("crossfit_verifier+confidence")
    stacked.fit(trust.declaring(stacked.needs, fitting=True), correct, rng=RNG)
    with pytest.raises(EvidenceError, match="verifier was trained on these very rows"):
        trust.declaring((Need("verifier", "label_logprobs"),), fitting=True).label_logprobs("verifier")


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: Stacked("probe+wsconf"), lambda: Veto("probe+knn_agreement")])
@pytest.mark.parametrize("check", trust_function_checks(["choice"]), ids=str)
def test_combinations_keep_the_contract(check: Any, make: Callable[[], Any]) -> None:
    check(make)


# --- contrast pairs --------------------------------------------------------------------------------------------------


def two_options(n: int, signal: float) -> tuple[MemoryEvidence, Any]:
    """Rows of two options whose states differ along the first axis: the right one has `signal` more, the label is it mostly."""
    rng = np.random.default_rng(5)
    correct = rng.random(n) < 0.75
    states = rng.normal(size=(n, 2, 1, 6))
    states[:, 0, 0, 0] += np.where(correct, signal, 0)
    states[:, 1, 0, 0] += np.where(correct, 0, signal)
    text = tuple(str(i) for i in range(n))
    readings = {
        Need("teacher", "option_states", layers="middle"): Ragged(states.reshape(-1, 1, 6), np.arange(n + 1) * 2)
    }
    choices = tuple((f"{i}", "other") for i in range(n))
    return MemoryEvidence(text, text, text, choices, np.zeros(n, dtype=np.int64), readings, text), correct  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [Ccs, CrcTpc])
def test_the_direction_in_which_options_contradict_each_other_is_found(function: Callable[[], Any]) -> None:
    shown, correct = two_options(400, 6.0)
    scores = function().score(shown.declaring(function().needs), rng=RNG)
    assert auroc(scores, correct) > 0.97, "and labels, mostly right, say which way it points"
    if function is Ccs:
        assert scores.min() >= 0 and scores.max() <= 1
    noise, right = two_options(400, 0.0)
    assert 0.4 < auroc(function().score(noise, rng=RNG), right) < 0.6
    assert np.isfinite(function().score(shown.take([0]), rng=RNG)).all()


def test_the_loss_of_contrast_consistent_search_and_its_gradient() -> None:
    rng = np.random.default_rng(2)
    own, rivals, theta = rng.normal(size=(9, 3)), rng.normal(size=(9, 3)), rng.normal(size=4)
    yes, no = (1 / (1 + np.exp(-(x @ theta[:-1] + theta[-1]))) for x in (own, rivals))
    expected = np.mean((yes - (1 - no)) ** 2 + np.minimum(yes, no) ** 2) + 0.1 * theta[:-1] @ theta[:-1]
    assert inconsistency(theta, own, rivals, 0.1)[0] == pytest.approx(expected)
    error = check_grad(
        lambda t: inconsistency(t, own, rivals, 0.1)[0], lambda t: inconsistency(t, own, rivals, 0.1)[1], theta
    )
    assert error < 1e-6


# --- the reward model ------------------------------------------------------------------------------------------------


def test_rewards_by_hand_and_their_gradients() -> None:
    starts, label, correct = np.array([0, 2, 5]), np.array([1, 2]), np.array([True, False])
    rewards = np.log([1.0, 3.0, 1.0, 1.0, 2.0])
    np.testing.assert_allclose(shares(rewards, starts), [0.25, 0.75, 0.25, 0.25, 0.5])
    loss = choosing(starts, label, correct)
    assert loss(rewards)[0] == pytest.approx(-(np.log(0.75) + np.log(0.75)) / 2)
    pairs = comparing(np.array([True, False, False]), RNG)
    assert pairs(np.array([1.0, 0.0, 1.0]))[0] == pytest.approx((np.log1p(np.exp(-1)) + np.log(2)) / 2)
    for one, at in ((loss, rewards), (pairs, np.array([1.0, 0.3, -1.0]))):
        assert check_grad(lambda r, one=one: one(r)[0], lambda r, one=one: one(r)[1], at) < 1e-6
    assert comparing(np.array([True, True]), RNG)(np.zeros(2))[0] == 0


def test_bradley_terry_of_two_options_is_a_logistic_regression_on_their_difference() -> None:
    """Without intercept: the label's reward is measured against the other option's alone."""
    from sklearn.linear_model import LogisticRegression

    shown, correct = two_options(200, 1.0)
    model = RewardModel("teacher", l2=0.05)
    model.fit(shown.declaring(model.needs, fitting=True), correct, rng=RNG)
    states = shown.option_states("teacher").values[:, 0]
    standard = ((states - states.mean(axis=0)) / states.std(axis=0)).reshape(-1, 2, 6)
    difference = standard[:, 0] - standard[:, 1]
    theirs = LogisticRegression(C=1 / (200 * 0.05), fit_intercept=False, tol=1e-10).fit(difference, correct)
    np.testing.assert_allclose(model.score(shown, rng=RNG), theirs.predict_proba(difference)[:, 1], atol=1e-4)
