"""On-policy distillation: each formula by hand, and students that write their own answers, told by other models."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from w2s_bench.errors import ModelError
from w2s_bench.models.encoding import Pair, encode_pairs, encode_prompts
from w2s_bench.models.engine import Engine
from w2s_bench.models.finetuning import finetune
from w2s_bench.models.greedy import continued, prompts_with_room, stops_of
from w2s_bench.models.loading import load_engine
from w2s_bench.models.losses import Accepted, Blended, Contrast, ReverseKL
from w2s_bench.models.losses.opd import reverse_kl
from w2s_bench.models.losses.trb import blended
from w2s_bench.models.losses.tropd import accepted
from w2s_bench.models.objectives import ABSENT, OnPolicy, Step, Targets
from w2s_bench.models.on_policy import OwnAnswers, Rolling, refuse_other_tokens
from w2s_bench.models.sampling import Sampling
from w2s_bench.models.setup import Effort
from w2s_bench.protocol.objectives import objective_of
from w2s_bench.types import TrainingRow

FIRST, HALF, LAST = Step(0, 10), Step(5, 10), Step(9, 10)
EVERY = ["opd", "trb", "tropd", "w2s_opd"]
MOST = 6  # new tokens of an answer


def logs(*rows: Any) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


def told(*rows: Any, label: Any = None, off_policy: Any = None, **others: Any) -> Targets:
    probs = {"teacher": torch.tensor(rows, dtype=torch.float64), **others}
    return Targets(torch.tensor(label or [0] * len(rows)), probs, off_policy)


def slopes_of(objective: Any, logits: torch.Tensor, targets: Targets, step: Step = LAST) -> tuple[float, np.ndarray]:
    own = logits.clone().requires_grad_()
    loss = objective.loss(own, targets, None, step)
    return loss.item(), torch.autograd.grad(loss, own)[0].numpy()


def test_the_reverse_divergence_by_hand() -> None:
    """Of p = (.2, .8) from w = (.5, .5): Σ p ln (p / w), and its derivative p (ln (p / w) − KL)."""
    wanted = 0.2 * np.log(0.4) + 0.8 * np.log(1.6)
    loss, slopes = slopes_of(ReverseKL(), logs([0.2, 0.8]), told([0.5, 0.5]))
    assert loss == pytest.approx(wanted)
    np.testing.assert_allclose(slopes, [[0.2 * (np.log(0.4) - wanted), 0.8 * (np.log(1.6) - wanted)]])
    weighted = ReverseKL().loss(
        logs([0.2, 0.8], [0.5, 0.5]), told([0.5, 0.5], [0.5, 0.5]), torch.tensor([1.5, 0.5]), LAST
    )
    assert weighted.item() == pytest.approx(1.5 * wanted / 2)


@pytest.mark.parametrize("spec", EVERY)
def test_a_student_that_is_the_teacher_learns_nothing(spec: str) -> None:
    p = [0.1, 0.3, 0.6]
    same = torch.tensor([p], dtype=torch.float64)
    loss, slopes = slopes_of(objective_of(spec), logs(p), told(p, student=same, untuned_teacher=same))
    assert loss == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(slopes, 0, atol=1e-12)


@pytest.mark.parametrize("spec", EVERY)
def test_options_that_an_item_lacks_and_what_a_teacher_holds_impossible(spec: str) -> None:
    objective = objective_of(spec)

    def loss_of(logits: Any, *more: float) -> tuple[float, np.ndarray]:
        one = torch.tensor([[0.4, 0.6, *more]], dtype=torch.float64)
        return slopes_of(
            objective,
            torch.tensor(logits, dtype=torch.float64),
            told([0.7, 0.3, *more], student=one, untuned_teacher=one),
        )

    loss, slopes = loss_of([[0.3, -0.2]])
    padded, more = loss_of([[0.3, -0.2, ABSENT]], 0.0)
    assert padded == pytest.approx(loss)
    np.testing.assert_allclose(more, [[*slopes[0], 0]], atol=1e-12)
    impossible = loss_of([[0.3, -0.2, 0.1]], 0.0)
    assert np.isfinite(impossible[0]) and np.isfinite(impossible[1]).all()


def distribution(size: int) -> Any:
    return st.lists(st.floats(-6, 6), min_size=size, max_size=size)


@given(st.integers(2, 6).flatmap(lambda k: st.tuples(distribution(k), distribution(k))), st.floats(1e-4, 2))
def test_a_blend_uses_its_budget_whole_or_is_the_teacher(both: Any, budget: float) -> None:
    student, teacher = (torch.tensor([one], dtype=torch.float64) for one in both)
    mixed, beta = blended(student, teacher, budget)
    p, w = student.log_softmax(-1), teacher.log_softmax(-1)
    spent = (mixed.exp() * (mixed - p)).sum().item()
    assert mixed.exp().sum().item() == pytest.approx(1)
    if (w.exp() * (w - p)).sum().item() <= budget:
        assert beta.item() == 1
        np.testing.assert_allclose(mixed, w, atol=1e-9)
    else:
        assert spent == pytest.approx(budget, rel=1e-4) and 0 < beta.item() < 1
    share = beta.item()
    np.testing.assert_allclose(mixed, ((1 - share) * p + share * w).log_softmax(-1), atol=1e-9)


def test_a_blend_of_small_budget_is_as_the_authors_expand_it() -> None:
    """β ≈ √(2ε / σ²), σ² the variance under the student of ln (w / p); and of no budget it is the student."""
    student, teacher = logs([0.2, 0.3, 0.5]), logs([0.5, 0.3, 0.2])
    p, ratio = student.exp()[0], (teacher - student)[0]
    variance = (p * (ratio - (p * ratio).sum()) ** 2).sum().item()
    assert blended(student, teacher, 1e-8)[1].item() == pytest.approx(np.sqrt(2e-8 / variance), rel=1e-3)
    np.testing.assert_allclose(blended(student, teacher, 0.0)[0], student, atol=1e-6)


def test_a_budget_falls_to_nothing_and_an_opening_too() -> None:
    trb = Blended(epsilon=0.04, share=0.5)
    assert [trb.budget(Step(n, 10)) for n in (0, 1, 4, 5, 9)] == pytest.approx([0.04, 0.032, 0.008, 0, 0])
    assert [trb.opening(step) for step in (FIRST, LAST)] == [0, 0] and ReverseKL().budget(FIRST) == 0
    tropd = Accepted(prefix=0.8)
    assert [tropd.opening(Step(n, 10)) for n in (0, 5, 10)] == pytest.approx([0.8, 0.4, 0])
    assert all(isinstance(objective_of(spec), OnPolicy) for spec in EVERY)


def test_what_is_accepted_by_hand() -> None:
    """p = (.2, .8), w = (.5, .5): the first is accepted always, the second with chance 5 / 8."""
    p, w = logs([0.2, 0.8]), logs([0.5, 0.5])
    np.testing.assert_allclose(accepted(p, w).numpy(), [[1, 0.625]])
    mass = 0.2 + 0.5
    own = 0.2 * np.log(0.4) + 0.5 * np.log(1.6)
    forward = 0.5 * np.log(0.5 / 0.2) + 0.5 * np.log(0.5 / 0.8)
    assert slopes_of(Accepted(), p, told([0.5, 0.5]))[0] == pytest.approx(own + (1 - mass) * forward)
    assert slopes_of(Accepted(outliers="none"), p, told([0.5, 0.5]))[0] == pytest.approx(own)
    one = slopes_of(Accepted(top=1), p, told([0.6, 0.4]))[0]
    rejected = 1 - 0.2 - 0.4
    kept = 0.2 * np.log(0.2 / 0.6) + 0.4 * np.log(0.8 / 0.4)
    assert one == pytest.approx(kept + rejected * 0.6 * np.log(0.6 / 0.2))


@given(distribution(4), distribution(4))
def test_the_pull_is_the_mean_over_tokens_and_acceptances_drawn(student: Any, teacher: Any) -> None:
    """The authors draw token and mask: an accepted token pulls by ln (p / w) times the derivative of ln p, a rejected one by
    that of the forward divergence."""
    logits, w = torch.tensor([student], dtype=torch.float64), torch.tensor([teacher], dtype=torch.float64).softmax(-1)
    own = logits.clone().requires_grad_()
    log_p = own.log_softmax(-1)[0]
    p = log_p.detach().exp()
    expected = torch.zeros_like(logits)
    forward = (w[0] * (w[0].log() - log_p)).sum()
    for token in range(4):
        chance = min((w[0, token] / p[token]).item(), 1.0)
        reward = (log_p[token].detach() - w[0, token].log()).item()
        (taken,) = torch.autograd.grad(reward * log_p[token], own, retain_graph=True)
        (rejected,) = torch.autograd.grad(forward, own, retain_graph=True)
        expected += p[token] * (chance * taken + (1 - chance) * rejected)
    _, slopes = slopes_of(Accepted(), logits, told(*w.tolist()))
    np.testing.assert_allclose(slopes, expected, atol=1e-9)


def test_tokens_of_the_label_count_by_beta() -> None:
    p, w = [0.2, 0.8], [0.5, 0.5]
    given_first = torch.tensor([True, False])
    loss, slopes = slopes_of(Accepted(beta=0.1), logs(p, p), told(w, w, label=[0, 1], off_policy=given_first))
    alone, own = slopes_of(Accepted(), logs(p), told(w))
    assert loss == pytest.approx((0.1 * np.log(0.5 / 0.2) + alone) / 2)
    np.testing.assert_allclose(slopes[0], 0.1 * np.array([0.2 - 1, 0.8]) / 2)
    np.testing.assert_allclose(slopes[1], own[0] / 2)


def test_a_contrast_of_nothing_is_distillation_to_the_base_and_one_without_it_to_the_teacher() -> None:
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(5, 4)))
    base, teacher, untuned = (torch.tensor(rng.dirichlet(np.ones(4), 5)) for _ in range(3))
    label = torch.zeros(5, dtype=torch.int64)
    targets = Targets(label, {"student": base, "teacher": teacher, "untuned_teacher": untuned})
    to_base, to_teacher = (slopes_of(ReverseKL(), logits, Targets(label, {"teacher": one})) for one in (base, teacher))
    loss, slopes = slopes_of(Contrast(alpha=0), logits, targets)
    assert loss == pytest.approx(to_base[0])
    np.testing.assert_allclose(slopes, to_base[1], atol=1e-12)
    loss, slopes = slopes_of(
        Contrast(), logits, Targets(label, {"student": untuned, "teacher": teacher, "untuned_teacher": untuned})
    )
    assert loss == pytest.approx(to_teacher[0])
    np.testing.assert_allclose(slopes, to_teacher[1], atol=1e-12)
    wanted = (base.log() + 2 * (teacher.log() - untuned.log())).log_softmax(-1)
    assert slopes_of(Contrast(alpha=2), logits, targets)[0] == pytest.approx(reverse_kl(logits, wanted).mean().item())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("opd:rollouts=0", r"rollouts is 0, expected a number from 1 to 64"),
        ("opd:rollouts=1.5", r"rollouts must be a whole number, got 1.5"),
        ("trb:epsilon=0", r"epsilon is 0, expected a number above 0"),
        ("trb:share=2", r"share is 2, expected a number above 0 and at most 1"),
        ("tropd:outliers=clip", r"outliers is 'clip', expected fkl or none"),
        ("tropd:top=0", r"top is 0, expected a number from 1"),
        ("tropd:top=1.5", r"top must be a whole number, got 1.5"),
        ("tropd:prefix=2", r"prefix is 2, expected a number from 0 to 1"),
        ("tropd:beta=-1", r"beta is -1, expected a number from 0"),
        ("w2s_opd:alpha=-1", r"alpha is -1, expected a number from 0"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(spec: str, message: str) -> None:
    with pytest.raises(Exception, match=rf"objective '{spec.partition(':')[0]}.*: .*{message}"):
        objective_of(spec)


# Answers that a student writes itself

ROWS = [
    TrainingRow(str(i), prompt, completion, True, None, None)
    for i, (prompt, completion) in enumerate(
        [
            ("The capital of France is", " Paris ,"),
            ("one two three four", " five six seven"),
            ("Question: how much is 12 + 30 ? Answer:", " 42"),
            ("a b", " c d e f"),
        ]
    )
]


@dataclass(frozen=True)
class Steady(ReverseKL):
    """An objective whose budget and opening are the same at every step."""

    nats: float = 0.0
    begun: float = 0.0
    rollouts: int = 1

    def budget(self, step: Step) -> float:
        return self.nats

    def opening(self, step: Step) -> float:
        return self.begun


@pytest.fixture
def student(sources: Any) -> Engine:
    return load_engine(sources["words"])


@pytest.fixture
def teacher(sources: Any) -> Engine:
    return load_engine(sources["untied"])  # of the same tokenizer, other weights


def answers_of(student: Engine, teacher: Engine, objective: Any, seed: int = 3) -> OwnAnswers:
    texts = [(row.prompt, row.completion) for row in ROWS]
    pairs = encode_pairs(student.tokenizer, texts, max_length=64, ended=[True] * len(ROWS))
    prompts = prompts_with_room(
        student.model, student.tokenizer, [row.prompt for row in ROWS], max_new_tokens=MOST, cut=False
    )
    return OwnAnswers(pairs, prompts, student.tokenizer, objective, Rolling({"teacher": teacher}, MOST, (",",)), seed)


def written(examples: OwnAnswers, model: Any, step: Step = FIRST) -> list[list[Pair]]:
    examples.write(model, range(len(ROWS)), step)
    return [[answer.pair for answer in examples._written[row]] for row in range(len(ROWS))]


def sampled(engine: Engine, prompts: Any, seed: int, step: int, times: int = 1) -> list[list[int]]:
    """What a model draws by the numbers of `OwnAnswers` at one step."""
    uniforms = np.random.default_rng([seed, 2, step]).random((len(prompts) * times, MOST))
    every = [list(prompt) for prompt in prompts for _ in range(times)]
    stops = stops_of(engine.tokenizer, (",",))
    return continued(
        engine.model,
        engine.tokenizer,
        every,
        max_new_tokens=MOST,
        stops=stops,
        picks=Sampling(1.0, uniforms).picks,
    )


@pytest.mark.parametrize("times", [1, 3])
def test_answers_are_the_students_own_samples(student: Engine, teacher: Engine, times: int) -> None:
    examples = answers_of(student, teacher, Steady(rollouts=times))
    pairs = written(examples, student.model, Step(4, 10))
    wanted = sampled(student, examples.prompts, 3, 4, times)
    assert [list(pair.completion) for row in pairs for pair in row] == wanted
    assert [examples.asks(row) for row in range(len(ROWS))] == [sum(len(p.completion) for p in row) for row in pairs]
    assert pairs == written(answers_of(student, teacher, Steady(rollouts=times)), student.model, Step(4, 10))
    assert pairs != written(examples, student.model, Step(5, 10)), "every step draws anew"


def test_a_blend_without_bounds_is_the_teacher_and_one_of_no_budget_the_student(
    student: Engine, teacher: Engine
) -> None:
    """So the teacher reads along what is written, though rows end at other times."""

    def blend(nats: float) -> list[list[int]]:
        pairs = written(answers_of(student, teacher, Steady(nats=nats, rollouts=8)), student.model)
        return [list(pair.completion) for row in pairs for pair in row]

    prompts = answers_of(student, teacher, Steady()).prompts
    own, theirs = (sampled(engine, prompts, 3, 0, 8) for engine in (student, teacher))
    assert len({len(tokens) for tokens in theirs}) > 2, "some end before others"
    assert blend(1e9) == theirs != own == blend(1e-12)


def test_an_answer_may_begin_with_the_labels_tokens_but_never_its_last(student: Engine, teacher: Engine) -> None:
    examples = answers_of(student, teacher, Steady(begun=1.0))
    seen = set()
    for step in range(60):
        examples.write(student.model, range(len(ROWS)), Step(step, 60))
        for row, pair in enumerate(examples.pairs):
            (answer,) = examples._written[row]
            assert answer.given < len(pair.completion) and len(answer.pair.completion) > answer.given
            assert answer.pair.completion[: answer.given] == pair.completion[: answer.given]
            seen.add((row, answer.given))
    assert {count for row, count in seen if row == 3} == {0, 1, 2, 3, 4}, "of four words and the end"
    _, targets, own = examples.logits(student.model, None, [1, 3])
    marks = [[place < examples._written[row][0].given for place in range(examples.asks(row))] for row in (1, 3)]
    assert targets.off_policy is None or targets.off_policy.tolist() == [*marks[0], *marks[1]]
    assert own.tolist() == [0] * len(marks[0]) + [1] * len(marks[1])


def test_other_models_are_asked_about_the_tokens_that_were_written(student: Engine, teacher: Engine) -> None:
    examples = answers_of(student, teacher, Steady(rollouts=2))
    examples.write(student.model, range(len(ROWS)), FIRST)
    logits, targets, own = examples.logits(student.model, None, [2, 0])
    answers = [answer.pair for row in (2, 0) for answer in examples._written[row]]
    assert targets.label.tolist() == [token for pair in answers for token in pair.completion]
    lengths = [len(pair.completion) for pair in answers]
    assert own.tolist() == [0] * (lengths[0] + lengths[1]) + [1] * (lengths[2] + lengths[3])
    for engine, found in ((student, logits.softmax(-1)), (teacher, targets.probs["teacher"])):
        plain = []
        for pair in answers:
            with torch.no_grad():
                whole = engine.model(torch.tensor([pair.prompt + pair.completion])).logits[0]
            plain.append(whole[len(pair.prompt) - 1 : -1].softmax(-1))
        np.testing.assert_allclose(found.detach(), torch.cat(plain), atol=1e-5)


def divergence(student: Engine, teacher: Engine) -> float:
    """Mean reverse divergence over the tokens of answers that the student writes now."""
    examples = answers_of(student, teacher, Steady(rollouts=16), seed=99)
    with torch.no_grad():
        examples.write(student.model, range(len(ROWS)), FIRST)
        logits, targets, _ = examples.logits(student.model, None, range(len(ROWS)))
        return reverse_kl(logits, targets.probs["teacher"].log()).mean().item()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "recipe"),
    [("opd", "full"), ("opd:rollouts=2", "lora"), ("trb:epsilon=0.5,share=1", "full"), ("tropd", "full")],
)
def test_training_moves_the_student_towards_the_teacher(sources: Any, teacher: Engine, spec: str, recipe: Any) -> None:
    student = load_engine(sources["words"])
    before, theirs = divergence(student, teacher), [p.clone() for p in teacher.model.parameters()]
    settings: dict[str, Any] = {"steps": 30, "batch_size": 4, "learning_rate": 1e-2 if recipe == "full" else 5e-2}
    settings |= {"recipe": recipe, "lora_rank": 4, "seed": 0, "objective": objective_of(spec)}
    losses = student.train(ROWS, rolling=Rolling({"teacher": teacher}, MOST, (",",)), **settings)
    assert len(losses) == 30 and divergence(student, teacher) < 0.7 * before
    assert all(bool((a == b).all()) for a, b in zip(theirs, teacher.model.parameters(), strict=True)), (
        "it is asked alone"
    )
    again = load_engine(sources["words"])
    assert losses == again.train(ROWS, rolling=Rolling({"teacher": teacher}, MOST, (",",)), **settings), "seed for seed"


def test_labels_say_nothing_where_no_answer_begins_with_them(sources: Any, teacher: Engine) -> None:
    """Other labels of as many tokens, the same student: it is told by the teacher alone."""
    other = [
        TrainingRow(r.id, r.prompt, " " + " ".join(["z"] * len(r.completion.split())), True, None, None) for r in ROWS
    ]
    made = []
    for rows in (ROWS, other):
        student = load_engine(sources["words"])
        rolling = Rolling({"teacher": teacher}, MOST)
        settings: dict[str, Any] = {"steps": 3, "batch_size": 2, "learning_rate": 1e-2, "lora_rank": 4, "seed": 0}
        student.train(rows, recipe="full", objective=ReverseKL(), rolling=rolling, **settings)
        made.append(torch.cat([p.flatten() for p in student.model.parameters()]))
    assert bool((made[0] == made[1]).all())


def reading(source: Any, positions: int) -> Engine:
    engine = load_engine(source)
    engine.model.config.max_position_embeddings = positions
    return engine


@pytest.mark.parametrize("spec", ["opd", "tropd"])
def test_whoever_is_asked_has_room_for_prompt_and_answer(sources: Any, student: Engine, spec: str) -> None:
    """A rotary model would be read beyond its positions without a word."""
    longest = max(len(ids) for ids in encode_prompts(student.tokenizer, [row.prompt for row in ROWS]))
    settings: dict[str, Any] = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "lora_rank": 4, "seed": 0}

    def train(positions: int) -> list[float]:
        others: Any = {"teacher": reading(sources["words"], positions)}
        engine = load_engine(sources["words"])
        return engine.train(
            ROWS, recipe="full", objective=objective_of(spec), rolling=Rolling(others, MOST), **settings
        )

    assert len(train(longest + MOST)) == 2
    with pytest.raises(
        ModelError, match=rf"{longest} tokens with an answer of up to {MOST} does not fit into the .* teacher"
    ):
        train(longest + MOST - 1)


def test_openings_leave_room_in_the_least_of_all_contexts(sources: Any, student: Engine) -> None:
    longest = max(len(ids) for ids in encode_prompts(student.tokenizer, [row.prompt for row in ROWS]))
    examples = answers_of(student, reading(sources["words"], longest + MOST), Steady())
    examples.objective = objective_of("tropd")
    for _ in range(3):
        for pairs in written(examples, student.model):
            assert all(len(pair) <= longest + MOST for pair in pairs)


def test_a_label_opens_an_answer_where_prompt_and_label_share_a_token(student: Engine, teacher: Engine) -> None:
    """The space at a prompt's end is a token of its own there, and part of the label's first in training."""
    examples = answers_of(student, teacher, objective_of("tropd"))
    examples.prompts = [[*pair.prompt, pair.completion[0] + 1] for pair in examples.pairs]  # no beginning of the whole
    begun = [examples._begun(row, 0.99, 64) for row in range(len(ROWS))]
    for pair, (start, opening) in zip(examples.pairs, begun, strict=True):
        if len(pair.completion) > 1:
            assert (start, opening) == (pair.prompt, pair.completion[: len(opening)]) and opening
    assert examples._begun(0, 0.0, 64) == (tuple(examples.prompts[0]), ())
    for pairs in written(examples, student.model):
        assert all(len(pair.completion) for pair in pairs)


def test_a_student_without_a_contrast_stays(sources: Any, teacher: Engine) -> None:
    """`w2s_opd` of α = 0 is distillation to the untuned student, where it began; the loss of the first step is 0."""
    student, untuned = load_engine(sources["words"]), load_engine(sources["words"])
    others: Any = {"teacher": teacher, "student": untuned, "untuned_teacher": teacher}
    settings: dict[str, Any] = {"steps": 1, "batch_size": 4, "learning_rate": 1e-3, "lora_rank": 4, "seed": 0}
    losses = student.train(ROWS, recipe="full", objective=Contrast(alpha=0), rolling=Rolling(others, MOST), **settings)
    assert losses == pytest.approx([0], abs=1e-5)


def test_a_step_in_parts_is_a_step(sources: Any, teacher: Engine) -> None:
    losses = []
    for micro in (None, 1):
        student = load_engine(sources["words"])
        examples = answers_of(student, teacher, Accepted(rollouts=2))
        settings: dict[str, Any] = {"steps": 3, "batch_size": 4, "learning_rate": 1e-3, "seed": 1}
        weights = np.array([0.5, 1.5, 1.0, 1.0])
        effort = Effort(micro_batch=micro)
        objective: Any = examples.objective
        losses.append(
            finetune(student.model, examples, objective=objective, weights=weights, effort=effort, **settings)
        )
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_other_words_are_refused_and_so_is_nobody_to_ask(sources: Any, student: Engine, teacher: Engine) -> None:
    other: Any = load_engine(sources["bpe"])
    with pytest.raises(ModelError, match=r"tokenizers of student and teacher .* differ: \d+ and \d+ tokens, of which"):
        refuse_other_tokens(student.tokenizer, {"teacher": other})
    prompts = [row.prompt for row in ROWS]
    refuse_other_tokens(student.tokenizer, {"teacher": teacher}, prompts)
    first: Any = load_engine(sources["words"])  # the same words, and a first token that the student does not read
    first.tokenizer = copy.deepcopy(student.tokenizer)
    end = first.tokenizer.eos_token
    first.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{end} $A", special_tokens=[(end, first.tokenizer.eos_token_id)]
    )
    with pytest.raises(ModelError, match=r"student and teacher .* read a prompt as other tokens"):
        refuse_other_tokens(student.tokenizer, {"teacher": first}, prompts)
    settings: dict[str, Any] = {"steps": 1, "batch_size": 2, "learning_rate": 1e-3, "lora_rank": 4, "seed": 0}
    with pytest.raises(ModelError, match="asks teacher about answers that the student writes, and none was given"):
        student.train(ROWS, recipe="full", objective=ReverseKL(), **settings)
    with pytest.raises(ModelError, match="asks student and untuned_teacher about answers"):
        student.train(
            ROWS, recipe="full", objective=Contrast(), rolling=Rolling({"teacher": teacher}, MOST), **settings
        )
