"""Linear layers by oneDNN: torch's own results and gradients, only while asked for, only where it pays."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support import toy_model
from w2s_bench.models import onednn as products
from w2s_bench.models.encoding import Pair
from w2s_bench.models.finetuning import add_lora, finetune
from w2s_bench.models.loading import load_engine
from w2s_bench.models.onednn import fast_products
from w2s_bench.models.origins import LocalModel
from w2s_bench.types import Item, TrainingRow

# A torch that has oneDNN and no longer the operator fails here: the engine would fall back to MKL without a word.
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.fixture(autouse=True)
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any processor, for any size."""
    monkeypatch.setattr(products, "pays", lambda: True)
    monkeypatch.setattr(products, "_LEAST_ROWS", 1)
    monkeypatch.setattr(products, "_LEAST_MULTIPLICATIONS", 1)


class Two(torch.nn.Module):
    """Two linear layers, the second without a bias. All its numbers are small whole ones, as `whole` draws them:
    every product and every sum of them is exact in float32, whatever their order, so two ways to compute agree to
    the bit, and one that computes in fewer bits does not."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(width, hidden), torch.nn.Linear(hidden, width, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(whole(*parameter.shape))
        self.device = torch.device("cpu")

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(states)))  # type: ignore[no-any-return]


def whole(*shape: int) -> torch.Tensor:
    return torch.randint(-4, 5, shape).float()


def gradients(model: Any, states: torch.Tensor) -> list[torch.Tensor]:
    """The result, and what flows to the input and to every parameter that trains."""
    states = states.clone().requires_grad_()
    model.zero_grad()
    result = model(states)
    (result * (torch.arange(result.numel()) % 7 - 3).view(result.shape)).sum().backward()
    return [result.detach(), states.grad, *(p.grad for p in model.parameters() if p.requires_grad)]  # type: ignore[list-item]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 9), min_size=0, max_size=3), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**20)
)
def test_results_and_gradients_are_torchs(before: list[int], width: int, hidden: int, seed: int) -> None:
    torch.manual_seed(seed)
    model, states = Two(width, hidden), whole(*before, width)
    expected = gradients(model, states)
    with fast_products(model):
        found = gradients(model, states)
    assert max(one.abs().max() for one in expected) < 2**24, "beyond it whole numbers are not exact"
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_it_is_onednn_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[int, ...]] = []
    real = products._product

    def watched(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        called.append(tuple(weight.shape))
        return real(input, weight, bias)

    monkeypatch.setattr(products, "_product", watched)
    model, states = Two(8, 16), torch.randn(4, 8)
    model(states)
    assert called == []
    with fast_products(model), torch.no_grad():
        model(states)
    assert called == [(16, 8), (8, 16)]
    model(states)
    with fast_products(model), torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert model(states).dtype == torch.bfloat16
    with fast_products(model.double()), torch.no_grad():
        assert model(states.double()).dtype == torch.float64
    assert len(called) == 2, "outside, in bfloat16 and in double precision torch's own"


def test_small_products_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_LEAST_ROWS", 8)
    monkeypatch.setattr(products, "_LEAST_MULTIPLICATIONS", 1024)
    monkeypatch.setattr(products, "_product", lambda *_: pytest.fail("7 rows, or 8 of 8 x 8"))
    model = Two(8, 8)
    with fast_products(model), torch.no_grad():
        model(torch.randn(8, 8))
        model(torch.randn(7, 8))
        assert Two(64, 64)(torch.randn(0, 64)).shape == (0, 64)


def test_the_model_is_as_it_was_also_after_an_error() -> None:
    model = Two(8, 8)
    with pytest.raises(RuntimeError), fast_products(model), fast_products(model):
        assert type(model.first) is not torch.nn.Linear
        model(torch.randn(3, 9))
    assert type(model.first) is type(model.second) is torch.nn.Linear


def test_a_frozen_layer_passes_its_gradient_on_and_gets_none() -> None:
    model, states = Two(6, 6), whole(5, 6)
    model.second.weight.requires_grad_(False)
    expected = gradients(model, states)
    with fast_products(model):
        found = gradients(model, states)
    assert model.second.weight.grad is None
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_a_bias_trains_also_where_nothing_else_does() -> None:
    layer = torch.nn.Linear(6, 6)
    layer.weight.requires_grad_(False)
    layer.device = torch.device("cpu")  # type: ignore[assignment]
    with fast_products(layer):
        layer(torch.randn(5, 6)).sum().backward()
    assert layer.bias.grad is not None and torch.equal(layer.bias.grad, torch.full((6,), 5.0))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_training_goes_the_same_way(tmp_path: Path, recipe: str) -> None:
    """Losses of every step as torch alone gives them, to rounding; and twice the same to the bit."""
    model, _ = LocalModel("toy", toy_model(tmp_path / "toy")).load()
    pairs = [Pair(tuple(range(3, 9 + n % 5)), (4 + n % 7, 5, 6)) for n in range(24)]

    def losses(fast: bool) -> list[float]:
        fresh = copy.deepcopy(model)
        if recipe == "lora":
            fresh = add_lora(fresh, rank=2, seed=0)
        if not fast:
            return finetune(fresh, pairs, steps=12, batch_size=8, learning_rate=1e-3, seed=0)
        with fast_products(fresh):
            return finetune(fresh, pairs, steps=12, batch_size=8, learning_rate=1e-3, seed=0)

    assert losses(fast=True) == losses(fast=True)
    assert losses(fast=True) == pytest.approx(losses(fast=False), rel=1e-5)


def test_a_reader_computes_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load_engine(LocalModel("toy", toy_model(tmp_path / "toy")))
    item = Item("i", "0", "0", "all", "one two", (" three", " four"))
    row = TrainingRow("i", "one two", " three", True, item.choices, 0)
    slow = engine.choice_scores([item])
    count, real = [0], products._product

    def counted(*args: Any) -> torch.Tensor:
        count[0] += 1
        return real(*args)

    monkeypatch.setattr(products, "_product", counted)
    calls = [
        lambda: engine.choice_scores([item]),
        lambda: engine.option_states([item]),
        lambda: engine.label_logprobs([row]),
        lambda: engine.hidden_states([row], -1),
        lambda: engine.generate([item], max_new_tokens=3, until=[]),
    ]
    for call in calls:
        before = count[0]
        call()
        assert count[0] > before
    monkeypatch.setattr(products, "pays", lambda: False)
    before = count[0]
    plain = engine.choice_scores([item])
    assert count[0] == before
    np.testing.assert_allclose(slow[0], plain[0], atol=1e-5)


def test_where_it_pays_is_a_matter_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    try:
        for name, wide, expected in [
            ("AMD EPYC", True, True),
            ("AMD EPYC", False, False),
            ("Intel(R) Xeon(R)", True, False),
            ("", True, False),
        ]:
            products.pays.cache_clear()
            facts = {"cpu_name": name, "avx512_f": wide}
            with monkeypatch.context() as patch:
                patch.setattr(torch.cpu, "get_capabilities", lambda facts=facts: facts, raising=False)
                assert products.pays() is expected
    finally:
        products.pays.cache_clear()
