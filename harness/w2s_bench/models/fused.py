"""Layers of a model of few bits a weight in fewer passes over memory, which is what they wait for on an accelerator.

An adapter beside a linear layer reads and writes what passes through it about ten times, in float32; here its products are
added where the layer's own product is made. A norm takes six passes; torch has a function that takes two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from w2s_bench.models.widened import NARROW

_EPSILONS = ("variance_epsilon", "eps", "epsilon")
_CLOSE = 1e-5


@contextmanager
def fused_layers(model: Any) -> Iterator[None]:
    """While open, adapters and norms of `model` compute so where they can; afterwards the model is as it was.

    A model of float32 weights is left alone.
    """
    changed: list[tuple[Any, type]] = []
    if model.dtype in NARROW:
        norms: dict[type, type | None] = {}
        for module in model.modules():
            layer_type = type(module)
            instead = _adapter_of(layer_type)
            if instead is None and model.device.type == "cuda" and layer_type.__name__.endswith("RMSNorm"):
                if layer_type not in norms:
                    norms[layer_type] = _norm_of(module)
                instead = norms[layer_type]
            if instead is not None:
                changed.append((module, layer_type))
                module.__class__ = instead
    try:
        yield
    finally:
        for module, layer_type in changed:
            module.__class__ = layer_type


def _adapter_of(layer_type: type) -> type | None:
    """What takes the place of peft's LoRA beside a linear layer; None for any other module."""
    if not layer_type.__module__.startswith("peft.tuners.lora") or layer_type.__name__ != "Linear":
        return None
    made: type = type("Linear", (_Adapted, layer_type), {})
    return made


class _Adapted:
    """A mixin before peft's class: the product of layer and adapter, where nothing but these two is asked for."""

    def forward(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        adapter = None if args or kwargs else self._only_adapter(x)
        if adapter is None:
            plain: torch.Tensor = super().forward(x, *args, **kwargs)  # type: ignore[misc]
            return plain
        into, out, scale = adapter
        base = self.base_layer
        product: torch.Tensor = _Product.apply(x, base.weight, base.bias, into.weight, out.weight, scale)
        return product

    def _only_adapter(self: Any, x: torch.Tensor) -> tuple[Any, Any, float] | None:
        names = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or len(names) != 1 or type(self.base_layer) is not torch.nn.Linear:
            return None
        (name,) = names
        into, out = self.lora_A[name], self.lora_B[name]
        drops = self.training and type(self.lora_dropout[name]) is not torch.nn.Identity
        alike = x.dtype == self.base_layer.weight.dtype and x.dtype in NARROW
        usual = name not in self.lora_variant and into.bias is None and out.bias is None
        return (into, out, float(self.scaling[name])) if alike and usual and not drops else None


class _Product(torch.autograd.Function):
    """x (…, in) · weight (out, in)ᵀ + bias + scale · x · into (rank, in)ᵀ · out (out, rank)ᵀ → (…, out).

    The layer is frozen: nothing flows to `weight` and `bias`. `into` and `out` are float32, and so are their gradients.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        into: torch.Tensor,
        out: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        narrow_into, narrow_out = into.to(x.dtype), (out * scale).to(x.dtype)
        inner = flat @ narrow_into.t()
        product = F.linear(flat, weight, bias).addmm_(inner, narrow_out.t())
        ctx.save_for_backward(x, weight, narrow_into, narrow_out, inner)
        ctx.scale = scale
        return product.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, into, out, inner = ctx.saved_tensors
        flat = gradient.reshape(-1, weight.shape[0])
        through = flat @ out
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (flat @ weight).addmm_(through, into).view(x.shape)
        of_into = (through.t() @ x.reshape(-1, x.shape[-1])).float()
        of_out = (flat.t() @ inner).float() * ctx.scale
        return of_x, None, None, of_into, of_out, None


def _norm_of(module: Any) -> type | None:
    """What takes the place of a type of norm; None where that computes something else than torch's function."""
    named = next((name for name in _EPSILONS if isinstance(getattr(module, name, None), float)), None)
    parameters = dict(module.named_parameters())
    if named is None or list(parameters) != ["weight"] or parameters["weight"].ndim != 1:
        return None

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, getattr(self, named))

    # The layer is tried rather than read: some add 1 to their weight, some norm parts of a row.
    states = torch.randn(3, len(module.weight), generator=torch.Generator().manual_seed(0)).to(module.weight.device)
    shifted = states[0] + 2
    with torch.no_grad():
        try:
            own = torch.func.functional_call(module, {"weight": shifted}, (states,))
        except (RuntimeError, TypeError, ValueError):  # the layer takes more than states
            return None
        torchs = F.rms_norm(states, shifted.shape, shifted, getattr(module, named))
    if (
        not torch.is_tensor(own)
        or own.shape != torchs.shape
        or not bool((own - torchs).abs().max() <= _CLOSE * torchs.abs().max())
    ):
        return None
    made: type = type(type(module).__name__, (type(module),), {"forward": forward})
    return made
