"""Training: exactly the steps asked for, on the completions alone, the same weights for the same seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_bench.errors import ModelError
from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.batching import batches, drawn, learning_rate_factor, order_of
from w2s_bench.models.encoding import Pair, encode_pairs
from w2s_bench.models.engine import Engine
from w2s_bench.models.finetuning import Completions, add_lora, finetune
from w2s_bench.models.scoring import completion_logits, token_logprobs
from w2s_bench.types import RecipeName, TrainingRow

SETTINGS: dict[str, Any] = {"steps": 6, "batch_size": 4, "learning_rate": 1e-3, "seed": 7}
TEXTS = [
    ("one two", " three"),
    ("a b c d", " e f"),
    ("The capital of France is", " Paris"),
    ("of Peru", " Lima"),
    ("zero", " one zero"),
    ("x", " y z"),
]


def some_pairs(tokenizer: Any, *, ended: bool = False) -> list[Pair]:
    return encode_pairs(tokenizer, TEXTS, max_length=64, ended=[ended] * len(TEXTS))


def weights_of(model: Any) -> dict[str, Any]:
    return {name: tensor.detach().clone().numpy() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def any_batches(most: int) -> Any:
    """Up to so many rows, any number of steps, size of a batch and seed."""
    rows = st.lists(st.integers(1, 20), min_size=1, max_size=most)
    drawn_for = given(lengths=rows, steps=st.integers(0, 40), size=st.integers(1, 12), seed=st.integers(0, 9))
    return lambda test: settings(max_examples=60, deadline=None)(drawn_for(test))


@any_batches(60)
def test_all_rows_are_seen_before_any_repeats(lengths: list[int], steps: int, size: int, seed: int) -> None:
    made = list(batches(lengths, steps=steps, batch_size=size, rng=np.random.default_rng(seed)))
    assert [len(batch) for batch in made] == [size] * steps
    seen: Counter[int] = Counter(dict.fromkeys(range(len(lengths)), 0))
    for batch in made:
        seen.update(batch)
        assert max(seen.values()) - min(seen.values()) <= 1
    assert set(seen) == set(range(len(lengths)))


@any_batches(400)
def test_batches_depend_on_the_drawn_rows_alone(lengths: list[int], steps: int, size: int, seed: int) -> None:
    own: dict[str, Any] = {"steps": steps, "batch_size": size}
    known = set(drawn(len(lengths), **own, rng=np.random.default_rng(seed)))
    without = [length if i in known else 0 for i, length in enumerate(lengths)]
    made = list(batches(lengths, **own, rng=np.random.default_rng(seed)))
    assert made == list(batches(without, **own, rng=np.random.default_rng(seed)))
    assert known.issuperset(i for batch in made for i in batch)
    assert len(known) <= steps * size + 8 * size, "little more than the steps take"


@any_batches(60)
def test_an_order_is_kept_in_every_pass_and_batches_are_cut_from_it(
    lengths: list[int], steps: int, size: int, seed: int
) -> None:
    order = np.random.default_rng([seed, 1]).permutation(len(lengths)).tolist()
    own: dict[str, Any] = {"steps": steps, "batch_size": size, "order": order}
    made = list(batches(lengths, **own, rng=np.random.default_rng(seed)))
    assert [len(batch) for batch in made] == [size] * steps
    assert [i for batch in made for i in batch] == [order[n % len(order)] for n in range(steps * size)]
    assert drawn(len(lengths), **own, rng=np.random.default_rng(seed)) == sorted(order[: steps * size])


def rows_with(*turns: int | None) -> list[TrainingRow]:
    return [TrainingRow(f"r{n}", "p", " a", False, None, None, turn=turn) for n, turn in enumerate(turns)]


def test_turns_are_an_order_of_all_rows_or_none() -> None:
    assert order_of(rows_with(2, 0, 1)) == [1, 2, 0]
    assert order_of(rows_with(None, None)) is None
    with pytest.raises(ModelError, match="1 of 2 rows to train on have no turn; give one to all or to none"):
        order_of(rows_with(0, None))


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_a_model_sees_rows_by_their_turns(sources: Any, monkeypatch: pytest.MonkeyPatch, recipe: RecipeName) -> None:
    """Of six rows and batches of two, over five steps: a pass and two thirds of the next."""
    engine, seen = Engine(*sources["words"].load()), list[list[int]]()
    given = Completions.logits

    def spied(self: Any, model: Any, anatomy: Any, rows: Any) -> Any:
        seen.append(list(rows))
        return given(self, model, anatomy, rows)

    monkeypatch.setattr(Completions, "logits", spied)
    rows = [TrainingRow(f"r{n}", *text, False, None, None, turn=(n + 2) % 6) for n, text in enumerate(TEXTS)]
    how: dict[str, Any] = {"recipe": recipe, "lora_rank": 2, "learning_rate": 1e-3, "seed": 3}
    losses = engine.train(rows, steps=5, batch_size=2, **how)
    assert seen[:5] == [[4, 5], [0, 1], [2, 3], [4, 5], [0, 1]] and len(losses) == 5


def test_rows_of_like_length_share_a_batch_and_the_order_is_random() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 800).tolist()
    made = list(batches(lengths, steps=100, batch_size=8, rng=np.random.default_rng(0)))
    spread = np.mean([np.ptp([lengths[i] for i in batch]) for batch in made])
    assert spread < 30  # of 100; unsorted batches of eight spread over 78
    means = [float(np.mean([lengths[i] for i in batch])) for batch in made]
    assert abs(float(np.corrcoef(means[:-1], means[1:])[0, 1])) < 0.3, "neighbouring batches tell nothing of each other"
    other = list(batches(lengths, steps=100, batch_size=8, rng=np.random.default_rng(1)))
    assert other != made


def test_the_learning_rate_rises_and_falls() -> None:
    factors = [learning_rate_factor(step, 200) for step in range(200)]
    top = factors.index(1.0)
    assert top == 9 and factors[0] == pytest.approx(0.1)
    assert all(a < b for a, b in pairwise(factors[: top + 1]))
    assert all(a >= b for a, b in pairwise(factors[top:]))
    assert factors[-1] == 0.02 == min(factors)
    assert learning_rate_factor(0, 1) == 1.0
    assert all(0 < learning_rate_factor(step, 3) <= 1 for step in range(3))


@pytest.mark.parametrize("name", ["words", "gpt2"])
def test_the_same_seed_gives_the_same_weights(sources: Any, name: str) -> None:
    """Bit for bit, whatever state the global generators are in (GPT-2 trains with dropout)."""
    import torch

    tuned = []
    for noise, seed in ((1, 7), (2, 7), (3, 8)):
        model, tokenizer = sources[name].load()
        torch.manual_seed(noise)
        np.random.seed(noise)
        losses = finetune(model, some_pairs(tokenizer), **{**SETTINGS, "seed": seed})
        assert len(losses) == SETTINGS["steps"] and not model.training
        tuned.append(weights_of(model))
    assert same(tuned[0], tuned[1])
    assert not same(tuned[0], tuned[2])


def test_it_takes_exactly_the_steps_asked_for(sources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    taken: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        taken.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    model, tokenizer = sources["words"].load()
    finetune(model, some_pairs(tokenizer)[:3], **{**SETTINGS, "steps": 11})
    assert taken == [pytest.approx(SETTINGS["learning_rate"] * learning_rate_factor(i, 11)) for i in range(11)]


@pytest.mark.parametrize("name", ["words", "bpe", "untied", "gpt2"])
@pytest.mark.parametrize("ended", [False, True])
def test_the_loss_is_that_of_labels_on_the_completion_alone(sources: Any, name: str, ended: bool) -> None:
    """Against transformers' own loss, row by row, with labels of -100 over the prompt; so are the gradients."""
    import torch
    import torch.nn.functional as F

    model, tokenizer = sources[name].load()
    pairs = some_pairs(tokenizer, ended=ended)
    logits, targets, rows = completion_logits(model, pairs)
    loss: Any = F.cross_entropy(logits, targets)
    loss.backward()
    ours = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    total: Any = torch.zeros(())
    count = sum(len(pair.completion) for pair in pairs)
    for row, pair in enumerate(pairs):
        ids = torch.tensor([[*pair.prompt, *pair.completion]])
        labels = torch.tensor([[-100] * len(pair.prompt) + list(pair.completion)])
        total = total + model(input_ids=ids, labels=labels).loss * len(pair.completion) / count
        assert int((rows == row).sum()) == len(pair.completion)
    total.backward()
    assert loss.item() == pytest.approx(total.item(), abs=1e-5)
    for n, p in model.named_parameters():
        torch.testing.assert_close(ours[n], p.grad, atol=1e-5, rtol=1e-4)


