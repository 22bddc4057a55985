"""The objectives that ship: each by hand, its gradient against finite differences, gold rows, and what it refuses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support import ROOT
from w2s_bench.errors import ModelError
from w2s_bench.models.encoding import encode_pairs
from w2s_bench.models.finetuning import Choices, finetune, joined
from w2s_bench.models.head import train_head
from w2s_bench.models.loading import load_engine
from w2s_bench.models.losses import Bootstrap, Early, Generalised, Soft, Symmetric, logconf, product
from w2s_bench.models.objectives import (
    ABSENT,
    XENT,
    ClosedForm,
    CrossEntropy,
    OfBatch,
    Step,
    Targets,
    check_steps,
    distributions,
    flat,
    held_out,
    over_of,
)
from w2s_bench.models.ridge import fit_head
from w2s_bench.models.setup import Effort
from w2s_bench.protocol.objectives import OBJECTIVES, objective_of
from w2s_bench.runs.objectives_page import page
from w2s_bench.types import TrainingRow

LATE = Step(9, 10)
#: Two items, and what a student gives their two options.
TWO = np.log([[0.2, 0.8], [0.5, 0.5]])
EVERY = [
    *(
        "xent",
        "xent:over=options",
        "soft",
        "soft:temperature=2.0",
        "logconf",
        "logconf:labels=soft",
        "logconf:threshold=none",
    ),
    *("product", "product:prior=current", "bootstrap", "bootstrap:belief=soft", "gce", "gce:q=1", "sce", "early"),
    *("opd", "w2s_opd", "co_teaching"),
]
#: Their derivative is no loss's; `test_on_policy` tries them.
ELSEWHERE = {"trb", "tropd"}


def targets_of(label: Any, **probs: Any) -> Targets:
    return Targets(
        torch.tensor(label), {whose: torch.tensor(each, dtype=torch.float64) for whose, each in probs.items()}
    )


def slopes_of(objective: Any, logits: Any, targets: Targets, *, weights: Any = None, step: Step = LATE) -> Any:
    made = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = objective.loss(made, targets, None if weights is None else torch.tensor(weights), step)
    return loss.item(), torch.autograd.grad(loss, made)[0].numpy()


def test_soft_by_hand() -> None:
    """The derivative is p − w, halved by the mean over two items."""
    towards = targets_of([0, 0], teacher=[[0.6, 0.4], [0.9, 0.1]])
    loss, slopes = slopes_of(Soft(), TWO, towards)
    assert loss == pytest.approx(-(0.6 * np.log(0.2) + 0.4 * np.log(0.8) + np.log(0.5)) / 2)
    np.testing.assert_allclose(slopes, [[-0.2, 0.2], [-0.2, 0.2]])
    _, slopes = slopes_of(Soft(temperature=0.5), TWO, towards)  # squares, made to sum to 1
    np.testing.assert_allclose(slopes[0], [(0.2 - 0.36 / 0.52) / 2, (0.8 - 0.16 / 0.52) / 2])


def test_a_product_by_hand() -> None:
    teacher, student = [[0.6, 0.4], [0.9, 0.1]], [[0.4, 0.6], [0.5, 0.5]]
    _, slopes = slopes_of(product(), TWO, targets_of([0, 0], teacher=teacher, student=student))
    np.testing.assert_allclose(slopes, [[-0.15, 0.15], [-0.2, 0.2]])
    _, slopes = slopes_of(product(prior="current"), TWO, targets_of([0, 0], teacher=teacher))
    wanted = 0.12 / (0.12 + 0.32)  # .6 × .2 against .4 × .8
    np.testing.assert_allclose(slopes[0], [(0.2 - wanted) / 2, (wanted - 0.2) / 2])
    soft = slopes_of(Soft(), TWO, targets_of([0, 0], teacher=teacher))
    np.testing.assert_allclose(
        slopes_of(product(beta=0), TWO, targets_of([0, 0], teacher=teacher, student=student))[1], soft[1]
    )


def test_robust_losses_by_hand() -> None:
    """The derivative of 1 − p by the label's own logit is −p (1 − p)."""
    towards = targets_of([0, 1])
    loss, slopes = slopes_of(Generalised(1), TWO, towards)
    assert loss == pytest.approx((0.8 + 0.5) / 2)
    np.testing.assert_allclose(slopes, [[-0.08, 0.08], [0.125, -0.125]])
    near, plain = slopes_of(Generalised(1e-9), TWO, towards), slopes_of(XENT, TWO, towards)
    assert near[0] == pytest.approx(plain[0])
    np.testing.assert_allclose(near[1], plain[1], atol=1e-7)
    loss, slopes = slopes_of(Symmetric(), TWO, towards)
    assert loss == pytest.approx(0.1 * plain[0] + 4 * (0.8 + 0.5) / 2)
    np.testing.assert_allclose(slopes, 0.1 * plain[1] + 4 * np.array([[-0.08, 0.08], [0.125, -0.125]]))
    assert slopes_of(Symmetric(alpha=1, beta=0), TWO, towards)[0] == pytest.approx(plain[0])


