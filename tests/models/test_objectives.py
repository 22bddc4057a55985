"""Objectives: one loss for language models and heads, weights that count, and a door that other losses fit through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from other_objectives import Confident, Generalised, Product, Soft
from w2s_bench.models.encoding import Pair, encode_pairs
from w2s_bench.models.finetuning import Choices, finetune
from w2s_bench.models.head import Head, train_head
from w2s_bench.models.objectives import (
    ABSENT,
    XENT,
    ClosedForm,
    Step,
    Targets,
    Whose,
    effective_size,
    places,
    relative,
)
from w2s_bench.models.scoring import completion_logits

SETTINGS: dict[str, Any] = {"steps": 5, "batch_size": 3, "learning_rate": 1e-2, "seed": 3}
FIRST = Step(0, 10)


class Plain:
    """`xent` without a derivative of its own."""

    over, needs, loss = XENT.over, XENT.needs, XENT.loss


def slopes_of(objective: Any, logits: Any, *, weights: Any = None, step: Step = FIRST, **targets: Any) -> Any:
    """The loss of `logits` towards `targets`, and its derivative."""
    made = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    label = torch.tensor(targets.pop("label"))
    loss = objective.loss(made, Targets(label, targets), None if weights is None else torch.tensor(weights), step)
    return loss.item(), torch.autograd.grad(loss, made)[0].numpy()


THIRDS = np.log([[0.2, 0.8], [0.5, 0.5]])  # two items, and what a student gives their two options


def test_cross_entropy_by_hand() -> None:
    loss, slopes = slopes_of(XENT, THIRDS, label=[0, 1])
    assert loss == pytest.approx((-np.log(0.2) - np.log(0.5)) / 2)
    np.testing.assert_allclose(slopes, [[-0.4, 0.4], [0.25, -0.25]])
    loss, slopes = slopes_of(XENT, THIRDS, label=[0, 1], weights=[0.5, 1.5])
    assert loss == pytest.approx((-0.5 * np.log(0.2) - 1.5 * np.log(0.5)) / 2)
    np.testing.assert_allclose(slopes, [[-0.2, 0.2], [0.375, -0.375]])


def test_generalised_cross_entropy_by_hand() -> None:
    """(1 − p) at q = 1: the derivative by the label's own logit is −p (1 − p)."""
    loss, slopes = slopes_of(Generalised(1.0), THIRDS, label=[0, 1])
    assert loss == pytest.approx((0.8 + 0.5) / 2)
    np.testing.assert_allclose(slopes, [[-0.08, 0.08], [0.125, -0.125]])
    near, plain = slopes_of(Generalised(1e-9), THIRDS, label=[0, 1]), slopes_of(XENT, THIRDS, label=[0, 1])
    assert near[0] == pytest.approx(plain[0]), "cross-entropy as q goes to 0"
    np.testing.assert_allclose(near[1], plain[1], atol=1e-7)


def test_a_confident_student_by_hand() -> None:
    """The label 0 of the first item is what the student doubts: after warm-up half the push is back to its own option 1."""
    logits = np.log([[0.2, 0.8]])
    late, early = Step(9, 10), Step(0, 10)
    assert slopes_of(Confident(), logits, label=[0], step=early)[0] == pytest.approx(-np.log(0.2))
    loss, slopes = slopes_of(Confident(), logits, label=[0], step=late)
    assert loss == pytest.approx(-0.5 * np.log(0.2) - 0.5 * np.log(0.8))
    np.testing.assert_allclose(slopes, [[0.2 - 0.5, 0.8 - 0.5]])


def test_a_warm_up_rises_by_equal_steps_and_stays() -> None:
    rises = [Step(number, 100).warmed(0.2) for number in range(100)]
    np.testing.assert_allclose(np.diff(rises[:21]), 1 / 20)
    assert rises[0] == 0 and set(rises[20:]) == {1.0}
    assert Step(0, 100).warmed(0) == 1


def test_distributions_by_hand() -> None:
    teacher, base = torch.tensor([[0.6, 0.4], [0.9, 0.1]]).double(), torch.tensor([[0.4, 0.6], [0.5, 0.5]]).double()
    _, slopes = slopes_of(Soft(), THIRDS, label=[0, 0], teacher=teacher)
    np.testing.assert_allclose(slopes, [[-0.2, 0.2], [-0.2, 0.2]], atol=1e-7)
    _, slopes = slopes_of(Product(), THIRDS, label=[0, 0], teacher=teacher, student=base)
    np.testing.assert_allclose(slopes, [[-0.15, 0.15], [-0.2, 0.2]], atol=1e-7)


@pytest.mark.parametrize("objective", [XENT, Generalised(), Confident(), Soft()], ids=lambda o: type(o).__name__)
def test_options_that_an_item_lacks_change_nothing(objective: Any) -> None:
    """Items of fewer options share a table with those of more."""
    teacher = {"teacher": torch.tensor([[0.6, 0.4]]).double()} if objective.needs else {}
    wider = {who: torch.nn.functional.pad(probs, (0, 1)) for who, probs in teacher.items()}
    loss, slopes = slopes_of(objective, [[0.3, -0.2]], label=[1], step=Step(9, 10), **teacher)
    padded, more = slopes_of(objective, [[0.3, -0.2, ABSENT]], label=[1], step=Step(9, 10), **wider)
    assert padded == pytest.approx(loss)
    np.testing.assert_allclose(more, [[*slopes[0], 0]])


