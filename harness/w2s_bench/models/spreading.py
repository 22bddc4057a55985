"""A model spread over several devices, some layers on each: what each part reads is brought to it, what the model gives comes back.

transformers chooses where the parts lie, and loads them there. Its own hooks are taken out again: they stand on every layer, in the
place of the layer's own computation, and say nothing of the body and the output layer, which the engine calls one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from w2s_bench.errors import ModelError

#: Where transformers puts what no device has room for.
_NOWHERE = ("cpu", "disk")


def spread_as_loaded(model: Any, name: str) -> Any:
    """The model that transformers has just loaded by a device map; `ModelError` where the devices have no room for all of it."""
    from accelerate.hooks import remove_hook_from_submodules

    # Of a model that came to lie on one device there is no map.
    chosen: dict[str, Any] = getattr(model, "hf_device_map", None) or {"": model.device}
    remove_hook_from_submodules(model)
    if left := sorted(part for part, where in chosen.items() if str(where) in _NOWHERE):
        raise ModelError(
            f"model {name!r} does not fit the {torch.cuda.device_count()} GPUs that are visible here: {len(left)} of its parts, {left[0]} "
            "among them, have no room; end what else runs there, show more GPUs, set dtype bfloat16 or quantization nf4, or take a "
            "smaller model"
        )
    return spread(model, {part: _named(where) for part, where in chosen.items()})


def _named(where: Any) -> torch.device:
    """A device as transformers names it: a GPU's number, a name, or torch's own."""
    return torch.device("cuda", where) if isinstance(where, int) else torch.device(where)


def spread(model: Any, devices: Mapping[str, torch.device]) -> Any:
    """The model with hooks on its parts (`devices`: module → where it lies), where these are not all on one device.

    Whatever is called, body, output layer or the whole, gives its tensors on the device of the model's first weights.
    """
    if len(set(devices.values())) < 2:
        return model
    for part, device in devices.items():
        try:
            module = model.get_submodule(part)
        except AttributeError:  # a weight that lies in no module of its own is used where it is
            continue
        module.register_forward_pre_hook(_Bring(_lies(module, device)), with_kwargs=True)
    back = _Return(model.device)
    for module in dict.fromkeys((model.base_model, model.get_output_embeddings())):
        if module is not None:
            module.register_forward_hook(back)
    return model


class _Bring:
    """What a module reads, on its device. A copy of a model keeps its hooks, so that they are no closures."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        return _moved(given, self.device), _moved(named, self.device)


class _Return:
    """What a module gives, on the device where its model begins."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, module: Any, given: Any, output: Any) -> Any:
        if isinstance(output, dict):  # what transformers' models give has fields of its own
            for name, value in list(output.items()):
                output[name] = _moved(value, self.device)
            return output
        return _moved(output, self.device)


def _moved(value: Any, device: torch.device) -> Any:
    """Tensors on the device, in tuples, lists and mappings too; a memory of keys and values stays, each layer's with its layer."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if type(value) in (tuple, list):
        return type(value)(_moved(each, device) for each in value)
    if type(value) is dict:
        return {name: _moved(each, device) for name, each in value.items()}
    return value.to(device) if type(value).__name__ == "BlockMask" else value


def _lies(module: Any, otherwise: torch.device) -> torch.device:
    """Where the first weight of a module is, which may be another module's too and so lie with that one."""
    return next((parameter.device for parameter in module.parameters()), otherwise)
