"""Batches that fit the memory of the device: how much is free, what a row takes, and what is done when it runs out.

On a processor nothing here changes any batch.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from w2s_bench.errors import ModelError
from w2s_bench.models import footprint
from w2s_bench.models.capabilities import base_of

T = TypeVar("T")

_QUANTIZES = "_w2s_bench_quantizes"  # what is known of a model beside its configuration


def is_accelerator(device: torch.device) -> bool:
    return device.type != "cpu"


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be had on the device; None where nobody tells."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + unused)


def empty_cache(device: torch.device) -> None:
    """Give back what torch keeps of the device's memory without using it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def by_halves(model: Any, read: Callable[[list[int]], list[T]], rows: Sequence[int]) -> list[T]:
    """What `read` gives of `rows`, one each; where the memory of the device that `model` reads them on runs out, of one half of
    them after the other.

    Raises `ModelError` where it does not suffice for one row.
    """
    whole, device = list(rows), model.device
    try:
        return read(whole)
    except torch.OutOfMemoryError as error:
        if len(whole) == 1:
            raise out_of_memory(model, "to read one row") from error
    # This stands outside the handler, since the error's traceback holds what the failed attempt computed.
    empty_cache(device)
    half = len(whole) // 2
    print(f"memory of {device} ran out: {len(whole)} rows are read {half} at a time", flush=True)
    return by_halves(model, read, whole[:half]) + by_halves(model, read, whole[half:])


def out_of_memory(model: Any, what: str, *, trained: bool = False) -> ModelError:
    """That the memory does not suffice for `model` to do `what`, and which of its suite's settings would take less.

    `trained`: it is in training, every weight of it unless it has an adapter.
    """
    base = base_of(model)
    name = getattr(base.config, "name_or_path", "") or type(base).__name__
    free = free_bytes(model.device)
    told = "" if free is None else f" ({free / 2**30:.1f} GiB are free)"
    is_whole = trained and base is model
    changes = ["recipe lora", "optimizer adamw8bit"] if is_whole else []
    changes += smaller_weights(
        # Every weight trains in float32 alone: what is narrower or packed is for adapters.
        is_wide=not is_whole and base.dtype == torch.float32,
        is_packed=is_whole or bool(getattr(base, "is_quantized", False)) or not getattr(base, _QUANTIZES, True),
    )
    settings = f"set {' or '.join(changes)} for it, " if changes else ""
    return ModelError(
        f"memory of {model.device} does not suffice for model {name!r} {what}{told}; {settings}end what else runs there, or take a "
        "smaller model"
    )


def may_be_quantized(model: Any, quantizes: bool) -> None:
    """Say of a model whether a suite may ask for fewer bits of it."""
    setattr(base_of(model), _QUANTIZES, quantizes)


def smaller_weights(*, is_wide: bool, is_packed: bool) -> list[str]:
    """Settings by which weights take less memory than they do, of a model in float32 or not, in 4 or 8 bits or not."""
    return [*(["dtype bfloat16"] if is_wide else []), *([] if is_packed else ["quantization nf4"])]


def bytes_a_token(model: Any, *, training: bool, checkpointing: bool = False) -> int:
    """About how many bytes a token takes while a model without an output layer reads it: generous, no promise."""
    config = model.config.get_text_config()
    width = int(getattr(config, "hidden_size", 0) or 1024)
    inner = int(getattr(config, "intermediate_size", 0) or 4 * width)
    layers = int(getattr(config, "num_hidden_layers", 0) or 12)
    number = torch.finfo(model.dtype).bits // 8 if model.dtype.is_floating_point else 4
    return footprint.bytes_a_token(width, inner, layers, number, training=training, checkpointing=checkpointing)