def problem(seed: int, items: int = 30) -> tuple[Any, Any, Any]:
    """States, offsets and labels of items of two to four options."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 5, items)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return rng.normal(size=(offsets[-1], 6)).astype(np.float32), offsets, rng.integers(0, counts)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), weighted=st.booleans())
def test_a_closed_form_trains_a_head_as_its_loss_does(seed: int, weighted: bool) -> None:
    assert isinstance(XENT, ClosedForm) and not isinstance(Plain(), ClosedForm)
    weights = np.random.default_rng(seed).uniform(0.1, 3, 30) if weighted else None
    how: dict[str, Any] = {**SETTINGS, "steps": 40, "weights": weights}
    head, losses = train_head(*problem(seed), **how)
    other, others = train_head(*problem(seed), **how, objective=Plain())
    np.testing.assert_allclose(losses, others, rtol=1e-9)
    np.testing.assert_allclose(head.weight, other.weight, rtol=1e-5, atol=1e-7)


def trained_head(objective: Any, **more: Any) -> Head:
    return train_head(*problem(0), **SETTINGS, objective=objective, **more)[0]


def test_a_head_learns_the_teachers_distribution_and_gold_comes_without() -> None:
    states, offsets, labels = problem(0)
    hard = [np.eye(b - a)[label] for (a, b), label in zip(pairwise(offsets.tolist()), labels.tolist(), strict=True)]
    none = [np.zeros(0)] * len(labels)
    plain = trained_head(XENT)
    for given_rows in (hard, none):
        head = trained_head(Soft(), probs={"teacher": given_rows})
        np.testing.assert_allclose(head.weight, plain.weight, rtol=1e-5, atol=1e-7)
    flat = [np.full(b - a, 1 / (b - a)) for a, b in pairwise(offsets.tolist())]
    other = trained_head(Soft(), probs={"teacher": flat})
    assert not np.allclose(other.weight, plain.weight)
    spread = np.abs(other.scores(states)).max() / np.abs(plain.scores(states)).max()
    assert spread < 1, "who is taught doubt doubts"


WORDS = ("Paris", "Lima", "Santiago of Chile", "Peru")


def questions(tokenizer: Any) -> tuple[list[list[Pair]], list[int]]:
    prompts = ["The capital of France is", "one two is", "three is"]
    options = [[(prompt, f" {word}") for word in WORDS[: 2 + i]] for i, prompt in enumerate(prompts)]
    return [encode_pairs(tokenizer, pairs, max_length=64) for pairs in options], [1, 0, 3]


def trained(source: Any, rows: Any, **how: Any) -> tuple[dict[str, Any], list[float]]:
    model, _ = source.load()
    losses = finetune(model, rows, **{**SETTINGS, **how})
    return {name: tensor.detach().clone().numpy() for name, tensor in model.state_dict().items()}, losses


def test_a_language_model_learns_over_options(sources: Any) -> None:
    """The first loss by hand: cross-entropy over the options' summed log-probabilities."""
    model, tokenizer = sources["words"].load()
    options, labels = questions(tokenizer)
    _, losses = trained(sources["words"], Choices(options, labels), steps=40)
    expected = []
    for pairs, label in zip(options, labels, strict=True):
        with torch.no_grad():
            sums = []
            for pair in pairs:
                logits, targets, _ = completion_logits(model, [pair])
                sums.append(-functional.cross_entropy(logits, targets, reduction="sum"))
        expected.append(functional.cross_entropy(torch.stack(sums)[None], torch.tensor([label])).item())
    assert losses[0] == pytest.approx(np.mean(expected), rel=1e-5)
    assert losses[-1] < 0.2 < losses[0]


def test_a_language_model_learns_distributions(sources: Any) -> None:
    _, tokenizer = sources["words"].load()
    options, labels = questions(tokenizer)
    hard: Mapping[Whose, Sequence[Any]] = {"teacher": [np.eye(len(o))[i] for o, i in zip(options, labels, strict=True)]}
    plain, losses = trained(sources["words"], Choices(options, labels))
    soft, others = trained(sources["words"], Choices(options, labels, hard), objective=Soft())
    assert others == pytest.approx(losses, rel=1e-5)
    for name, tensor in plain.items():
        np.testing.assert_allclose(soft[name], tensor, atol=1e-5)


def test_weights_are_of_the_rows_tokens(sources: Any) -> None:
    """A batch of all rows: the first loss by hand, each token with its row's weight."""
    model, tokenizer = sources["words"].load()
    pairs = encode_pairs(tokenizer, [("a b", " c"), ("one", " two three"), ("x y", " z a b")], max_length=64)
    weights = relative([3.0, 2.0, 1.0])
    assert weights is not None
    with torch.no_grad():
        logits, targets, rows = completion_logits(model, pairs)
        each = functional.cross_entropy(logits, targets, reduction="none").numpy()
    _, losses = trained(sources["words"], pairs, weights=weights)
    assert losses[0] == pytest.approx(float(np.mean(weights[rows.numpy()] * each)), rel=1e-5)
    same, _ = trained(sources["words"], pairs)
    other, _ = trained(sources["words"], pairs, weights=weights)
    assert any(not np.array_equal(same[name], other[name]) for name in same)


def test_equal_weights_are_no_weights() -> None:
    """Bit for bit: a selection that keeps rows with one weight trains the student that it always trained."""
    assert relative([1.0, 1.0]) is None and relative([0.25] * 3) is None and relative([]) is None
    made = relative([1.0, 3.0])
    assert made is not None and made.tolist() == [0.5, 1.5]


def test_the_effective_size() -> None:
    assert effective_size([0.5] * 7) == pytest.approx(7)
    assert effective_size([1.0, 0.0, 0.0]) == pytest.approx(1)
    assert effective_size([1.0, 3.0]) == pytest.approx(16 / 10)
    assert effective_size([]) == 0


def test_places_of_options() -> None:
    rows, columns = places(np.array([2, 3, 1]))
    assert rows.tolist() == [0, 0, 1, 1, 1, 2] and columns.tolist() == [0, 1, 0, 1, 2, 0]
