"""Projected gradients: those of the row alone, angles kept; a head's by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from w2s_bench.errors import ModelError
from w2s_bench.models import head
from w2s_bench.models.encoding import Pair
from w2s_bench.models.gradients import projected_gradients, sketch_of, sketched


def pairs_for(model: Any) -> list[Pair]:
    rng, size = np.random.default_rng(3), model.config.vocab_size
    return [
        Pair(tuple(rng.integers(0, size, 2 + n % 4).tolist()), tuple(rng.integers(0, size, 1 + n % 3).tolist()))
        for n in range(5)
    ]


@pytest.mark.parametrize("name", ["words", "untied", "gpt2"])
def test_they_are_those_of_the_rows_own_loss(sources: Any, name: str) -> None:
    model = sources[name].load()[0].eval()
    pairs, dimensions = pairs_for(model), 64
    found = projected_gradients(model, pairs, dimensions=dimensions, seed=5)
    parameters = [p for p in model.parameters() if p.requires_grad]
    places = sketch_of(parameters, dimensions, 5)
    for pair, row in zip(pairs, found, strict=True):
        logits = model(input_ids=torch.tensor([[*pair.prompt, *pair.completion]])).logits[0]
        loss = F.cross_entropy(logits[len(pair.prompt) - 1 : -1], torch.tensor(pair.completion))
        whole = torch.autograd.grad(loss, parameters, allow_unused=True)
        np.testing.assert_allclose(row, sketched(whole, places, dimensions).numpy(), atol=1e-4)
    again = projected_gradients(model, pairs[::-1], dimensions=dimensions, seed=5)
    np.testing.assert_allclose(again[::-1], found, atol=1e-6)
    assert all(p.grad is None for p in parameters), "nothing is left in the model"


def test_the_projection_keeps_inner_products() -> None:
    rng = torch.Generator().manual_seed(0)
    sizes, dimensions = [(300, 40), (7000,)], 4096
    vectors = [[torch.randn(*size, generator=rng) for size in sizes] for _ in range(3)]
    vectors[2] = [a + 0.5 * b for a, b in zip(vectors[0], vectors[1], strict=True)]
    places = sketch_of(vectors[0], dimensions, 1)
    small = [sketched(vector, places, dimensions) for vector in vectors]
    torch.testing.assert_close(small[2], small[0] + 0.5 * small[1], atol=1e-3, rtol=1e-4)
    for i in range(3):
        for j in range(3):
            exact = sum(float((a * b).sum()) for a, b in zip(vectors[i], vectors[j], strict=True))
            norms = [sum(float((a * a).sum()) for a in vectors[k]) ** 0.5 for k in (i, j)]
            assert abs(float(small[i] @ small[j]) - exact) < 5 * (2 / dimensions) ** 0.5 * norms[0] * norms[1]
    torch.testing.assert_close(
        sketched([None, vectors[0][1]], places, dimensions),
        sketched([torch.zeros(300, 40), vectors[0][1]], places, dimensions),
    )


def test_a_model_of_which_nothing_trains_has_none(sources: Any) -> None:
    model = sources["words"].load()[0]
    pairs = pairs_for(model)
    model.requires_grad_(False)
    with pytest.raises(ModelError, match="no parameter of this model trains"):
        projected_gradients(model, pairs, dimensions=8, seed=0)


def test_a_heads_gradients_are_the_slopes_of_its_loss() -> None:
    rng = np.random.default_rng(2)
    offsets, labels = np.array([0, 3, 5, 9]), np.array([2, 0, 1])
    states, zero_shot = rng.normal(size=(9, 4)).astype(np.float32), rng.normal(size=9)
    begun = head.Head(np.array([0.3, -0.2, 0.1, 0.5], np.float32), *map(np.float32, head.moments(states)), 0.5)
    found = head.gradients_of(states, zero_shot, offsets, labels, like=states)
    later = head.gradients_of(states, zero_shot, offsets, labels, like=states, begun=begun)
    mean, scale = head.moments(states)
    standard = (states - mean) / scale

    def loss(item: int, weight: np.ndarray, share: float = 1.0) -> float:  # type: ignore[type-arg]
        here = slice(offsets[item], offsets[item + 1])
        logits = share * zero_shot[here] + standard[here] @ weight
        return float(np.logaddexp.reduce(logits) - logits[labels[item]])

    for item in range(3):
        steps = 1e-4 * np.eye(4)
        slopes = [(loss(item, step) - loss(item, -step)) / 2e-4 for step in steps]
        np.testing.assert_allclose(found[item], slopes, atol=1e-5)
        own = begun.weight.astype(float)
        slopes = [(loss(item, own + step, 0.5) - loss(item, own - step, 0.5)) / 2e-4 for step in steps]
        np.testing.assert_allclose(later[item], slopes, atol=1e-5)
