"""Further trust functions keep the contract, and give what was worked out by hand, by definition or by the paper."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
import pytest

from w2s_bench import Need, Ragged, TrustFunctionError
from w2s_bench.testing import Check, MemoryEvidence, synthetic_evidence, trust_function_checks
from w2s_bench_further import w2s_trust_functions
from w2s_bench_further.annotators.dawid_skene import DawidSkene, dawid_skene, one_coin
from w2s_bench_further.annotators.vote import Vote
from w2s_bench_further.calibrated.venn_abers import VennAbers, venn_abers
from w2s_bench_further.confidence.icl_confidence import IclConfidence
from w2s_bench_further.confidence.p_true import PTrue
from w2s_bench_further.confidence.token_entropy import TokenEntropy
from w2s_bench_further.dynamics.epiplexity import Epiplexity
from w2s_bench_further.ensembles.opinions import measured
from w2s_bench_further.ensembles.seed_ensemble import SeedEnsemble
from w2s_bench_further.gradients.gradient_alignment import GradientAlignment
from w2s_bench_further.gradients.grand import Grand
from w2s_bench_further.gradients.last_layer import gradients
from w2s_bench_further.influence.knn_shapley import KnnShapley, shapley
from w2s_bench_further.weak_to_strong.overlap_mixture import OverlapMixture

RNG = np.random.default_rng(0)
FUNCTIONS = w2s_trust_functions()
#: Dawid & Skene (1979), table 1: 45 patients; the first anaesthetist saw each three times, four others once. Classes from 1 to 4.
PATIENTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223
2322223 4444444 2223343 1111111 2223212 1211111 1112111 1111111 1111111
2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222
1111111 1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343
2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""


@pytest.mark.slow
@pytest.mark.parametrize("check", trust_function_checks(), ids=str)
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_keeps_the_contract(name: str, check: Check) -> None:
    check(FUNCTIONS[name])


def test_dawid_and_skene_find_their_own_marginals() -> None:
    rows = [[int(seen) - 1 for seen in row] for row in PATIENTS.split()]
    counts = np.zeros((45, 5, 4))
    for patient, row in enumerate(rows):
        for place, said in enumerate(row):
            counts[patient, max(place - 2, 0), said] += 1
    found = dawid_skene(counts)
    np.testing.assert_allclose(found.shares, [0.3996, 0.4220, 0.1118, 0.0667], atol=5e-5)
    np.testing.assert_allclose(found.posterior.sum(1), 1)
    np.testing.assert_allclose(found.errors.sum(2), 1)


def evidence(
    options: int, n: int, readings: dict[Need, Any], label: list[int], *, texts: Callable[[int], tuple[str, ...]]
) -> MemoryEvidence:
    choices = tuple(texts(i) for i in range(n))
    labels = tuple(choices[i][label[i]] for i in range(n))
    ids = tuple(f"{i:04d}" for i in range(n))
    return MemoryEvidence(ids, ids, labels, choices, np.array(label), readings, labels)


def drawn_votes(n: int, accuracies: tuple[float, ...], seed: int) -> tuple[Any, Any]:
    """(n,) true options of three and (n, annotators) votes with these accuracies."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    told = [np.where(rng.random(n) < a, truth, (truth + rng.integers(1, 3, n)) % 3) for a in accuracies]
    return truth, np.stack(told, axis=1)


def test_who_errs_less_counts_more() -> None:
    truth, told = drawn_votes(3000, (0.6, 0.9, 0.8), 0)
    right = told[:, 0] == truth
    coin = one_coin(told, np.full(3000, 3))
    assert coin.mean() == pytest.approx(right.mean(), abs=0.03), "posteriors come true"
    table = dawid_skene(np.eye(3)[told])
    np.testing.assert_allclose(np.diagonal(table.errors, axis1=1, axis2=2).mean(1), [0.6, 0.9, 0.8], atol=0.04)
    one_dissent = (told[:, 1] != told[:, 0]) & (told[:, 2] == told[:, 0])
    other = (told[:, 2] != told[:, 0]) & (told[:, 1] == told[:, 0])
    assert coin[one_dissent].max() < coin[other].min(), "of two who differ the better one is believed"


