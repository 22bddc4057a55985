"""What a model takes, told from the shapes of its tensors and its configuration: no torch, and no weight is read.

The sums are about what the engine holds at its fullest; docs/paper-suites.md has the formula and what it was compared with.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from w2s_bench.types import Dtype, OptimizerName, Quantization, RecipeName

Shape = tuple[int, ...]

_LARGEST_HEADER: Final = 100 << 20  # bytes; safetensors allows no more
_SIZES: Final[Mapping[Dtype, int]] = {"float32": 4, "bfloat16": 2, "float16": 2}
#: Bytes a frozen weight of a linear layer takes, its block's scales among them.
_QUANTIZED: Final[Mapping[Quantization, float]] = {"nf4": 0.52, "int8": 1.0}
#: AdamW's two moments of a trained weight.
_MOMENTS: Final[Mapping[OptimizerName, int]] = {"adamw": 8, "adamw8bit": 2}
_OUTPUTS: Final = ("lm_head.weight", "embed_out.weight", "output.weight")
_EMBEDDINGS: Final = ("embed", "wte", "wpe", "embd", *(name.removesuffix(".weight") for name in _OUTPUTS))
#: What a configuration must say, by any of its names.
_NEEDED: Final = (("hidden_size", "n_embd", "d_model"), ("num_hidden_layers", "n_layer", "n_layers"), ("vocab_size",))
#: Beyond these a configuration is mistaken.
_LARGEST: Final = 1 << 30
_MOST_LAYERS: Final = 10_000
#: Of a layer's feed-forward network, its experts' among them.
_FEWEST_MATRICES, _MOST_MATRICES = 2, 3_000
#: Logits of a token are there as numbers, as their logarithms and as their gradient.
_COPIES_OF_LOGITS: Final = 3
#: A worker process with torch and transformers, before it holds a model.
PROCESS: Final = 400 << 20


@dataclass(frozen=True)
class Blueprint:
    """What cost hangs on. `linear`: (out, in) of every linear layer but the output; `parameters` counts tied weights once."""

    parameters: int
    linear: tuple[tuple[int, int], ...]
    width: int
    inner: int
    layers: int
    vocabulary: int
    positions: int | None = None
    #: Keys and values a token has in one layer.
    kept: int = 0

    @classmethod
    def of(cls, tensors: Mapping[str, Shape], config: Mapping[str, Any]) -> Blueprint:
        """Of the tensors of a checkpoint and its `config.json`."""
        text = config.get("text_config") or config
        shapes = {name: shape for name, shape in tensors.items() if not _is_buffer(name, shape)}
        if text.get("tie_word_embeddings", config.get("tie_word_embeddings")):
            # Some files hold the output layer though it is the embedding's own memory.
            shapes = {name: shape for name, shape in shapes.items() if not name.endswith(_OUTPUTS)}
        linear = tuple(
            (shape[0], shape[1]) for name, shape in shapes.items() if len(shape) == 2 and not _is_embedding(name)
        )
        width = _number(text, "hidden_size", "n_embd", "d_model") or 1024
        heads = _number(text, "num_attention_heads", "n_head", "n_heads") or 1
        own = _number(text, "num_key_value_heads") or heads
        return cls(
            parameters=sum(_product(shape) for shape in shapes.values()),
            linear=linear,
            width=width,
            inner=_number(text, "intermediate_size", "n_inner", "ffn_dim") or 4 * width,
            layers=_number(text, "num_hidden_layers", "n_layer", "n_layers") or 12,
            vocabulary=_number(text, "vocab_size") or 0,
            positions=_number(text, "max_position_embeddings", "n_positions", "n_ctx") or None,
            kept=2 * own * (_number(text, "head_dim") or width // heads),
        )

    @classmethod
    def by_config(cls, parameters: int, config: Mapping[str, Any]) -> Blueprint:
        """Of a model of which no tensor's shape is known: its layers are taken to be attention and a feed-forward network.

        `ValueError` where the configuration tells no width, layers or vocabulary that a model could have.
        """
        plain, text = cls.of({}, config), config.get("text_config") or config
        for names in _NEEDED:
            if not _number(text, *names):
                raise ValueError(f"its config has no {' or '.join(names)} that a model could have")
        if plain.layers > _MOST_LAYERS:
            raise ValueError(f"its config has {plain.layers:,} layers, at most {_MOST_LAYERS:,} are believed")
        width, inner = plain.width, plain.inner
        heads = _number(text, "num_attention_heads", "n_head", "n_heads") or 1
        attended = heads * (_number(text, "head_dim") or width // heads)
        attention = [(attended, width), *2 * [(plain.kept // 2, width)], (width, attended)]

        def matrices(embeddings: int) -> int:
            """Of a layer's feed-forward network: two, three where it is gated, more where it has experts."""
            left = (parameters - embeddings * plain.vocabulary * width) / plain.layers
            return min(round((left - sum(out * into for out, into in attention)) / (width * inner)), _MOST_MATRICES)

        tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
        if tied is None:  # some leave out that they are, some that they are not
            tied = matrices(2) < _FEWEST_MATRICES
        count = max(_FEWEST_MATRICES, matrices(1 if tied else 2))
        network = [*(count - 1) * [(inner, width)], (width, inner)]
        return replace(plain, parameters=parameters, linear=tuple(plain.layers * (attention + network)))

    def adapters(self, rank: int, *, dora: bool = False) -> int:
        """Weights of LoRA adapters on every linear layer but the output."""
        return sum(rank * (out + into) + (out if dora else 0) for out, into in self.linear)


