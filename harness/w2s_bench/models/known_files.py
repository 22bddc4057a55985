"""How large the models are that shipped suites name: a dry run tells their cost before they are fetched, and without a hub."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from w2s_bench.types import ModelSize


def _file(size: int, parameters: int, **config: int | bool) -> ModelSize:
    return ModelSize(parameters, config, download=size)


#: SHA-256 of a file, which is the fingerprint of its model → its size; `download` is all of the file, in bytes.
KNOWN_FILES: Final[Mapping[str, ModelSize]] = MappingProxyType(
    {
        # SmolLM2-135M-Instruct, Q4_1
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53": _file(
            98_362_432,
            134_515_008,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            vocab_size=49152,
            tie_word_embeddings=True,
        ),
        # Gemma 3 270M, Q4_K_M
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818": _file(
            253_113_024,
            268_098_176,
            hidden_size=640,
            intermediate_size=2048,
            num_hidden_layers=18,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=256,
            max_position_embeddings=32768,
            vocab_size=262144,
            tie_word_embeddings=True,
        ),
        # Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, which has an output layer of its own
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32": _file(
            491_400_064,
            630_167_424,
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            max_position_embeddings=32768,
            vocab_size=151936,
            tie_word_embeddings=False,
        ),
        # Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, as above
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046": _file(
            1_117_320_768,
            1_777_088_000,
            hidden_size=1536,
            intermediate_size=8960,
            num_hidden_layers=28,
            num_attention_heads=12,
            num_key_value_heads=2,
            max_position_embeddings=32768,
            vocab_size=151936,
            tie_word_embeddings=False,
        ),
    }
)


def _published(parameters: int, width: int, inner: int, layers: int, heads: int, **more: int | bool) -> ModelSize:
    config = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        **more,
    }
    return ModelSize(parameters, config)


_QWEN3: Final = {"num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960, "vocab_size": 151936}
_OLMO2: Final = {"max_position_embeddings": 4096, "vocab_size": 100352, "tie_word_embeddings": False}

#: Repository of the hub → its model's size, as the configuration that it publishes has it; tied weights are counted once.
KNOWN_REPOSITORIES: Final[Mapping[str, ModelSize]] = MappingProxyType(
    {
        "Qwen/Qwen3-0.6B": _published(596_049_920, 1024, 3072, 28, 16, **_QWEN3, tie_word_embeddings=True),
        "Qwen/Qwen3-1.7B": _published(1_720_574_976, 2048, 6144, 28, 16, **_QWEN3, tie_word_embeddings=True),
        "Qwen/Qwen3-14B": _published(14_768_307_200, 5120, 17408, 40, 40, **_QWEN3, tie_word_embeddings=False),
        "allenai/OLMo-2-0425-1B": _published(1_484_916_736, 2048, 8192, 16, 16, **_OLMO2),
        "allenai/OLMo-2-1124-7B": _published(7_298_617_344, 4096, 11008, 32, 32, **_OLMO2),
    }
)
