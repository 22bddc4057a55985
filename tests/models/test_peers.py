"""Two students that choose each other's rows: which rows, by hand; and what is the same as one student alone."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from w2s_bench.errors import ModelError
from w2s_bench.models import scoring
from w2s_bench.models.encoding import encode_pairs
from w2s_bench.models.finetuning import Choices, as_examples, finetune
from w2s_bench.models.loading import load_engine
from w2s_bench.models.losses import CoTeaching
from w2s_bench.models.objectives import CrossEntropy, Step
from w2s_bench.models.peers import co_teach, easiest, peers_seed
from w2s_bench.types import TrainingRow

HOW: dict[str, Any] = {"steps": 6, "batch_size": 4, "learning_rate": 1e-2, "seed": 7}
TEXTS = [("one two", " three"), ("a b c d", " e f"), ("The capital of France is", " Paris"), ("of Peru", " Lima")]
LAST = Step(9, 10)


def weights_of(model: Any) -> list[Any]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(one: list[Any], other: list[Any]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_share_that_is_left_falls_and_stays() -> None:
    shares = [CoTeaching(forget=0.4, warm=0.5).share_left(Step(number, 10)) for number in range(10)]
    np.testing.assert_allclose(shares, [1, 0.92, 0.84, 0.76, 0.68, 0.6, 0.6, 0.6, 0.6, 0.6])


def test_the_easiest_rows_are_those_of_the_least_mean_loss(sources: Any) -> None:
    """Over the label's tokens, so that long labels are not left out for their length."""
    model, tokenizer = sources["words"].load()
    pairs = encode_pairs(tokenizer, [*TEXTS, ("zero", " one zero"), ("x", " y z")], max_length=64)
    losses = [-each.mean() for each in scoring.token_logprobs(model, pairs)]
    batch = [5, 0, 3, 1, 0]
    order = sorted(range(5), key=lambda place: (losses[batch[place]], place))
    model.train()
    for forget, count in ((0.0, 5), (0.2, 4), (0.5, 2), (0.99, 1)):
        wanted = [batch[place] for place in sorted(order[:count])]
        assert easiest(model, as_examples(pairs), batch, CoTeaching(forget), LAST) == wanted
    assert model.training, "as it was"


def test_where_nothing_is_left_out_it_is_the_cross_entropy(sources: Any) -> None:
    """The second student leaves no trace in the first: bit for bit."""
    (model, tokenizer), (plain, _) = sources["words"].load(), sources["words"].load()
    pairs, peer = encode_pairs(tokenizer, TEXTS, max_length=64), copy.deepcopy(model)
    losses = co_teach(model, peer, as_examples(pairs), objective=CoTeaching(forget=0), **HOW)
    assert losses == finetune(plain, pairs, **HOW) and len(losses) == HOW["steps"]
    assert equal(weights_of(model), weights_of(plain)) and not equal(weights_of(model), weights_of(peer))
    alone, _ = sources["words"].load()
    finetune(alone, pairs, **{**HOW, "seed": peers_seed(HOW["seed"])})
    assert equal(weights_of(peer), weights_of(alone)), "each has a training of its own"


def test_each_learns_from_what_the_other_chose(sources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step both choose as they are before it, and each judges the other's batch."""
    from w2s_bench.models import peers

    model, tokenizer = sources["words"].load()
    peer, asked = copy.deepcopy(model), list[tuple[bool, list[Any]]]()

    def chosen(judge: Any, examples: Any, batch: list[int], objective: Any, step: Step) -> list[int]:
        asked.append((judge is peer, weights_of(peer)))
        return easiest(judge, examples, batch, objective, step)

    monkeypatch.setattr(peers, "easiest", chosen)
    pairs = as_examples(encode_pairs(tokenizer, TEXTS, max_length=64))
    co_teach(model, peer, pairs, objective=CoTeaching(forget=0.5), **HOW)
    assert [by_peer for by_peer, _ in asked] == [True, False] * HOW["steps"]
    befores = [before for by_peer, before in asked if by_peer]
    assert all(equal(asked[2 * n][1], asked[2 * n + 1][1]) for n in range(HOW["steps"]))
    assert not any(equal(one, other) for one, other in pairwise(befores))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_wrong_labels_are_what_both_leave_out(sources: Any, recipe: Any) -> None:
    """Two of ten labels are other than all the rest, of questions that say nothing of it."""
    engine = load_engine(sources["words"])
    options, wrong = (" Paris", " Lima"), {3, 8}
    rows = [
        TrainingRow(f"i{n}", f"{word} is", options[n not in wrong], False, options, int(n not in wrong))
        for n, word in enumerate("abcdefghij")
    ]
    how: Any = {**HOW, "steps": 30, "batch_size": 10, "recipe": recipe, "lora_rank": 2}
    losses = engine.train(rows, **how, objective=CoTeaching(warm=0.5, over="options"))
    pairs = [
        encode_pairs(engine.tokenizer, [(row.prompt, option) for option in options], max_length=64) for row in rows
    ]
    examples = Choices(pairs, [int(n not in wrong) for n in range(10)])
    left = easiest(engine.model, examples, range(10), CoTeaching(over="options"), LAST)
    assert {*left} == {*range(10)} - wrong and len(losses) == 30 and losses[-1] < losses[0]
    plain = load_engine(sources["words"])
    plain.train(rows, **how, objective=CrossEntropy("options"))

    def belief(of: Any) -> float:
        """How much likelier the wrong labels are than the others, in nats."""
        return float(np.mean([scores[0] - scores[1] for n, scores in enumerate(of.choice_scores(rows)) if n in wrong]))

    assert belief(engine) < belief(plain), "it was shown them for a while alone"


@pytest.mark.parametrize(("forget", "batch_size", "least"), [(0.2, 2, 3), (0.1, 4, 6), (0.25, 2, 3), (0.5, 1, 2)])
def test_a_batch_that_would_lose_no_row_is_refused(sources: Any, forget: float, batch_size: int, least: int) -> None:
    """It would be cross-entropy by another name."""
    model, tokenizer = sources["words"].load()
    examples = as_examples(encode_pairs(tokenizer, TEXTS, max_length=64))
    how = {**HOW, "objective": CoTeaching(forget=forget)}
    with pytest.raises(ModelError, match=f"of a batch of {batch_size} rows .* none of them.* batch_size of {least} or"):
        co_teach(model, copy.deepcopy(model), examples, **{**how, "batch_size": batch_size})
    peer = copy.deepcopy(model)
    assert len(co_teach(model, peer, examples, **{**how, "batch_size": least})) == HOW["steps"]


@pytest.mark.parametrize(("given", "said"), [({"forget": 1.0}, "forget is 1.0"), ({"warm": 0}, "warm is 0")])
def test_what_leaves_nothing_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CoTeaching(**given)