def test_bootstrapping_by_hand() -> None:
    towards = targets_of([0, 1])
    loss, slopes = slopes_of(Bootstrap(), TWO[:1], targets_of([0]))
    assert loss == pytest.approx(-0.8 * np.log(0.2) - 0.2 * np.log(0.8))
    np.testing.assert_allclose(slopes, [[0.2 - 0.8, 0.8 - 0.2]])
    entropies = -(np.exp(TWO) * TWO).sum(-1)
    plain = slopes_of(XENT, TWO, towards)[0]
    assert slopes_of(Bootstrap(belief="soft"), TWO, towards)[0] == pytest.approx(0.95 * plain + 0.05 * entropies.mean())
    assert slopes_of(Bootstrap(beta=1), TWO, towards)[0] == pytest.approx(plain)


def openai_logconf(logits: torch.Tensor, labels: torch.Tensor, coef: float) -> torch.Tensor:
    """`logconf_loss_fn` of openai/weak-to-strong, its coefficient given."""
    preds = torch.softmax(logits, dim=-1)
    mean_weak = torch.mean(labels, dim=0)
    threshold = torch.quantile(preds[:, 0], mean_weak[1])
    strong = torch.cat([(preds[:, 0] >= threshold)[:, None], (preds[:, 0] < threshold)[:, None]], dim=1)
    return torch.nn.functional.cross_entropy(logits, labels * (1 - coef) + strong.detach() * coef)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), alpha=st.sampled_from([0.5, 0.75]), number=st.integers(0, 9), soft=st.booleans())
def test_logconf_is_the_published_loss(seed: int, alpha: float, number: int, soft: bool) -> None:
    """Of two options, with the coefficient that the paper has: linear over a fifth of the steps, then constant."""
    rng = np.random.default_rng(seed)
    logits, teacher = rng.normal(size=(9, 2)), rng.dirichlet([1, 1], size=9)
    labels = teacher if soft else np.eye(2)[teacher.argmax(-1)]
    given = targets_of(teacher.argmax(-1).tolist(), **({"teacher": teacher.tolist()} if soft else {}))
    objective = logconf(alpha=alpha, labels="soft" if soft else "hard")
    made = torch.tensor(logits, requires_grad=True)
    expected = openai_logconf(made, torch.tensor(labels), alpha * min(1.0, number / 2))
    loss, slopes = slopes_of(objective, logits, given, step=Step(number, 10))
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(slopes, torch.autograd.grad(expected, made)[0].numpy(), atol=1e-12)


