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

T = TypeVar("T")


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


def by_halves(device: torch.device, read: Callable[[list[int]], list[T]], rows: Sequence[int]) -> list[T]:
    """What `read` gives of `rows`, one each; where the device's memory runs out, of one half of them after the other.

    Raises `ModelError` where it does not suffice for one row.
    """
    whole = list(rows)
    try:
        return read(whole)
    except torch.OutOfMemoryError as error:
        if len(whole) == 1:
            raise out_of_memory(device, "one row") from error
    # This stands outside the handler, since the error's traceback holds what the failed attempt computed.
    empty_cache(device)
    half = len(whole) // 2
    print(f"memory of {device} ran out: {len(whole)} rows are read {half} at a time", flush=True)
    return by_halves(device, read, whole[:half]) + by_halves(device, read, whole[half:])


def out_of_memory(device: torch.device, what: str) -> ModelError:
    free = free_bytes(device)
    told = "" if free is None else f" ({free / 2**30:.1f} GiB are free)"
    return ModelError(
        f"memory of {device} does not suffice for {what}{told}; end what else runs there, set dtype bfloat16, take recipe "
        "'lora' or quantization nf4, or a smaller model"
    )


def bytes_a_token(model: Any, *, training: bool, checkpointing: bool = False) -> int:
    """About how many bytes a token takes while a model without an output layer reads it: generous, no promise."""
    config = model.config.get_text_config()
    width = int(getattr(config, "hidden_size", 0) or 1024)
    inner = int(getattr(config, "intermediate_size", 0) or 4 * width)
    layers = int(getattr(config, "num_hidden_layers", 0) or 12)
    number = torch.finfo(model.dtype).bits // 8 if model.dtype.is_floating_point else 4
    return footprint.bytes_a_token(width, inner, layers, number, training=training, checkpointing=checkpointing)
