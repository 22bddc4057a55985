"""A model of few bits a weight, asked in float32: each operation widens what it is given, one weight at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

NARROW = (torch.bfloat16, torch.float16)


class Widened(TorchFunctionMode):
    """While open, torch computes in float32 what it would compute in bfloat16 or float16; weights stay as they are.

    What is written into stays what it was: operations in place, and assignments.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named, name = dict(kwargs or {}), getattr(func, "__name__", "")
        # Torch reads an attribute here. To widen a weight for its shape alone would cost its size in memory.
        if name == "__get__":
            attribute = func(*args, **named)
            return torch.float32 if isinstance(attribute, torch.dtype) and attribute in NARROW else attribute
        if name in ("__setitem__", "__set__", "__delete__") or (name.endswith("_") and not name.endswith("__")):
            return func(*args, **named)
        return func(*map(_wide, args), **{key: _wide(value) for key, value in named.items()})


def _wide(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype in NARROW else value
    if isinstance(value, torch.dtype):
        return torch.float32 if value in NARROW else value
    if type(value) in (list, tuple):
        return type(value)(map(_wide, value))
    return value