def test_a_student_of_logconf_chooses_each_option_as_often_as_the_labels_do() -> None:
    """All of four students' beliefs lean to option 1, and one label of four is option 1."""
    logits = np.log([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    towards = targets_of([0, 0, 0, 1])
    objective = logconf(alpha=1, warm=0)
    assert isinstance(objective, OfBatch)
    settled: Any = objective.settled(torch.tensor(logits), towards, LATE)
    assert settled._own(torch.tensor(logits)).tolist() == [1, 0, 0, 0]
    assert slopes_of(objective, logits, towards)[0] == pytest.approx(-np.mean(np.log([0.9, 0.2, 0.3, 0.4])))
    plain = logconf(alpha=1, warm=0, threshold="none")
    assert slopes_of(plain, logits, towards)[0] == pytest.approx(-np.mean(np.log([0.9, 0.8, 0.7, 0.6])))
    three = np.pad(logits, ((0, 0), (0, 1)), constant_values=-1.0)
    assert slopes_of(objective, three, towards)[0] == pytest.approx(slopes_of(plain, three, towards)[0])


@pytest.mark.parametrize("spec", EVERY)
def test_gradients_are_those_of_finite_differences(spec: str) -> None:
    """What is held constant must be so: beliefs that a loss mixes in have no gradient, but for soft bootstrapping."""
    objective, rng = objective_of(spec), np.random.default_rng(3)
    logits = torch.tensor(rng.normal(size=(5, 4)))
    probs = {whose: torch.tensor(rng.dirichlet(np.ones(4), size=5)) for whose in objective.needs}
    weights = torch.tensor(rng.uniform(0.5, 1.5, size=5))
    towards = Targets(torch.tensor([0, 3, 2, 1, 1]), probs)
    own = logits.clone()

    def loss(at: torch.Tensor) -> torch.Tensor:
        if spec != "product:prior=current":
            return objective.loss(at, towards, weights, LATE)
        fixed = Targets(towards.label, {**probs, "student": own.softmax(-1)})
        return product().loss(at, fixed, weights, LATE)

    at = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (at,))
    (slope,) = torch.autograd.grad(objective.loss(at, towards, weights, LATE), at)
    np.testing.assert_allclose(slope, torch.autograd.grad(loss(at), at)[0], atol=1e-12)


@pytest.mark.parametrize("spec", EVERY)
def test_options_that_an_item_lacks_change_nothing(spec: str) -> None:
    objective = objective_of(spec)
    probs = {whose: [[0.6, 0.4]] for whose in objective.needs}
    wider = {whose: [[0.6, 0.4, 0.0]] for whose in objective.needs}
    loss, slopes = slopes_of(objective, [[0.3, -0.2]], targets_of([1], **probs))
    padded, more = slopes_of(objective, [[0.3, -0.2, ABSENT]], targets_of([1], **wider))
    if spec in ("logconf", "logconf:labels=soft"):  # one item of two options is a batch with a threshold
        other = objective_of(f"{spec}{',' if ':' in spec else ':'}threshold=none")
        loss, slopes = slopes_of(other, [[0.3, -0.2]], targets_of([1], **probs))
    assert padded == pytest.approx(loss)
    np.testing.assert_allclose(more, [[*slopes[0], 0]], atol=1e-12)


@pytest.mark.parametrize("spec", ["soft", "soft:temperature=3.0", "product", "product:prior=current,beta=2.0"])
def test_a_row_of_gold_has_its_label_alone(spec: str) -> None:
    """Even one that the untuned student held impossible."""
    objective, logits = objective_of(spec), torch.tensor(TWO)
    labels = torch.tensor([0, 1])
    given: Any = {"teacher": [np.zeros(0), np.zeros(0)], "student": [np.array([0.0, 1.0]), np.array([0.5, 0.5])]}
    probs = distributions({whose: given[whose] for whose in objective.needs}, labels, logits)
    loss, slopes = slopes_of(objective, TWO, Targets(labels, probs))
    plain = slopes_of(XENT, TWO, targets_of([0, 1]))
    assert loss == pytest.approx(plain[0])
    np.testing.assert_allclose(slopes, plain[1], atol=1e-12)


CLOSED = [
    "gce:q=0.3",
    "sce:alpha=0.5,beta=0.2",
    "soft",
    "soft:temperature=2.0",
    "product",
    "product:alpha=0.5,beta=2.0",
]


@pytest.mark.parametrize("spec", CLOSED)
def test_closed_forms_are_the_derivatives(spec: str) -> None:
    """A row of gold among them, whose label the untuned student held to be impossible."""
    objective: Any = objective_of(spec)
    assert isinstance(objective, ClosedForm)
    rng = np.random.default_rng(1)
    logits, labels, starts = rng.normal(size=(4, 3)), np.array([0, 2, 1, 1]), np.arange(0, 13, 3)
    given: Any = {whose: list(rng.dirichlet(np.ones(3), size=4)) for whose in objective.needs}
    if objective.needs:
        given["teacher"][3] = np.zeros(0)
        given |= {"student": [*given["student"][:3], np.array([0.5, 0.0, 0.5])]} if "student" in given else {}
    probs = flat(given, starts, labels)
    losses, slopes = objective.losses_and_slopes(logits.ravel(), starts, labels, LATE, probs)
    wanted = torch.tensor(labels)
    targets = Targets(wanted, distributions(given, wanted, torch.tensor(logits)))
    loss, by_logit = slopes_of(objective, logits, targets)
    assert losses.mean() == pytest.approx(loss)
    np.testing.assert_allclose(slopes.reshape(4, 3) / 4, by_logit, atol=1e-12)


def test_a_head_is_fitted_to_the_teachers_distribution() -> None:
    """At the minimum what a penalty leaves is the teacher's doubt; of a teacher without doubt it is the cross-entropy's head."""
    rng = np.random.default_rng(2)
    states, offsets = rng.normal(size=(60, 4)).astype(np.float32), np.arange(0, 61, 2)
    labels, zero_shot = rng.integers(0, 2, 30), rng.normal(size=60)
    how: Any = {"grid": [0.1, 1.0], "folds": 3, "steps": 200, "seed": 0, "zero_shot": zero_shot}
    plain, _, chosen = fit_head(states, offsets, labels, **how)
    for rows in ([np.eye(2)[label] for label in labels], [np.zeros(0)] * 30):
        head, _, other = fit_head(states, offsets, labels, **how, objective=Soft(), probs={"teacher": rows})
        np.testing.assert_allclose(head.weight, plain.weight, atol=1e-5)
        assert other == chosen
    doubt = [np.full(2, 0.5)] * 30
    head, losses, _ = fit_head(states, offsets, labels, **how, objective=Soft(), probs={"teacher": doubt})
    assert losses[-1] < losses[0] and np.abs(head.scores(states, zero_shot)).max() < 0.05


@pytest.mark.parametrize("spec", EVERY)
def test_every_objective_trains_a_head(spec: str) -> None:
    """Ten items of four options whose labels a state tells: what is learned is right."""
    objective, rng = objective_of(spec), np.random.default_rng(5)
    labels = rng.integers(0, 4, 10)
    states = np.eye(4)[labels].reshape(-1, 1) + rng.normal(size=(40, 3)) * [[0.05, 1, 1]]
    probs: Any = {whose: [np.full(4, 0.1) + 0.6 * np.eye(4)[label] for label in labels] for whose in objective.needs}
    head, _ = train_head(
        states.astype(np.float32), np.arange(0, 41, 4), labels,
        steps=60, batch_size=10, learning_rate=0.1, seed=0, objective=objective, probs=probs,
    )  # fmt: skip
    chosen = head.scores(states.astype(np.float32)).reshape(10, 4).argmax(-1)
    assert (chosen == labels).all()


def test_what_each_is_over() -> None:
    def of(spec: str) -> list[str | None]:
        return [over_of(objective_of(spec).over, chooses=chooses) for chooses in (True, False)]

    assert (
        of("xent") == of("gce") == of("sce") == of("bootstrap") == of("logconf") == of("early") == ["tokens", "tokens"]
    )
    assert of("xent:over=any") == of("gce:over=any") == of("early:over=any") == ["options", "tokens"]
    assert of("soft") == of("product") == of("logconf:labels=soft") == of("gce:over=options") == ["options", None]
    assert CrossEntropy().over == XENT.over


@pytest.mark.parametrize("objective", [logconf(warm=0), logconf(warm=0, labels="soft")], ids=["hard", "soft"])
def test_a_step_in_parts_is_a_step(sources: Any, objective: Any) -> None:
    """The threshold is of the whole batch, on a small machine too."""
    losses, weights = [], []
    for micro in (None, 1):
        model, tokenizer = sources["words"].load()
        words = [("The capital of France is", "Paris", "Lima"), ("one two is", "three", "Peru"), ("x y is", "z", "a b")]
        texts = [[(prompt, f" {option}") for option in options] for prompt, *options in words]
        options = [encode_pairs(tokenizer, pairs, max_length=64) for pairs in texts]
        probs: Any = {"teacher": [np.array([0.7, 0.3]), np.array([0.2, 0.8]), np.array([0.6, 0.4])]}
        rows = Choices(options, [0, 1, 0], probs if objective.needs else {})
        effort = Effort(micro_batch=micro)
        losses.append(
            finetune(model, rows, steps=4, batch_size=3, learning_rate=1e-2, seed=1, objective=objective, effort=effort)
        )
        weights.append(next(model.parameters()).detach().numpy())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    # Of gradients near 0 Adam turns round-off into a part of a step of .01; what another threshold makes is a whole one.
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-4)


