"""From a model's origin, and the weights that a training left, to an engine on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import OutOfMemoryError

from w2s_bench.errors import ModelError, said
from w2s_bench.hookspecs import LanguageModel
from w2s_bench.models import memory, weights
from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.encoding import refuse_closing
from w2s_bench.models.engine import Engine, as_it_is
from w2s_bench.models.memory import out_of_memory
from w2s_bench.models.origins import numbers_of, set_attention
from w2s_bench.models.reuse import LoadedModels
from w2s_bench.models.setup import USUAL, Setup
from w2s_bench.models.verdicts import Verdicts
from w2s_bench.types import Precision, RecipeName


def load_engine(
    origin: LanguageModel,
    saved: Path | None = None,
    *,
    recipe: RecipeName = "full",
    lora_rank: int = 8,
    device: str = "cpu",
    precision: Precision = "float32",
    setup: Setup = USUAL,
    models: LoadedModels | None = None,
) -> Engine:
    """The model as its origin gives it, or with the weights that `save_weights` left in the folder `saved`.

    `models`: what was loaded, and asked, before it; None: it is loaded and asked anew.
    """
    if precision == "tf32" and not device.startswith("cuda"):
        raise ModelError(f"precision tf32 is of CUDA devices, and this is {device!r}; take float32 or bfloat16")
    setup = setup.on(device)
    models = models or LoadedModels()
    key = (origin.name, origin.fingerprint(), setup.loading, device)
    model, tokenizer, own = models.lend(key, lambda: _asked(origin, setup, device, models.verdicts))
    if saved is not None:
        try:
            if recipe != "lora":  # an adapter stands beside the weights
                model, own = own(model), as_it_is
            model = weights.load(model, saved, recipe=recipe, lora_rank=lora_rank, name=origin.name, setup=setup).eval()
        except OutOfMemoryError as error:
            raise out_of_memory(model, "to be loaded and asked") from error
    return Engine(model, tokenizer, precision, setup, own)


def load_whole(
    origin: LanguageModel, saved: Path | None, *, recipe: RecipeName = "full", lora_rank: int = 8, setup: Setup = USUAL
) -> tuple[Any, Any]:
    """(the model in the processor's memory, an adapter merged into it; its tokenizer): for another engine, so that it is asked nothing."""
    model, tokenizer = _loaded(origin, setup, "cpu")
    model.config.name_or_path = origin.name
    refuse_closing(tokenizer, origin.name)
    if saved is not None:
        model = weights.load(model, saved, recipe=recipe, lora_rank=lora_rank, name=origin.name, setup=setup)
        model = model.merge_and_unload() if recipe == "lora" else model
    return model.eval(), tokenizer


def _asked(origin: LanguageModel, setup: Setup, device: str, verdicts: Verdicts) -> tuple[Any, Any]:
    """(model on the device, which knows what may be assumed of it; its tokenizer)."""
    model, tokenizer = _loaded(origin, setup, device)
    model.config.name_or_path = origin.name  # what errors call it, whose places differ from machine to machine
    memory.may_be_quantized(model, _quantizes(origin))
    refuse_closing(tokenizer, origin.name)
    try:
        verdict_of(model, origin.name, origin.fingerprint(), verdicts)
    except OutOfMemoryError as error:
        raise out_of_memory(model, "to be loaded and asked") from error
    return model, tokenizer


def _quantizes(origin: LanguageModel) -> bool:
    """Whether a model can be had in 4 or 8 bits; one that comes in one way, or with an adapter merged into it, cannot."""
    return hasattr(origin, "load_as") and getattr(origin, "quantizes", True)


def _loaded(origin: LanguageModel, setup: Setup, device: str) -> tuple[Any, Any]:
    """(model on the device in evaluation mode, its tokenizer)."""
    as_wanted = getattr(origin, "load_as", None)
    if setup.quantization != "none" and as_wanted is None:
        raise ModelError(
            f"model {origin.name!r} comes in one way, unquantized; take quantization out, or a model from a folder"
        )
    if setup.device_map != "none" and as_wanted is None:
        raise ModelError(
            f"model {origin.name!r} comes in one way, whole; take device_map out, or a model from a folder"
        )
    try:
        if as_wanted is not None and setup.loading != USUAL:
            model, tokenizer = as_wanted(setup.loading, device)
        else:
            model, tokenizer = origin.load()
            if setup.attention != "default":
                set_attention(model, setup.attention, origin.name)
            model = model.to(device=device, dtype=numbers_of(setup.dtype))
        return (model.float() if setup.widened else model), tokenizer
    except OutOfMemoryError as error:
        is_packed = setup.quantization != "none" or not _quantizes(origin)
        changes = memory.smaller_weights(is_wide=setup.dtype == "float32", is_packed=is_packed)
        changes += ["device_map auto (several GPUs)"] if device == "cuda" and setup.device_map == "none" else []
        settings = f"set {' or '.join(changes)} for it, " if changes else ""
        raise ModelError(
            f"model {origin.name!r} does not fit the memory of {device!r}: {' '.join(said(error).split())}; {settings}end what else "
            "runs there, or take a smaller model"
        ) from error
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"device {device!r} cannot be used: {error}; set W2S_BENCH_DEVICE to one that torch has here"
        ) from error