def test_the_loss_of_a_step_is_the_mean_over_its_tokens(sources: Any) -> None:
    model, tokenizer = sources["words"].load()
    pairs = some_pairs(tokenizer)
    before = np.concatenate(token_logprobs(model, pairs))
    (loss,) = finetune(model, pairs, steps=1, batch_size=len(pairs), learning_rate=1e-3, seed=0)
    assert loss == pytest.approx(-before.mean(), abs=1e-5)


@pytest.mark.parametrize("name", ["words", "bpe", "gpt2"])
def test_a_handful_of_rows_is_learned_by_heart(sources: Any, name: str) -> None:
    model, tokenizer = sources[name].load()
    losses = finetune(model, some_pairs(tokenizer, ended=True), steps=80, batch_size=6, learning_rate=1e-2, seed=0)
    assert losses[-1] < 0.1 < 1 < losses[0]
    assert np.exp(np.concatenate(token_logprobs(model, some_pairs(tokenizer, ended=True)))).min() > 0.8


def test_only_ended_rows_teach_the_end(sources: Any) -> None:
    """A row cut at the limit must not teach to stop there; one that ended must."""
    ends = {}
    for ended in (False, True):
        model, tokenizer = sources["words"].load()
        finetune(model, some_pairs(tokenizer, ended=ended), steps=40, batch_size=6, learning_rate=1e-2, seed=0)
        ends[ended] = np.exp([row[-1] for row in token_logprobs(model, some_pairs(tokenizer, ended=True))])
    assert ends[False].max() < 0.05 and ends[True].min() > 0.8


