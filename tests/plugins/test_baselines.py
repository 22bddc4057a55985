"""The built-in trust functions: the contract, the formulas by hand, and trust sets that teach little or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2s_bench.errors import EvidenceError, TrustFunctionError
from w2s_bench.hookspecs import TrustFunction
from w2s_bench.testing import Check, MemoryEvidence, synthetic_evidence, trust_function_checks
from w2s_bench.types import BoolArray, FloatArray, Need, Ragged
from w2s_bench_baselines import FAMILIES, geometry, verifiers, w2s_trust_functions
from w2s_bench_baselines.confidence import Confidence
from w2s_bench_baselines.learned import Calibrated, Contrast, MassMean, Ntf, Probe, StudentProbe, Verifier
from w2s_bench_baselines.learned.logistic import fit_path, held_out_losses, stratified_folds
from w2s_bench_baselines.learned.states import DEFAULT_STRENGTH
from w2s_bench_baselines.likelihood import EMPTY_LABEL

RNG = np.random.default_rng(0)
VARIANTS: dict[str, Callable[[], TrustFunction]] = {
    **w2s_trust_functions(),
    "verifier:pooling=min": lambda: Verifier(pooling="min"),
    "probe:layer=-1": lambda: Probe(layer=-1),
    "probe:l2=0.1": lambda: Probe(l2=0.1),
    "probe:layer=0,l2=1": lambda: Probe(layer=0, l2=1.0),
    "calibrated:method=temperature": lambda: Calibrated(method="temperature"),
    "calibrated:method=isotonic": lambda: Calibrated(method="isotonic"),
    "calibrated:method=beta": lambda: Calibrated(method="beta"),
    "contrast:of=student": lambda: Contrast(of="student"),
    "mass_mean:state=contrast,whitened=true": lambda: MassMean(state="contrast", whitened=True),
    "ntf:state=middle,features=true": lambda: Ntf(state="middle", features=True, width=64, seeds=1),
    "ntf:of=student,state=contrast": lambda: Ntf(of="student", state="contrast", width=64, seeds=1),
    "ntf:state=all": lambda: Ntf(state="all", width=64, seeds=1),
    "ntf:state=prompt": lambda: Ntf(state="prompt", width=64, seeds=1),
}
#: What made-up evidence tells nothing of: where labels lie among each other, how long they are, how they are written.
UNHINTED = {
    *geometry.FUNCTIONS,
    *verifiers.FUNCTIONS,
    "short_label",
    "size_contrast",
    "token_spread",
    "length_residual",
}
# The made-up last layer, which `ntf` reads unless told otherwise, says nothing.
UNHINTED |= {
    "ccs",
    "crc_tpc",
    "ntf",
    "ntf:state=prompt",
    "neg_entropy",
    "doctor",
    "self_certainty",
    "energy",
    "divergence",
    "wsconf",
    "overlap_density",
}


def auroc(scores: FloatArray, correct: BoolArray) -> float:
    """Share of (right, wrong) pairs in which the right label has the higher score; ties count half."""
    gaps = scores[correct][:, None] - scores[~correct][None]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


@pytest.mark.parametrize("check", trust_function_checks(), ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_contract(check: Check, name: str) -> None:
    check(VARIANTS[name])


def test_a_function_is_a_file_of_its_name_in_one_family_and_every_file_is_registered() -> None:
    registered = w2s_trust_functions()
    assert sum(len(family.FUNCTIONS) for family in FAMILIES) == len(registered), "a name stands in two families"
    for family in FAMILIES:
        for name, function in family.FUNCTIONS.items():
            assert getattr(function, "__module__", None) == f"{family.__name__}.{name}"
    root = Path(str(FAMILIES[0].__file__)).parents[1]
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    assert packages == {family.__name__.rpartition(".")[2] for family in FAMILIES}
    # A class that can score is one of them, not a file that somebody forgot to name.
    scoring = {path.stem for path in root.glob("*/*.py") if "    def score(" in path.read_text(encoding="utf-8")}
    assert scoring <= set(registered)


def hand_made(kind: str) -> MemoryEvidence:
    """Three rows whose scores one can work out on paper."""
    probs = Ragged.from_rows([[0.1, 0.7, 0.2], [0.5, 0.5], [0.25, 0.25, 0.25, 0.25]])
    logprobs = Ragged.from_rows([[-1.0, -3.0], [-0.5], []])
    readings: dict[Need, Ragged | FloatArray] = {}
    for of in ("teacher", "verifier"):
        readings |= {Need(of, "choice_probs"): probs, Need(of, "label_logprobs"): logprobs}  # type: ignore[arg-type]
    text = ("x", "y", "z")
    choices = (("a", "x", "b"), ("y", "a"), ("a", "b", "c", "z")) if kind == "choice" else None
    return MemoryEvidence(text, text, text, choices, np.array([1, 0, 3]) if choices else None, readings, text)


@pytest.mark.parametrize("factory", [Confidence, Verifier])
def test_probability_of_the_label_among_its_options(factory: Callable[[], Any]) -> None:
    assert factory().score(hand_made("choice"), rng=RNG).tolist() == [0.7, 0.5, 0.25]


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (Confidence, [-2.0, -0.5, EMPTY_LABEL]),
        (lambda: Verifier("mean"), [-2.0, -0.5, EMPTY_LABEL]),
        (lambda: Verifier("min"), [-3.0, -0.5, EMPTY_LABEL]),
    ],
)
def test_pooled_log_probability_of_the_label(factory: Callable[[], Any], expected: list[float]) -> None:
    assert factory().score(hand_made("generate"), rng=RNG).tolist() == expected


@pytest.mark.parametrize("kind", ["choice", "generate"])
@pytest.mark.parametrize("name", [name for name in VARIANTS if "layer=" not in name and name not in UNHINTED])
def test_scores_follow_what_the_readings_say(name: str, kind: Any) -> None:
    """Better than chance where the readings know something, and higher means more trusted."""
    trust, correct = synthetic_evidence(kind, 150, 0)
    pool, pool_correct = synthetic_evidence(kind, 600, 1)
    function = VARIANTS[name]()
    if kind not in getattr(function, "kinds", ("choice", "generate")):
        pytest.skip("not for such a domain")
    function.fit(trust, correct, rng=RNG)
    assert auroc(function.score(pool, rng=RNG), pool_correct) > 0.7


def test_the_probe_finds_the_layer_that_knows() -> None:
    evidence, correct = synthetic_evidence("choice", 200, 1, layers=5, width=10, signal=3)
    probe = Probe()
    probe.fit(evidence, correct, rng=RNG)
    assert probe._place == 1  # layer 2: the embedding is left out
    assert probe.needs == (Need("teacher", "hidden_states", "all"),)
    assert StudentProbe(layer=1).needs == (Need("student", "hidden_states", 1),)


def test_the_student_probe_reads_the_student_alone() -> None:
    evidence, correct = synthetic_evidence("choice", 100, 1)
    probe = StudentProbe()
    with pytest.raises(EvidenceError, match=r"read student\.hidden_states"):
        probe.fit(evidence.declaring(Probe().needs), correct, rng=RNG)
    probe.fit(evidence.declaring(probe.needs), correct, rng=RNG)


def test_no_signal_is_no_better_than_chance() -> None:
    trust, correct = synthetic_evidence("choice", 150, 0, signal=0, width=40)
    pool, pool_correct = synthetic_evidence("choice", 2000, 1, signal=0, width=40)
    probe = Probe()
    probe.fit(trust, correct, rng=RNG)
    assert 0.45 < auroc(probe.score(pool, rng=RNG), pool_correct) < 0.55


@pytest.mark.parametrize(("right", "expected"), [(True, np.log(31)), (False, -np.log(31))])
def test_a_one_sided_trust_set_gives_one_constant(right: bool, expected: float) -> None:
    trust, _ = synthetic_evidence("choice", 30, 0)
    probe = Probe()
    probe.fit(trust, np.full(30, right), rng=RNG)
    np.testing.assert_allclose(probe.score(trust, rng=RNG), expected)


def test_too_few_of_one_side_to_choose() -> None:
    trust, correct = synthetic_evidence("choice", 40, 0)
    correct = np.zeros_like(correct)
    correct[3] = True
    probe = Probe()
    probe.fit(trust, correct, rng=RNG)
    assert probe._place == 1  # layer 2: the embedding is left out
    last = fit_path(trust.hidden_states(layer=-1), correct, [DEFAULT_STRENGTH])[0]
    np.testing.assert_allclose(probe.score(trust, rng=RNG), last.log_odds(trust.hidden_states(layer=-1)))


def test_constant_features_and_an_empty_trust_set() -> None:
    x = np.ones((20, 3))
    correct = np.arange(20) < 15
    model = fit_path(x, correct, [1.0])[0]
    np.testing.assert_allclose(model.log_odds(x), np.log(3), rtol=1e-4)
    assert fit_path(np.zeros((0, 3)), np.zeros(0, dtype=bool), [1.0])[0].log_odds(x).tolist() == [0.0] * 20


@pytest.mark.parametrize(("n", "d"), [(80, 5), (30, 100)])
@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_logistic_regression_is_scikit_learns(n: int, d: int, strength: float) -> None:
    from sklearn import linear_model

    rng = np.random.default_rng(n)
    x = rng.normal(3, 2, (n, d))
    correct = x[:, 0] + rng.normal(0, 2, n) > 3
    mine = fit_path(x, correct, [strength])[0]
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    theirs = linear_model.LogisticRegression(C=1 / (n * strength), tol=1e-10, max_iter=10_000).fit(standard, correct)
    np.testing.assert_allclose(mine.weights, theirs.coef_[0], atol=2e-4)
    np.testing.assert_allclose(mine.log_odds(x), theirs.decision_function(standard), atol=2e-3)


def test_a_path_is_its_points() -> None:
    evidence, correct = synthetic_evidence("choice", 80, 0)
    x = evidence.hidden_states(layer=1)
    for strength, model in zip((3.0, 0.1, 0.01), fit_path(x, correct, (3.0, 0.1, 0.01)), strict=True):
        np.testing.assert_allclose(model.weights, fit_path(x, correct, [strength])[0].weights, atol=1e-4)


def test_folds_are_stratified_and_losses_are_held_out() -> None:
    correct = np.arange(23) % 4 == 0
    fold = stratified_folds(correct, 5)
    for value in (True, False):
        sizes = np.bincount(fold[correct == value], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    # Noise with more features than rows is fitted perfectly; rows left out show that it is noise.
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(40, 80)), rng.random(40) < 0.5
    assert held_out_losses(x, labels, [0.001], 5)[0] > np.log(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Verifier("max"), "pooling must be"),  # type: ignore[arg-type]
        (lambda: Probe(l2=0), "l2 must be above 0"),
        (lambda: Probe(folds=1), "folds must be 2 or more"),
    ],
)
def test_parameters_out_of_range(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_probe_that_was_not_fitted_says_so() -> None:
    with pytest.raises(TrustFunctionError, match="call fit"):
        Probe().score(synthetic_evidence("choice", 4, 0)[0], rng=RNG)


def test_equal_evidence_gives_equal_bits() -> None:
    trust, correct = synthetic_evidence("generate", 120, 4, width=30)
    scores = []
    for _ in range(2):
        probe = Probe()
        probe.fit(trust, correct, rng=np.random.default_rng(len(scores)))
        scores.append(probe.score(trust, rng=RNG).tobytes())
    assert scores[0] == scores[1]