def test_checks_are_equally_far_apart_and_the_last_step_is_one() -> None:
    assert sorted(check_steps(5, 90)) == [17, 35, 53, 71, 89]
    assert sorted(check_steps(5, 3)) == [0, 1, 2]


@given(st.integers(2, 40), st.floats(0.01, 0.5), st.integers(0, 99))
def test_held_out_rows_are_other_items(count: int, share: float, seed: int) -> None:
    """Rows of one item, of which there may be several, are on one side; distributions stay with their rows."""
    names = [f"i{number // 2}" for number in range(2 * count)]
    rows = [TrainingRow(name, "q", " a", False, (" a", " b"), 0) for name in names]
    given: Any = {"teacher": [np.array([float(place)]) for place in range(len(rows))]}
    kept, held, probs = held_out(rows, given, share=share, seed=seed)
    assert not {row.id for row in kept} & {row.id for row in held}
    assert len(held) == 2 * min(count - 1, max(1, round(share * count))) and len(kept) + len(held) == len(rows)
    assert [names[int(each[0])] for each in probs["teacher"]] == [row.id for row in kept]
    again = held_out(rows[::-1], {}, share=share, seed=seed)
    assert {row.id for row in again[1]} == {row.id for row in held}


@given(st.integers(2, 12), st.floats(0.01, 0.5), st.integers(0, 99), st.data())
def test_held_out_rows_are_of_other_groups(count: int, share: float, seed: int, data: st.DataObject) -> None:
    """Groups are never parted, and take no more than the share where any of them fits; else the smallest is held out."""
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    groups = {f"g{g}-{n}": f"g{g}" for g, size in enumerate(sizes) for n in range(size)}
    rows = [TrainingRow(name, "q", " a", False, (" a", " b"), 0) for name in groups]
    kept, held, _ = held_out(rows, {}, share=share, seed=seed, groups=groups)
    assert kept and held and len(kept) + len(held) == len(rows)
    assert not {groups[row.id] for row in kept} & {groups[row.id] for row in held}
    room = round(share * len(rows))
    if min(sizes) > room:
        assert len(held) == min(sizes)
    else:
        assert len(held) <= room < len(held) + min((groups_of(kept, groups)).values())