def test_memory_that_runs_out_says_nothing_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a RuntimeError too, as what a model raises that has no place for an adapter or cannot generate."""
    import peft
    import torch

    from w2s_bench.models import answering

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(peft, "get_peft_model", full)
    monkeypatch.setattr(answering, "_generated", full)
    model: Any = SimpleNamespace(device="cpu", config=SimpleNamespace(model_type="m", name_or_path="m"))
    with pytest.raises(torch.OutOfMemoryError):
        add_lora(model, rank=1, seed=0)
    with pytest.raises(torch.OutOfMemoryError):
        answering.answers(model, None, [[1]], 1, bool)


def test_lora_trains_the_adapter_alone(sources: Any) -> None:
    for name in ("words", "gpt2"):
        model, tokenizer = sources[name].load()
        before = weights_of(model)
        adapted = add_lora(model, rank=2, seed=0)
        finetune(adapted, some_pairs(tokenizer), **SETTINGS)
        after = {
            n.replace(".base_layer", ""): w for n, w in weights_of(adapted.get_base_model()).items() if "lora_" not in n
        }
        assert same(before, after)
        trained = [p for n, p in adapted.named_parameters() if "lora_B" in n]
        assert trained and all(float(p.detach().abs().max()) > 0 for p in trained)


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_divergence_is_named_with_its_step_and_rate(sources: Any, recipe: str) -> None:
    """A model of no numbers would answer all the same: always the first option."""
    import torch

    model, tokenizer = sources["words"].load()
    verdict_of(model)  # as when an engine is loaded: what is broken below is its training
    if recipe == "lora":
        model = add_lora(model, rank=2, seed=0)
    pairs = some_pairs(tokenizer)
    layer = model.get_base_model().model.norm if recipe == "lora" else model.model.norm
    calls = []

    def spoil(module: Any, inputs: Any, output: Any) -> Any:
        calls.append(1)
        return output * (torch.nan if len(calls) > 3 else 1.0)

    layer.register_forward_hook(spoil)
    with pytest.raises(
        ModelError,
        match=r"training diverged at step 4 of 6: loss nan, .* at learning rate 0\.00\d+ \(learning_rate 0\.001\); lower",
    ):
        finetune(model, pairs, **SETTINGS)


def test_what_the_last_step_spoils_is_seen(sources: Any) -> None:
    """No step comes after it whose loss would tell."""
    import torch

    model, tokenizer = sources["words"].load()
    verdict_of(model)  # as when an engine is loaded
    with pytest.raises(
        ModelError, match=r"training diverged at step 1 of 1: loss after it nan, at learning rate 0.001 "
    ):
        with torch.no_grad():
            model.model.norm.register_forward_hook(
                lambda layer, inputs, out: out if layer.training else out * torch.nan
            )
        finetune(model, some_pairs(tokenizer), **{**SETTINGS, "steps": 1})


def test_a_learning_rate_that_is_too_large_is_seen(sources: Any) -> None:
    model, tokenizer = sources["words"].load()
    with pytest.raises(
        ModelError, match=r"training diverged at step \d+ of 6.*learning_rate 1e\+30\); lower learning_rate"
    ):
        finetune(model, some_pairs(tokenizer), **{**SETTINGS, "learning_rate": 1e30})


@pytest.mark.parametrize("name", ["mamba", "llama4_text"])
def test_lora_where_it_has_no_place_is_named(name: str) -> None:
    import architectures

    with pytest.raises(
        ModelError, match=f"recipe 'lora' has no place for its adapter in a model of type '{name}'.*take recipe 'full'"
    ):
        add_lora(architectures.new(name), rank=2, seed=0)
