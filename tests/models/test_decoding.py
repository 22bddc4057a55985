"""Keys and values in growing memory, and one token's attention to them: what transformers' own give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from w2s_bench.models import decoding
from w2s_bench.models.assumptions import anatomy_of
from w2s_bench.models.decoding import GrowingLayer, PaddedRows, attend, places_for

LOWEST = torch.finfo(torch.float32).min


class Module(torch.nn.Module):
    """What the functions read of an attention layer."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.num_key_value_groups = groups
        self.is_causal = True


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize("new", [1, 3])
def test_attention_is_that_of_torch(groups: int, scaling: float | None, new: int) -> None:
    torch.manual_seed(0)
    query, key, value = (
        torch.randn(3, 8, new, 6),
        torch.randn(3, 8 // groups, 11, 6),
        torch.randn(3, 8 // groups, 11, 6),
    )
    mask = torch.where(torch.rand(3, 1, new, 11) < 0.3, LOWEST, 0.0)
    mask[..., 0] = 0
    arguments: Any = (Module(groups), query, key, value, mask)
    found, _ = attend(*arguments, dropout=0.0, scaling=scaling)
    expected, _ = sdpa_attention_forward(*arguments, dropout=0.0, scaling=scaling)
    assert found.shape == expected.shape == (3, new, 8, 6)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["position_bias", "softcap"])
def test_what_only_torchs_function_knows_is_left_to_it(name: str) -> None:
    query = torch.randn(2, 2, 1, 4)
    key = value = torch.randn(2, 2, 5, 4)
    more: dict[str, Any] = {name: torch.randn(2, 2, 1, 5) if name == "position_bias" else 30.0}
    mask = torch.zeros(2, 1, 1, 5)
    if name == "softcap":
        with pytest.raises(ValueError, match="softcap"):
            attend(Module(1), query, key, value, mask, **more)
        return
    found, _ = attend(Module(1), query, key, value, mask, **more)
    expected, _ = sdpa_attention_forward(Module(1), query, key, value, mask, **more)
    assert torch.equal(found, expected)
    assert not torch.allclose(found, attend(Module(1), query, key, value, mask)[0])


def test_memory_shows_what_was_put_in_and_zeros_after_it() -> None:
    torch.manual_seed(0)
    grows, plain = GrowingLayer(), DynamicLayer()
    for step in range(40):
        new = torch.randn(4 if step <= 20 else 2, 2, 5 if step == 0 else 1, 3)
        keys, values = grows.update(new, -new)
        expected, _ = plain.update(new, -new)
        length = grows.get_seq_length()
        assert length == plain.get_seq_length() == 5 + step
        assert torch.equal(keys[:, :, :length], expected) and torch.equal(values, -keys)
        assert keys.is_contiguous() and not keys[:, :, length:].any()
        assert keys.shape[-2] == (length if step == 0 else places_for(length))
        if step == 20:
            keep = torch.tensor([0, 3])
            grows.batch_select_indices(keep)
            plain.batch_select_indices(keep)


def test_places_grow_by_sixteen() -> None:
    assert [places_for(n) for n in (1, 16, 17, 32, 33)] == [16, 16, 32, 32, 48]


def test_a_model_attends_as_before_afterwards_also_after_an_error(sources: Any) -> None:
    model, _ = sources["words"].load()
    before = model.config._attn_implementation
    assert before == "sdpa"
    with pytest.raises(RuntimeError, match="on purpose"), decoding.decoding(model):
        assert model.config._attn_implementation != before
        raise RuntimeError("on purpose")
    assert model.config._attn_implementation == before
    model.config._attn_implementation = "eager"
    with decoding.decoding(model):
        assert model.config._attn_implementation == "eager", "a model's own attention is left to it"


@pytest.mark.parametrize("name", ["words", "gpt2"])
def test_steps_attend_by_it(sources: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a growth of memory, with padding: states as the model gives them to whole rows."""
    from w2s_bench.models import greedy as generation

    model, tokenizer = sources[name].load()
    anatomy = anatomy_of(model)
    assert anatomy is not None and anatomy.trees
    seen: list[torch.Size] = []

    def watched(*args: Any, **settings: Any) -> Any:
        seen.append(args[2].shape)
        return attend(*args, **settings)

    monkeypatch.setitem(decoding.AttentionInterface._global_mapping, decoding._NAME, watched)
    prompts = [[3, 4, 5], [6, 7, 8, 9, 10], [4] * 14]
    stops = generation.Stops([], tokenizer)
    found = generation._decode_padded(anatomy, model, prompts, 24, set(), stops)
    assert {shape[-2] for shape in seen} == {16, 32, 48}
    assert found == [generation._decode(model, [prompt], 24, set(), stops)[0] for prompt in prompts]


@pytest.mark.parametrize("name", ["words", "gpt2"])
@pytest.mark.parametrize("at_once", [1, 12, 1 << 20])
@pytest.mark.parametrize("fixed", [False, True])
@torch.no_grad()
def test_prompts_read_in_batches_are_rows_of_one_memory(sources: Any, name: str, at_once: int, fixed: bool) -> None:
    """Apart, two and more at a time, and all together: logits as the model gives them to each whole row by itself."""
    model, _ = sources[name].load()
    anatomy = anatomy_of(model)
    assert anatomy is not None
    prompts = [[4] * 14, [3, 4, 5], [5, 4, 3], [6, 7, 8, 9, 10], [7, 3, 8, 4]]
    rows = PaddedRows(anatomy, model, prompts, 8, at_once=at_once, fixed=fixed)
    found = rows.read()
    for step in range(6):
        alone = torch.stack([model(input_ids=torch.tensor([prompt])).logits[0, -1] for prompt in prompts])
        torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)
        if step == 2:
            kept = [0, 2, 3]
            rows.keep(torch.tensor(kept))
            prompts = [prompts[place] for place in kept]
        new = [3 + (step + place) % 5 for place in range(len(prompts))]
        prompts = [[*prompt, token] for prompt, token in zip(prompts, new, strict=True)]
        found = rows.read(torch.tensor(new))
