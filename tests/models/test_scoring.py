"""Log-probabilities and hidden states of a row are the model's own, whatever the row is batched with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from w2s_bench.errors import ModelError
from w2s_bench.models import layers, scoring
from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.encoding import Pair
from w2s_bench.models.options import Tree, option_logprobs, option_readings, option_states
from w2s_bench.models.scoring import hidden_states, token_logprobs

MODELS = ["words", "bpe", "bos", "untied", "gpt2"]


def some_pairs(size: int, count: int = 24) -> list[Pair]:
    """Pairs of all lengths; every third one begins, ends or is full of token 0."""
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(count):
        prompt, completion = (tuple(rng.integers(0, size, rng.integers(1, 9)).tolist()) for _ in range(2))
        if i % 3 == 0:
            prompt, completion = (0, *prompt), (*completion, 0, 0)
        pairs.append(Pair(prompt, completion))
    return [*pairs, Pair((0,), (0,)), Pair((0, 0, 0), (0, 0))]


def forward(model: Any, pair: Pair) -> Any:
    """One unpadded row through the model as transformers documents it."""
    import torch

    ids = torch.tensor([[*pair.prompt, *pair.completion]])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)


@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_are_those_of_the_single_row(sources: Any, name: str) -> None:
    model, _ = sources[name].load()
    pairs = some_pairs(model.config.vocab_size)
    for pair, logprobs in zip(pairs, token_logprobs(model, pairs), strict=True):
        whole = forward(model, pair).logits[0].log_softmax(-1).numpy()
        span = range(len(pair.prompt) - 1, len(pair) - 1)
        expected = [whole[place, token] for place, token in zip(span, pair.completion, strict=True)]
        np.testing.assert_allclose(logprobs, expected, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_hidden_states_are_those_of_the_single_row(sources: Any, name: str) -> None:
    model, _ = sources[name].load()
    pairs = some_pairs(model.config.vocab_size)
    every = hidden_states(model, pairs, "all")
    assert every.shape == (len(pairs), 3, 32)
    for pair, states in zip(pairs, every, strict=True):
        expected = [layer[0, -1].numpy() for layer in forward(model, pair).hidden_states]
        np.testing.assert_allclose(states, expected, atol=1e-5)
    for layer in (0, 1, 2, -1, -3):
        np.testing.assert_allclose(hidden_states(model, pairs, layer), every[:, layer], atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_batching_makes_no_difference(sources: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = sources[name].load()
    pairs = some_pairs(model.config.vocab_size)
    together, states = token_logprobs(model, pairs), hidden_states(model, pairs, -1)
    monkeypatch.setattr(scoring, "_CACHED_TOKENS", 1)  # every row alone
    for one, other in zip(token_logprobs(model, pairs), together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(hidden_states(model, pairs, -1), states, atol=1e-5)


def test_the_order_of_rows_makes_no_difference(sources: Any) -> None:
    model, _ = sources["words"].load()
    pairs = some_pairs(model.config.vocab_size)
    order = np.random.default_rng(1).permutation(len(pairs)).tolist()
    straight, shuffled = token_logprobs(model, pairs), token_logprobs(model, [pairs[i] for i in order])
    for place, i in enumerate(order):
        np.testing.assert_allclose(shuffled[place], straight[i], atol=1e-6)


def test_a_large_vocabulary_makes_small_batches(sources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits take memory in proportion to the vocabulary; a batch of them is bounded."""
    model, _ = sources["words"].load()
    pairs = some_pairs(model.config.vocab_size)
    together, seen = token_logprobs(model, pairs), []
    completion_logits = scoring.completion_logits

    def spy(model: Any, pairs: Any, anatomy: Any) -> Any:
        seen.append(len(pairs) * max(len(pair) for pair in pairs))
        return completion_logits(model, pairs, anatomy)

    monkeypatch.setattr(scoring, "completion_logits", spy)
    monkeypatch.setattr(scoring, "_MAX_LOGITS", 40 * model.config.vocab_size)
    for one, other in zip(token_logprobs(model, pairs), together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert len(seen) > 5 and max(seen) <= 40


@pytest.mark.parametrize("name", MODELS)
def test_states_of_options_that_share_a_prompt_are_those_of_each_alone(sources: Any, name: str) -> None:
    model, _ = sources[name].load()
    rng, size = np.random.default_rng(2), model.config.vocab_size
    items = []
    for number in range(12):
        prompt = tuple(rng.integers(0, size, rng.integers(1, 12)).tolist())
        options = [tuple(rng.integers(0, size, rng.integers(1, 7)).tolist()) for _ in range(2 + number % 4)]
        items.append([Pair(prompt, option) for option in options])
    items[3] = [Pair((1, 2, 3), (4, 5)), Pair((1, 2), (3, 4))]  # as some tokenizers part them: nothing is shared
    pairs = [pair for item in items for pair in item]
    shared, alone = option_states(model, items), hidden_states(model, pairs, -1)[:, None]
    assert shared.shape == alone.shape and shared.dtype == np.float32
    np.testing.assert_allclose(shared, alone, atol=1e-5)
    layers = (1, 0, -1, -2, 1)
    sums, several = option_readings(model, items, layers)
    np.testing.assert_allclose(several, hidden_states(model, pairs, "all")[:, list(layers)], atol=1e-5)
    for found, wanted in zip(sums, option_logprobs(model, items), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("inner", [(2, 3, 4, 5), (2, 3, 5), (4, 3, 8)])
def test_states_that_are_no_vectors_of_tokens_are_refused(sources: Any, inner: tuple[int, ...]) -> None:
    """Some models keep several streams, or widths that differ by layer."""
    import types

    import torch

    model, _ = sources["words"].load()
    verdict_of(model)  # as when an engine is loaded: what stands in its place below answers no question
    depth = model.config.num_hidden_layers
    given = types.SimpleNamespace(hidden_states=(torch.zeros(inner), *(torch.zeros(2, 3, 8) for _ in range(depth))))
    model.forward = lambda **settings: given
    setattr(model, layers._KNOWN, None)  # what hooks see of such a model is not what it tells
    pairs = [Pair((1, 2), (3,))] * 2
    assert hidden_states(model, pairs, -1).shape == (2, 8)
    with pytest.raises(
        ModelError, match=r"layers \[0, .*\] of model .* have states of shapes .* one vector a token is expected"
    ):
        hidden_states(model, pairs, "all")


@pytest.mark.parametrize(("prompt", "options", "pays"), [(10, 3, True), (1, 1, True), (200, 60, True), (10, 90, False)])
def test_prompts_are_shared_where_that_pays(sources: Any, prompt: int, options: int, pays: bool) -> None:
    """Long options after a short prompt are rows of their own: the same log-probabilities either way."""
    model, _ = sources["words"].load()
    rng = np.random.default_rng(0)
    question = tuple(rng.integers(0, 20, prompt).tolist())
    item = [Pair(question, tuple(rng.integers(0, 20, options).tolist())) for _ in range(4)]
    assert Tree.of(item).pays() is pays and Tree.of(item, whole=True).pays() is pays
    if prompt + options < 60:
        found = option_logprobs(model, [item])[0]
        np.testing.assert_allclose(found, [row.sum() for row in token_logprobs(model, item)], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("same_prompt", [True, False])
def test_memory_that_runs_out_over_options_halves_what_is_read(
    sources: Any, same_prompt: bool, scored: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Side by side after a prompt that they share, and a row an option where they share none."""
    import torch

    model, _ = sources["words"].load()
    rng = np.random.default_rng(1)
    items = []
    for _ in range(6):
        prompts = [tuple(rng.integers(0, model.config.vocab_size, 12).tolist()) for _ in range(3)]
        items.append([Pair(prompts[0] if same_prompt else prompt, (1 + k, 5)) for k, prompt in enumerate(prompts)])
    expected = option_readings(model, items, (1, -1), scored=scored)

    def limited(module: Any, args: Any, kwargs: Any) -> None:
        if len(kwargs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("on purpose")

    hook = model.model.register_forward_pre_hook(limited, with_kwargs=True)
    try:
        found = option_readings(model, items, (1, -1), scored=scored)
    finally:
        hook.remove()
    assert "rows are read" in capsys.readouterr().out
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