def groups_of(rows: Sequence[TrainingRow], groups: Mapping[str, str]) -> Counter[str]:
    return Counter(groups[row.id] for row in rows)


def test_rows_of_one_group_leave_none_to_hold_out() -> None:
    rows = [TrainingRow(name, "q", " a", False, (" a", " b"), 0) for name in "abc"]
    with pytest.raises(ModelError, match="of 1 group of items, which leaves none to hold out; raise the coverage"):
        held_out(rows, {}, share=0.1, seed=0, groups=dict.fromkeys("abc", "g"))


def test_the_student_of_highest_agreement_is_kept(sources: Any) -> None:
    """Of equal ones the first, its weights as they were; without checks it is the last one."""
    model, tokenizer = sources["words"].load()
    pairs = encode_pairs(tokenizer, [("a b", " c"), ("one", " two three"), ("x y", " z a b")], max_length=64)
    seen, agreed = [], iter([0.2, 0.9, 0.9, 0.1])

    def agreement() -> float:
        seen.append([parameter.detach().clone() for parameter in model.parameters()])
        assert not model.training
        return next(agreed)

    how: Any = {"steps": 8, "batch_size": 2, "learning_rate": 1e-2, "seed": 3}
    losses = finetune(model, pairs, **how, objective=Early(checks=4), agreement=agreement)
    assert len(seen) == 4 and len(losses) == 8
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), seen[1], strict=True))
    assert not all(torch.equal(now, then) for now, then in zip(model.parameters(), seen[2], strict=True))
    plain, _ = sources["words"].load()
    assert finetune(plain, pairs, **how) == losses, "the steps are those of the cross-entropy"
    assert all(torch.equal(last, then) for last, then in zip(plain.parameters(), seen[3], strict=True))


