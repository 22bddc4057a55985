"""Tensors of a checkpoint that a model has no place for: transformers passes over them and warns at most."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from w2s_bench.errors import ModelError

#: Of packed weights: without them the numbers beside them are not what they stand for.
_PACKING: Final = re.compile(r"scale|qweight|qzeros|g_idx|absmax|quant_map|quant_state|zero_point", re.IGNORECASE)
#: Masks, positions and rotations that older checkpoints hold beside their weights, and that follow from the configuration.
_BUFFERS: Final = re.compile(
    r"(inv_freq|masked_bias|causal_mask|position_ids|embed_positions\.weights|\.version|(attn|attention)\.bias)$"
)


def refuse_unplaced(model: Any, names: Iterable[str], folder: str, name: str) -> None:
    """`ModelError` where one of the tensors `names` belongs to what the model has: a bias of its layers, a layer beyond their number,
    the scale of packed weights. Parts that it has not (a vision tower, a head with a value) change nothing of what it says."""
    from torch.nn import ModuleList

    modules = dict(model.named_modules())
    lists = tuple(f"{path}." for path, module in modules.items() if isinstance(module, ModuleList))
    for tensor in sorted(names):
        if _BUFFERS.search(tensor):
            continue
        if tensor.startswith(lists) or tensor.rpartition(".")[0] in modules:
            if _PACKING.search(tensor):
                raise ModelError(
                    f"model {name!r}: the weights in {folder} have {tensor}, a part of packed weights that transformers leaves out, so "
                    "that the others are not what they stand for; save it dequantized"
                )
            raise ModelError(
                f"model {name!r}: its config.json makes a model that has no place for {tensor} of the weights in {folder}; take the "
                "config.json that the weights were saved with (save_pretrained)"
            )