@dataclass(frozen=True)
class Use:
    """How a model is used. `tokens`: in a step of training, `predicted` of them by the output layer; `read`: at once without
    training; `generated`: keys and values kept at once.
    """

    recipe: RecipeName
    dtype: Dtype = "float32"
    quantization: Quantization = "none"
    optimizer: OptimizerName = "adamw"
    lora_rank: int = 8
    lora_dora: bool = False
    tokens: int = 0
    predicted: int = 0
    read: int = 2_048
    generated: int = 0


@dataclass(frozen=True)
class Memory:
    """Bytes of a worker at its fullest."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    process: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.process


def memory(of: Blueprint, use: Use, *, process: int = PROCESS) -> Memory:
    """Weights in their dtype; 4 bytes of gradient and AdamW's moments a trained weight; what a step's tokens leave behind."""
    size = _SIZES[use.dtype]
    weights = float(of.parameters * size)
    if use.quantization != "none":
        weights -= sum(out * into for out, into in of.linear) * (size - _QUANTIZED[use.quantization])
    adapters = of.adapters(use.lora_rank, dora=use.lora_dora) if use.recipe == "lora" else 0
    trained = {"full": of.parameters, "lora": adapters}.get(use.recipe, 0)
    reading = use.read * bytes_a_token(of.width, of.inner, of.layers, size, training=False)
    reading += use.generated * of.layers * of.kept * size
    training = 0
    if trained:
        training = use.tokens * bytes_a_token(of.width, of.inner, of.layers, size, training=True)
        training += use.predicted * of.vocabulary * 4 * _COPIES_OF_LOGITS
    return Memory(
        weights=int(weights) + 4 * adapters,
        gradients=4 * trained,
        optimizer=_MOMENTS[use.optimizer] * trained,
        activations=max(training, reading),
        process=process,
    )


def bytes_a_token(
    width: int, inner: int, layers: int, number: int, *, training: bool, checkpointing: bool = False
) -> int:
    """About how many bytes a token takes while a model without an output layer reads it: generous, no promise.

    `number`: bytes of one number; `inner`: the width between the two products of a feed-forward layer.
    """
    one_layer = number * (14 * width + 5 * inner)
    if not training:
        return 2 * one_layer
    return one_layer + number * layers * width if checkpointing else layers * one_layer


def operations(of: Blueprint, recipe: RecipeName, *, tokens: int, predicted: int, training: bool) -> float:
    """Floating-point operations of reading `tokens`, of which `predicted` pass the output layer, or of training on them.

    Two a weight and token; backward as many for what passes through, and as many again for the weights that train.
    """
    forward = 2.0 * (sum(out * into for out, into in of.linear) * tokens + of.width * of.vocabulary * predicted)
    return forward * ({"full": 3, "lora": 2}.get(recipe, 1) if training else 1)


def described_folder(folder: Path) -> tuple[dict[str, Shape], dict[str, Any]]:
    """(shapes of the tensors, what `config.json` holds) of a folder that `save_pretrained` wrote; `ValueError` where it cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shapes = shapes_of_folder(folder)
        Blueprint.of(shapes, config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the files of {folder} cannot be read: {error}") from error
    return shapes, config


def shapes_of_folder(folder: Path) -> dict[str, Shape]:
    """Name → shape of every tensor of a folder's `*.safetensors`, from their headers."""
    return {name: shape for path in sorted(folder.glob("*.safetensors")) for name, shape in shapes_of(path).items()}


def shapes_of(path: Path) -> dict[str, Shape]:
    """Name → shape of the tensors of one safetensors file; `ValueError` where it is none."""
    return {name: tuple(tensor["shape"]) for name, tensor in _header_of(path).items()}


def numbers_of_folder(folder: Path) -> dict[str, str]:
    """Name → kind of number, as safetensors calls it (`BF16`, `F8_E4M3`, `U8`), of every matrix of a folder's `*.safetensors`."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in _header_of(path).items():
            if len(tensor["shape"]) > 1 and not _is_buffer(name, tensor["shape"]):
                found[name] = str(tensor["dtype"])
    return found


def _header_of(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        length = file.read(8)
        size = struct.unpack("<Q", length)[0] if len(length) == 8 else _LARGEST_HEADER + 1
        if size > _LARGEST_HEADER:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(file.read(size))
    return {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def _is_buffer(name: str, shape: Sequence[int]) -> bool:
    """Masks and rotations that older checkpoints hold beside their weights."""
    return name.endswith(("inv_freq", "masked_bias")) or (len(shape) == 4 and tuple(shape[:2]) == (1, 1))


def _is_embedding(name: str) -> bool:
    return any(part in name for part in _EMBEDDINGS)


def _product(shape: Sequence[int]) -> int:
    out = 1
    for size in shape:
        out *= size
    return out


def _number(config: Mapping[str, Any], *names: str) -> int:
    """The first that is a whole number which a model could have; 0 where none is."""
    return next((value for name in names if type(value := config.get(name)) is int and 0 < value <= _LARGEST), 0)
