"""bitsandbytes itself, on the processor: weights of 4 bits under an adapter, and 8-bit moments. Skipped where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import architectures
from w2s_bench import machine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.setup import Setup
from w2s_bench.types import Item, TrainingRow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="pip install 'w2s-bench[bitsandbytes]'"),
    # There it packs weights anew for products of its own, of which a model this small has not the widths.
    pytest.mark.skipif(
        "avx512_bf16" in str(machine._cpuinfo().get("flags", "")), reason="bitsandbytes packs larger weights alone"
    ),
]

ITEMS = [
    Item(
        str(n), "g", "k", "", architectures.text(5, n), tuple(" " + architectures.text(2, 10 * n + k) for k in range(3))
    )
    for n in range(8)
]
ROWS = [TrainingRow(item.id, item.prompt, (item.choices or ("",))[0], False, None, None) for item in ITEMS]
HOW: dict[str, Any] = {"recipe": "lora", "steps": 12, "batch_size": 8, "learning_rate": 1e-2, "lora_rank": 4, "seed": 0}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel("local/m", architectures.save("llama", tmp_path_factory.mktemp("llama")))


def bytes_of(engine: Any) -> int:
    layers = engine.model.model.layers
    return sum(p.numel() * p.element_size() for p in layers.parameters())


def unpack_into(whole: Any, packed: Any) -> None:
    """Give a model in float32 the numbers that another's weights of 4 bits stand for."""
    import torch
    from bitsandbytes.functional import dequantize_4bit

    held = dict(whole.named_parameters())
    with torch.no_grad():
        for name, parameter in packed.named_parameters():
            if (state := getattr(parameter, "quant_state", None)) is not None:
                held[name].copy_(dequantize_4bit(parameter.data, state))


def test_an_adapter_learns_on_weights_of_4_bits_and_comes_back(origin: LocalModel, tmp_path: Path) -> None:
    setup = Setup(quantization="nf4", optimizer="adamw8bit")
    engine, whole = load_engine(origin, setup=setup), load_engine(origin)
    assert bytes_of(engine) < bytes_of(whole) / 4
    unpack_into(whole.model, engine.model)
    packed, exact = (np.concatenate(each.choice_scores(ITEMS)) for each in (engine, whole))
    assert np.corrcoef(packed, exact)[0, 1] > 0.999, "but for products in bfloat16"
    assert not np.allclose(exact, np.concatenate(load_engine(origin).choice_scores(ITEMS)), atol=0.1), "4 bits are few"
    losses = engine.train(ROWS, **HOW)
    assert losses[-1] < losses[0] / 2
    engine.save_weights(tmp_path, recipe="lora")
    again = load_engine(origin, tmp_path, recipe="lora", lora_rank=4, setup=setup)
    found, expected = (np.concatenate(each.choice_scores(ITEMS)) for each in (again, engine))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert sum(scores.argmax() == 0 for scores in again.choice_scores(ITEMS)) == len(ITEMS)
