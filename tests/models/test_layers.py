"""States of any layer at the ends of options are transformers' own, in the same pass as the log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import architectures
from w2s_bench.errors import ModelError
from w2s_bench.models import layers as tapped
from w2s_bench.models.capabilities import base_of
from w2s_bench.models.encoding import Pair
from w2s_bench.models.layers import Tap, refuse_layers
from w2s_bench.models.options import option_readings, option_states
from w2s_bench.models.scoring import hidden_states

#: Some whose logits are more than their output layer's (granite, gemma2), and some that read options apart.
FAST = ["gpt2", "llama", "gpt_neox", "gpt_neo", "gemma3_text", "granite", "opt", "bloom", "mamba", "openai-gpt"]
OTHERS = sorted(set(architectures.ARCHITECTURES) - {"bert", "xlstm", "hy_v4", *FAST})  # hy_v4: several streams a token
#: In these the blocks' inputs, seen from outside, are what transformers tells of the layers.
HOOKED = ["gpt2", "llama", "gpt_neox", "gpt_neo", "gemma3_text", "granite", "opt", "bloom"]


def some_items() -> list[list[Pair]]:
    rng = np.random.default_rng(3)

    def tokens(most: int) -> tuple[int, ...]:
        return tuple(rng.integers(3, architectures.SIZE, rng.integers(1, most)).tolist())

    items = []
    for number in range(8):
        prompt = tokens(24)
        items.append([Pair(prompt, tokens(6)) for _ in range(2 + number % 4)])
    items[2] = [Pair((4, 5, 6), (7,)), Pair((4, 5), (6, 8))]  # parted otherwise: read apart
    return items


def agrees(model: Any) -> None:
    items = some_items()
    depth = tapped.depth_of(model) or 0
    layers = (depth // 2, 0, -1, depth, -2)
    sums, states = option_readings(model, items, layers)
    place = 0
    for item, scores in zip(items, sums, strict=True):
        for pair, score in zip(item, scores, strict=True):
            ids = torch.tensor([[*pair.prompt, *pair.completion]])
            with torch.no_grad():
                told = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
            for found, layer in zip(states[place], layers, strict=True):
                np.testing.assert_allclose(found, told[layer][0, -1], atol=1e-3, rtol=1e-4)
            expected = sum(architectures.logprobs(model, pair.prompt, pair.completion))
            assert score == pytest.approx(expected, abs=5e-4)
            place += 1
    assert place == len(states)


@pytest.mark.parametrize("name", FAST)
def test_states_and_scores_of_options_are_plain_transformers(name: str) -> None:
    agrees(architectures.new(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_states_and_scores_of_options_are_plain_transformers_for_many_architectures(name: str) -> None:
    agrees(architectures.new(name))


@pytest.mark.parametrize("name", HOOKED)
def test_only_the_asked_layers_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = architectures.new(name)
    option_states(model, some_items(), (1,))  # where the layers are is asked once, of a few tokens
    body, asked = base_of(model).base_model, []
    forward = body.forward

    def spy(**given: Any) -> Any:
        asked.append(given.get("output_hidden_states"))
        return forward(**given)

    monkeypatch.setattr(body, "forward", spy)
    option_states(model, some_items(), (1, -1))
    assert asked and not any(asked), "all layers of every batch would lie in memory"


@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_a_model_whose_layers_cannot_be_seen_tells_them_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, told = (architectures.new(name) for _ in range(2))
    items = some_items()
    expected = option_states(seen, items, (0, 1, -1))
    monkeypatch.setattr(tapped, "_found_out", lambda plain: None)
    np.testing.assert_allclose(option_states(told, items, (0, 1, -1)), expected, atol=1e-5)


def test_no_hook_is_left_behind() -> None:
    model = architectures.new("llama")

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())

    option_states(model, some_items(), (1,))  # transformers leaves some of its own when it is first asked for states
    before = hooks()
    option_readings(model, some_items(), (0, 1, -1))
    with pytest.raises(RuntimeError), Tap(model, (0, 1, -1), torch.tensor([0])).open():
        assert hooks() == before + 3
        raise RuntimeError
    assert hooks() == before


@pytest.mark.parametrize("layer", [3, -4])
def test_layers_that_a_model_lacks_are_refused(layer: int) -> None:
    model = architectures.new("llama")
    with pytest.raises(ModelError, match=rf"layer {layer} of a model with layers 0 \(embedding\) to 2"):
        refuse_layers(model, (0, layer))
    with pytest.raises(ModelError, match=f"layer {layer} of a model"):
        option_states(model, some_items(), (layer,))
    pairs = [pair for options in some_items() for pair in options]
    for asked in (layer, [1, layer]):
        with pytest.raises(ModelError, match=f"layer {layer} of a model"):
            hidden_states(model, pairs, asked)


@pytest.mark.parametrize("shapes", [[(2, 3, 4, 5)] * 2, [(2, 3, 8), (2, 3, 4)]])
def test_states_that_are_no_vectors_of_one_width_are_refused(shapes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some models keep several streams, or widths that differ by layer."""
    import types

    monkeypatch.setattr(tapped, "_found_out", lambda plain: None)
    tap = Tap(architectures.new("llama"), (0, 1), torch.tensor([0, 4]))
    output = types.SimpleNamespace(hidden_states=tuple(torch.zeros(shape) for shape in shapes))
    with pytest.raises(ModelError, match=r"layers \[0, 1\] of model .* one vector a token is expected"):
        tap.states(output)