@pytest.mark.parametrize("same", [True, False])
def test_dawid_skene_as_a_trust_function_beats_the_label_itself(same: bool) -> None:
    truth, told = drawn_votes(600, (0.6, 0.8, 0.8), 1)
    sure = {
        Need(reader, "choice_probs"): Ragged.from_rows([np.eye(3)[at] * 0.7 + 0.1 for at in told[:, 1 + i]])
        for i, reader in enumerate(("student", "student_cv"))
    }
    shown = evidence(
        3, 600, sure, told[:, 0].tolist(), texts=lambda i: ("a", "b", "c") if same else (f"a{i}", f"b{i}", f"c{i}")
    )
    right = told[:, 0] == truth
    for function in (DawidSkene(), Vote()):
        scores = function.score(shown, rng=RNG)
        assert scores.min() >= 0 and scores.max() <= 1
        assert scores[right].mean() > scores[~right].mean() + 0.4
    with pytest.raises(ValueError, match="by must be some of"):
        DawidSkene("teacher")


def test_venn_abers_by_hand_and_in_its_bounds() -> None:
    scores, right = np.array([0.1, 0.4, 0.6, 0.9]), np.array([0.0, 1.0, 0.0, 1.0])
    lower, upper = venn_abers(scores, right, np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(lower, [0, 1 / 3, 1 / 2])
    np.testing.assert_allclose(upper, [1 / 2, 2 / 3, 1])
    rng = np.random.default_rng(0)
    calibration, chance = rng.random(400), rng.random(400)
    lower, upper = venn_abers(calibration, (chance < calibration**2).astype(float), np.linspace(0, 1, 41))
    assert (lower < upper).all() and (np.diff(lower) >= 0).all() and (np.diff(upper) >= 0).all()
    merged = upper / (1 - lower + upper)
    assert ((merged >= lower) & (merged <= upper)).all()
    assert np.abs(merged - np.linspace(0, 1, 41) ** 2).max() < 0.15


def test_venn_abers_is_calibrated_where_confidence_is_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(4, 2, 900)
    right = rng.random(900) < p**3
    parts = []
    for rows in (slice(0, 300), slice(300, 900)):
        probs = Ragged.from_rows([[a, 1 - a] for a in p[rows]])
        n = len(p[rows])
        parts.append(evidence(2, n, {Need("teacher", "choice_probs"): probs}, [0] * n, texts=lambda i: ("yes", "no")))
    function = VennAbers()
    with pytest.raises(TrustFunctionError, match="not fitted"):
        function.score(parts[1], rng=RNG)
    function.fit(parts[0], right[:300], rng=RNG)
    scores = function.score(parts[1], rng=RNG)
    assert ((scores - right[300:]) ** 2).mean() < ((p[300:] - right[300:]) ** 2).mean() - 0.05
    assert scores.mean() == pytest.approx(right[300:].mean(), abs=0.06)


def shapley_by_definition(far: Any, same: Any, k: int) -> Any:
    """The mean over all orders of what a row adds, with worth = share of the k nearest that are the same, of k."""
    n = len(far)

    def worth(rows: tuple[int, ...]) -> float:
        return sum(bool(same[i]) for i in sorted(rows, key=lambda i: far[i])[:k]) / k

    values = np.zeros(n)
    for order in permutations(range(n)):
        for place, row in enumerate(order):
            values[row] += worth(order[: place + 1]) - worth(order[:place])
    return values / factorial(n)


@pytest.mark.parametrize(("n", "k", "seed"), [(1, 1, 0), (5, 1, 1), (6, 2, 2), (6, 3, 3), (4, 9, 4)])
def test_shapley_values_are_those_of_the_definition(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    far, same = rng.permutation(n).astype(float), rng.random(n) < 0.5
    np.testing.assert_allclose(shapley(far, same, k), shapley_by_definition(far, same, k), atol=1e-12)


def test_equally_far_rows_are_worth_the_same_and_all_together_what_the_pool_is() -> None:
    far, same = np.array([1.0, 1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, True, False])
    values = shapley(far, same, 2)
    assert values[0] == values[1] and values.sum() == pytest.approx(1.0), "both of the nearest two are the same"
    order = np.array([4, 1, 3, 0, 2])
    np.testing.assert_allclose(shapley(far[order], same[order], 2), values[order])


def test_a_label_that_its_neighbours_in_the_trust_set_have_is_worth_more() -> None:
    rng = np.random.default_rng(0)

    def split(n: int, noise: float) -> tuple[MemoryEvidence, Any]:
        truth = rng.integers(0, 2, n)
        states = rng.normal(size=(n, 1, 8)) + 3 * np.where(truth, 1.0, -1.0)[:, None, None] * (np.arange(8) == 0)
        right = rng.random(n) >= noise
        label = np.where(right, truth, 1 - truth).tolist()
        need = Need("student", "prompt_states", layers="middle")
        return evidence(2, n, {need: states}, label, texts=lambda i: ("a", "b")), right

    trust, known = split(60, 0.3)
    pool, right = split(200, 0.3)
    function = KnnShapley(5)
    function.fit(trust, known, rng=RNG)
    scores = function.score(pool, rng=RNG)
    assert (scores[right][:, None] > scores[~right]).mean() > 0.98
    function.fit(trust, np.zeros(60, dtype=bool), rng=RNG)
    assert function.score(pool, rng=RNG).tolist() == [0.0] * 200


def of_states(n: int, seed: int, *, lean: float) -> tuple[MemoryEvidence, Any]:
    """Three options; the right one's state leans in the first direction."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    states = rng.normal(size=(n, 3, 1, 6))
    states[np.arange(n), truth, 0, 0] += lean
    right = rng.random(n) < 0.5
    label = np.where(right, truth, (truth + 1) % 3).tolist()
    readings = {
        Need("student", "option_states", layers=-1): Ragged.from_rows(list(states)),
        Need("student", "choice_probs"): Ragged.from_rows(list(rng.dirichlet(np.full(3, 9.0), n))),
    }
    return evidence(3, n, readings, label, texts=lambda i: ("a", "b", "c")), right


def test_the_gradient_is_that_of_the_loss() -> None:
    import torch

    shown, _ = of_states(5, 0, lean=1.0)
    found = gradients(shown, -1)
    need = Need("student", "option_states", layers=-1)
    for row in range(5):
        w = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        states = torch.tensor(np.asarray(shown.read(need)[row])[:, 0])
        scores = states @ w + torch.tensor(np.log(np.asarray(shown.choice_probs("student")[row])))
        (-torch.log_softmax(scores, 0)[int(shown.label_index[row])]).backward()
        np.testing.assert_allclose(found[row], w.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(Grand().score(shown, rng=RNG), -np.linalg.norm(found, axis=1))


@pytest.mark.parametrize("measure", ["cosine", "dot"])
def test_right_labels_pull_the_same_way(measure: Any) -> None:
    trust, known = of_states(150, 1, lean=3.0)
    pool, right = of_states(150, 2, lean=3.0)
    function = GradientAlignment(measure)
    with pytest.raises(TrustFunctionError, match="not fitted"):
        function.score(pool, rng=RNG)
    function.fit(trust, known, rng=RNG)
    scores = function.score(pool, rng=RNG)
    assert scores[right].mean() > scores[~right].mean() + scores.std()
    if measure == "cosine":
        assert np.abs(scores).max() <= 1
    function.fit(trust, np.zeros(150, dtype=bool), rng=RNG)
    assert function.score(pool, rng=RNG).tolist() == [0.0] * 150
    with pytest.raises(ValueError, match="measure must be one of cosine, dot"):
        GradientAlignment("angle")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["choice", "generate"])
def test_gradients_by_all_weights_are_read_in_both_kinds_of_domain(kind: Any) -> None:
    def make() -> GradientAlignment:
        return GradientAlignment(by="all", size=64)

    for check in trust_function_checks((kind,)):
        check(make)
    trust, known = synthetic_evidence(kind, 100, 0)
    pool, right = synthetic_evidence(kind, 100, 1)
    function = make()
    function.fit(trust, known, rng=RNG)
    scores = function.score(pool, rng=RNG)
    assert scores[right].mean() > scores[~right].mean() + scores.std()


def test_opinions_that_differ_are_worth_less() -> None:
    same, apart = np.array([[0.8, 0.8], [0.2, 0.2]]), np.array([[1.0, 0.6], [0.0, 0.4]])
    assert measured(same, 0, "mean") == measured(apart, 0, "mean") == pytest.approx(0.8)
    assert measured(same, 0, "entropy") == pytest.approx(measured(apart, 0, "entropy"))
    assert (measured(same, 0, "disagreement"), measured(apart, 0, "disagreement")) == pytest.approx((0.0, -0.2))
    doubt = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    inner = -(0.6 * np.log(0.6) + 0.4 * np.log(0.4)) / 2
    assert measured(same, 0, "bald") == pytest.approx(0.0, abs=1e-12)
    assert measured(apart, 0, "bald") == pytest.approx(-(doubt - inner))
    told = {Need("teacher", "ensemble", k=2): Ragged.from_rows([same, apart])}
    shown = evidence(2, 2, told, [0, 1], texts=lambda i: ("a", "b"))
    assert SeedEnsemble(k=2).score(shown, rng=RNG) == pytest.approx([0.8, 0.2])
    with pytest.raises(ValueError, match="measure must be one of mean, entropy, disagreement, bald"):
        SeedEnsemble("vote")  # type: ignore[arg-type]


def test_p_true_is_what_was_read() -> None:
    told = np.array([1.5, -2.0])
    shown = evidence(2, 2, {Need("student", "p_true"): told}, [0, 1], texts=lambda i: ("a", "b"))
    assert PTrue("student").score(shown, rng=RNG).tolist() == [1.5, -2.0]
    with pytest.raises(ValueError, match="of must be"):
        PTrue("verifier")  # type: ignore[arg-type]


def test_doubt_before_each_token_is_averaged() -> None:
    told = Ragged.from_rows([[1.0, 3.0], []])
    shown = evidence(2, 2, {Need("teacher", "label_entropies"): told}, [0, 1], texts=lambda i: ("a", "b"))
    assert TokenEntropy().score(shown, rng=RNG).tolist() == [-2.0, 0.0]
    with pytest.raises(ValueError, match="of must be"):
        TokenEntropy("verifier")  # type: ignore[arg-type]


def test_what_is_learned_is_the_fall_of_the_loss() -> None:
    told = np.zeros((2, 6, 4))
    told[:, :, 1] = [[-3, -2, -2, -1, -1, -0.5], [-1, -1, -1, -1, -1, -2]]
    shown = evidence(2, 2, {Need("student", "dynamics", points=6): told}, [0, 0], texts=lambda i: ("a", "b"))
    assert Epiplexity().score(shown, rng=RNG).tolist() == [2.5, -1.0]
    with pytest.raises(ValueError, match="points must be"):
        Epiplexity(1)


def test_the_mixture_is_the_sum_of_its_standardised_parts() -> None:
    shown, correct = synthetic_evidence("choice", 200, 3)
    scores = OverlapMixture().score(shown, rng=RNG)
    assert abs(scores.mean()) < 1e-9 and scores[correct].mean() > scores[~correct].mean()
    assert OverlapMixture().score(shown.take([0]), rng=RNG).tolist() == [0.0]
    with pytest.raises(ValueError, match="k must be"):
        OverlapMixture(0)


def test_confidence_in_context_is_what_the_reader_says_of_the_label() -> None:
    probs = Ragged.from_rows([[0.2, 0.8], [0.6, 0.4]])
    shown = evidence(2, 2, {Need("student_icl", "choice_probs"): probs}, [1, 1], texts=lambda i: ("a", "b"))
    assert IclConfidence("student").score(shown, rng=RNG).tolist() == [0.8, 0.4]
    assert {need.of for need in IclConfidence().needs} == {"teacher_icl"}
    with pytest.raises(ValueError, match="of must be 'teacher' or 'student'"):
        IclConfidence("verifier")  # type: ignore[arg-type]