@pytest.mark.parametrize("choices", [(" Paris", " Lima", " Peru"), None])
def test_an_engine_stops_by_the_labels_of_rows_that_it_does_not_train_on(
    sources: Any, capsys: pytest.CaptureFixture[str], choices: Any
) -> None:
    """Every label is the same one, which the student learns at once: it agrees with all that are held out."""
    engine = load_engine(sources["words"])
    index = None if choices is None else 1
    rows = [TrainingRow(f"i{n}", f"{word} is", " Lima", False, choices, index) for n, word in enumerate("abcdefghij")]
    how: Any = {"recipe": "full", "steps": 40, "batch_size": 4, "learning_rate": 2e-2, "seed": 0, "lora_rank": 1}
    with pytest.raises(ModelError, match="1 group of items, which leaves none to hold out"):
        engine.train(rows, **how, objective=Early(), groups={row.id: "one" for row in rows})
    engine.train(rows, **how, objective=Early(share=0.3, checks=4))
    said = capsys.readouterr().out
    assert re.search(r"kept step (10|20|30|40) of 40, whose student agrees with 1\.000 of held-out labels", said), said
    if choices:
        assert {int(np.argmax(each)) for each in engine.choice_scores(rows)} == {1}
    with pytest.raises(ModelError, match="1 group of items, which leaves none to hold out"):
        engine.train(rows[:1], **how, objective=Early())


def test_parts_of_other_widths_are_one_table() -> None:
    one = (torch.zeros(1, 2), Targets(torch.tensor([1]), {"teacher": torch.tensor([[0.5, 0.5]])}))
    two = (torch.ones(2, 3), Targets(torch.tensor([0, 2]), {"teacher": torch.full((2, 3), 1 / 3)}))
    logits, targets = joined([one, two])
    assert logits[0].tolist() == [0.0, 0.0, torch.tensor(ABSENT).item()] and logits[1:].eq(1).all()
    assert targets.label.tolist() == [1, 0, 2] and targets.probs["teacher"][0].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("soft:temperature=0", r"temperature is 0, expected a number above 0"),
        ("logconf:alpha=1.5", r"alpha is 1.5, expected a number from 0 to 1"),
        ("logconf:alpha=high", r"alpha is 'high', expected a number from 0 to 1"),
        ("logconf:warm=true", r"warm is True, expected a number"),
        ("logconf:labels=gold", r"labels is 'gold', expected hard or soft"),
        ("product:prior=later", r"prior is 'later', expected untuned or current"),
        ("product:beta=-1", r"beta is -1, expected a number from 0"),
        ("gce:q=0", r"q is 0, expected a number above 0 and at most 1"),
        ("gce:over=words", r"over is 'words', expected any or tokens or options"),
        ("sce:floor=0", r"floor is 0, expected a number from -1e\+06 and below 0"),
        ("sce:alpha=0,beta=0", r"both 0"),
        ("bootstrap:belief=firm", r"belief is 'firm', expected hard or soft"),
        ("early:share=0.6", r"share is 0.6, expected a number above 0 and at most 0.5"),
        ("early:checks=1", r"checks is 1, expected a number from 2 to 100"),
        ("early:checks=2.5", r"checks must be a whole number, got 2.5"),
        ("bootstrap:beta=2", r"beta is 2, expected a number from 0 to 1"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(spec: str, message: str) -> None:
    with pytest.raises(Exception, match=rf"objective '{spec.partition(':')[0]}.*: .*{message}"):
        objective_of(spec)


def test_every_objective_is_tried_here() -> None:
    assert {spec.partition(":")[0] for spec in EVERY} | ELSEWHERE == {*OBJECTIVES}


def test_documentation_has_every_objective_as_its_docstring_does() -> None:
    """After a change on purpose: python -m w2s_bench.runs.objectives_page > docs/objectives.md."""
    assert (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8") == page()
