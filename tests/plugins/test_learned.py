"""Learned trust functions against formulas by hand and a library's results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from w2s_bench import Need, TrustFunctionError, contrast
from w2s_bench.testing import MemoryEvidence, synthetic_evidence
from w2s_bench_baselines.learned import Contrast, GradientBoosting, MassMean, Ntf, Pik, Saplma
from w2s_bench_baselines.learned.calibration import Platt
from w2s_bench_baselines.learned.features import cheap_features
from w2s_bench_baselines.learned.logistic import fit_path
from w2s_bench_baselines.learned.mass_mean import mass_mean
from w2s_bench_baselines.learned.networks import dropped
from w2s_bench_baselines.learned.ntf import ResidualNetwork
from w2s_bench_baselines.learned.ranking import auroc

RNG = np.random.default_rng(0)


def test_the_residual_network_is_the_papers_formula() -> None:
    network = ResidualNetwork(5, 4, 1, 0.5, 0.0, torch.Generator().manual_seed(0))
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    into, shift, norm, w1, w2, w3, last, head, bias = (weight.double().numpy() for weight in network.weights)

    def rms_norm(h: Any, gain: Any) -> Any:
        return h / np.sqrt((h**2).mean(axis=1, keepdims=True) + 1e-6) * gain

    h = x.double().numpy() @ into.T + shift
    gate = rms_norm(h, norm) @ w1.T
    h = h + (gate / (1 + np.exp(-gate)) * (rms_norm(h, norm) @ w2.T)) @ w3.T
    np.testing.assert_allclose(network(x, None).numpy(), (rms_norm(h, last) @ head.T + bias)[:, 0], atol=1e-5)


def test_dropout_keeps_the_mean_and_is_off_outside_training() -> None:
    x, draw = torch.ones(200_000), torch.Generator().manual_seed(0)
    some = dropped(x, 0.25, draw)
    assert some.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(some.mean()) == pytest.approx(1, abs=0.01)
    assert dropped(x, 0.25, None) is x


def test_a_block_is_left_out_while_training_alone() -> None:
    """The last block of two is dropped nearly always, and the rest is scaled up; the first never is."""
    network = ResidualNetwork(5, 4, 2, 0.0, 0.999, torch.Generator().manual_seed(0))
    short = ResidualNetwork(5, 4, 1, 0.0, 0.0, torch.Generator().manual_seed(0))
    short.weights[:] = [*network.weights[:6], *network.weights[10:]]
    short._blocks, short._head = network._blocks[:1], network._head
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(x, torch.Generator().manual_seed(2)), short(x, None))
    assert not torch.allclose(network(x, None), short(x, None))


@pytest.mark.parametrize("d", [4, 60])
def test_whitened_means_are_linear_discriminant_analysis(d: int) -> None:
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(d)
    correct = rng.random(40) < 0.5
    x = rng.normal(size=(40, d)) + correct[:, None]
    right, wrong = x[correct].mean(axis=0), x[~correct].mean(axis=0)
    direction, offset = mass_mean(x, correct, whitened=False)
    np.testing.assert_allclose(direction, right - wrong)
    assert offset == pytest.approx(-(right - wrong) @ (right + wrong) / 2)
    covariance, _ = ledoit_wolf(x - np.where(correct[:, None], right, wrong), assume_centered=True)
    whitened, _ = mass_mean(x, correct, whitened=True)
    np.testing.assert_allclose(whitened, np.linalg.solve(covariance, right - wrong), rtol=1e-6)


def test_auroc_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    scores, correct = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    assert auroc(scores, correct) == pytest.approx(roc_auc_score(correct, scores))


def test_calibration_never_turns_a_ranking_round() -> None:
    scores = np.linspace(-3, 3, 50)
    for correct in (scores > 0, scores < 0):
        assert (np.diff(Platt.fitted(scores, correct).probabilities(scores)) > 0).all()
    assert Platt.constant(np.array([True, True, False])).probabilities(scores).tolist() == pytest.approx([0.6] * 50)


def test_the_contrast_is_a_logistic_regression_on_labels_against_the_other_options() -> None:
    evidence, correct = synthetic_evidence("choice", 80, 0)
    function = Contrast(layer=1, l2=0.1)
    function.fit(evidence, correct, rng=RNG)
    x = contrast(evidence.option_states("teacher", 1), evidence.label_index)[:, 0]
    expected = fit_path(x, correct, [0.1])[0].log_odds(x)
    np.testing.assert_allclose(function.score(evidence, rng=RNG), expected)


@pytest.mark.slow
def test_ntf_is_a_probability_and_calibrated() -> None:
    trust, correct = synthetic_evidence("choice", 300, 0, signal=3)
    pool, pool_correct = synthetic_evidence("choice", 1000, 1, signal=3)
    function = Ntf(state="middle", width=32)
    function.fit(trust, correct, rng=np.random.default_rng(0))
    scores = function.score(pool, rng=RNG)
    assert scores.min() >= 0 and scores.max() <= 1
    assert abs(scores.mean() - pool_correct.mean()) < 0.08
    assert ((scores - pool_correct) ** 2).mean() < 0.8 * pool_correct.var()


@pytest.mark.slow
def test_ntf_at_the_prompts_end_reads_that_state_of_the_last_layer_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random(300) < 0.6
    states = rng.normal(size=(300, 1, 8)) + correct[:, None, None]
    words = tuple(f"question {i}" for i in range(300))
    need = Need("teacher", "prompt_states", layers=-1)
    evidence = MemoryEvidence(words, words, words, None, None, {need: states}, words)
    function = Ntf(state="prompt", width=32, seeds=1)
    assert function.needs == (need,)
    function.fit(evidence, correct, rng=np.random.default_rng(0))
    assert auroc(function.score(evidence, rng=RNG), correct) > 0.95


@pytest.mark.parametrize("kind", ["choice", "generate"])
def test_cheap_features_are_finite_and_of_one_width(kind: Any) -> None:
    evidence, _ = synthetic_evidence(kind, 30, 0)
    features = cheap_features(evidence)
    assert features.shape == (30, 11 if kind == "choice" else 12)
    assert np.isfinite(features).all()
    if kind == "choice" and evidence.label_index is not None:
        probs, at = evidence.choice_probs("teacher")[3], evidence.label_index[3]
        others = np.delete(probs, at)
        expected = [
            np.log(probs[at]),
            probs[at] - others.max(),
            -(probs * np.log(probs)).sum(),
            probs[at] >= others.max(),
        ]
        np.testing.assert_allclose(features[3, 2:7], [*expected, 4])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contrast(of="verifier"), "of must be 'teacher' or 'student', got 'verifier'"),
        (lambda: Contrast(layer="all"), "layer must be a whole number"),  # type: ignore[arg-type]
        (lambda: Ntf(state="first"), "state must be one of last, middle, all, contrast, prompt"),  # type: ignore[arg-type]
        (lambda: Ntf(dropout=1.0), "dropout must be 0 or more and below 1"),
        (lambda: Ntf(width=0), "width must be 1 or more"),
        (lambda: Ntf(learning_rate=0.0), "learning_rate must be above 0"),
        (lambda: Ntf(weight_decay=-1.0), "weight_decay must be 0 or more"),
        (lambda: Ntf(features=1), "features must be true or false"),  # type: ignore[arg-type]
        (lambda: MassMean(state="all"), "state must be one of label, contrast"),  # type: ignore[arg-type]
        (lambda: GradientBoosting(leaves=1), "leaves must be 2 or more"),
        (lambda: Saplma(folds=1), "folds must be 2 or more"),
        (lambda: Pik(l2=float("nan")), "l2 must be above 0"),
    ],
)
def test_parameters_out_of_range(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [Contrast, GradientBoosting, MassMean, Ntf, Pik, Saplma])
def test_what_was_not_fitted_says_so(make: Callable[[], Any]) -> None:
    with pytest.raises(TrustFunctionError, match=f"{make.__name__} was not fitted; call fit"):  # type: ignore[attr-defined]
        make().score(synthetic_evidence("choice", 4, 0)[0], rng=RNG)
