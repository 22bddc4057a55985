"""Adapters on disk: what peft wrote, merged into the model it was trained on, and from there a model like any other. No torch
until `load`.

The base is named by the user, never by the adapter: what a file says of where its base lies is no more than a hint, which
may be a folder of another machine, or a repository without a revision.
"""

from __future__ import annotations

import hashlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from w2s_bench.errors import ModelError, said
from w2s_bench.hookspecs import LanguageModel
from w2s_bench.models.chat_templates import template_in_folder
from w2s_bench.models.folders import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    TOKENIZER_FILES,
    check_tokenizer,
    is_commit,
    is_repository,
    pickled_in,
    read_object,
    refuse_pointer,
    with_its_base,
)
from w2s_bench.models.origins import HubModel, check_parts, folder_digest, from_folder_path, tokenizer_of
from w2s_bench.models.setup import USUAL, Setup
from w2s_bench.resolvers import parted, resolver_of
from w2s_bench.text import shortened
from w2s_bench.types import ChatTemplate

#: Kinds of adapter that are a change of weights, so that nothing of them is left once it is added.
_MERGED: Final = ("LORA", "LOHA", "LOKR", "IA3")
#: Settings of theirs that are no change of weights, or have peft import a module that they name.
_UNMERGED: Final = ("alora_invocation_tokens", "arrow_config", "megatron_config")

#: How a LoRA adapter may begin that takes something out of the base which only the machine that trained it knows: gradients, data,
#: numbers drawn for a decomposition, a rounding. `pissa` and `olora` change the base too, by nothing but its weights.
_BASE_CHANGED: Final = ("pissa_niter", "lora_ga", "corda", "loftq")


@dataclass(frozen=True)
class AdapterModel:
    """An adapter saved by peft (`adapter_config.json`, `adapter_model.safetensors`) on its base."""

    name: str
    path: Path
    base: LanguageModel
    quantizes: ClassVar[bool] = False  # its weights are whole once it is merged

    def __post_init__(self) -> None:
        config = _checked(self.path, self.name)
        meant = config.get("base_model_name_or_path")
        if isinstance(self.base, HubModel) and is_repository(meant) and meant.casefold() != self.base.repo.casefold():
            raise ModelError(
                f"model {self.name!r}: {ADAPTER_CONFIG} says that it is an adapter of {meant!r}, not of {self.base.repo!r}; name that "
                "one, or correct base_model_name_or_path there if the two are the same model"
            )
        commit = config.get("revision")
        if isinstance(self.base, HubModel) and is_commit(commit) and commit.lower() != self.base.revision.lower():
            raise ModelError(
                f"model {self.name!r}: {ADAPTER_CONFIG} says that its base is at commit {commit}, not {self.base.revision}; name that "
                "one, or take revision out there if the two hold the same weights"
            )

    def fingerprint(self) -> str:
        """SHA-256 over the adapter's files and the base's fingerprint: either makes another model."""
        parts = f"adapter {folder_digest(self.path)}\nbase {self.base.fingerprint()}\n"
        return hashlib.sha256(parts.encode()).hexdigest()

    def load(self) -> tuple[Any, Any]:
        """(model in float32 and evaluation mode, tokenizer)."""
        model, tokenizer = self.base.load()
        return self._merged(model, tokenizer, USUAL)

    def load_as(self, setup: Setup, device: str) -> tuple[Any, Any]:
        """(model on `device` as `setup` has it, tokenizer); the base is read in its dtype, and the adapter added to it there."""
        if setup.quantization != "none":
            raise ModelError(
                f"model {self.name!r} is an adapter, which is merged into whole weights; take quantization out, or save the merged "
                "model (merge_and_unload, save_pretrained) and give its folder"
            )
        load_as = getattr(self.base, "load_as", None)
        if load_as is None:
            raise ModelError(
                f"model {self.name!r}: its base {self.base.name!r} comes in one way; take dtype, attention and device_map out"
            )
        model, tokenizer = load_as(setup, device)
        return self._merged(model, tokenizer, setup)

    def chat_template(self) -> ChatTemplate:
        """That of the tokenizer which it is loaded with: the adapter's, where its folder has one, or else the base's."""
        if self._has_tokenizer:
            return template_in_folder(self.path, self.name)
        of_base: ChatTemplate = self.base.chat_template()  # type: ignore[attr-defined]  # resolvers' models have it
        return of_base

    @property
    def _has_tokenizer(self) -> bool:
        return any((self.path / file).is_file() for file in TOKENIZER_FILES)

    def _merged(self, model: Any, tokenizer: Any, setup: Setup) -> tuple[Any, Any]:
        """The base with the adapter added to its weights, which train as any model's; the adapter's tokenizer, where it has one."""
        import torch

        _checked(self.path, self.name)  # as it is now
        try:
            merged = _merge(model, self.path)
            if self._has_tokenizer:
                tokenizer, token, largest = tokenizer_of(str(self.path), self.fingerprint())
                check_parts(merged, self.name, setup, token, largest)
        except (ModelError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # peft, safetensors and tokenizers raise kinds of their own; all mean the same
            raise self._misfit(shortened(" ".join(said(error).split()).rstrip("."))) from error
        return merged.requires_grad_(True).eval(), tokenizer

    def _misfit(self, why: str) -> ModelError:
        return ModelError(
            f"model {self.name!r}: the adapter in {self.path} does not fit its base {self.base.name!r}: {why}; name the model that "
            "it was trained on, at its commit, or merge the two where that works (merge_and_unload) and give local/FOLDER"
        )


def from_name(name: str) -> AdapterModel:
    """The model that `adapter/FOLDER+BASE` names; the base is built as its own name says."""
    own, base = parted("model", name)
    folder = from_folder_path(name, own.partition("/")[2], f"{ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}")
    if base is None:
        raise ModelError(
            f"model {name!r} names no base; write {with_its_base(folder, _checked(folder, name))}, where BASE has its prefix "
            "(a folder's is local/FOLDER)"
        )
    resolver = resolver_of("model", base)
    assert resolver is not None, base  # `parted` cuts before a prefix
    return AdapterModel(name, folder, pkgutil.resolve_name(resolver.factory)(base))


def _checked(folder: Path, name: str) -> dict[str, Any]:
    """The adapter's configuration; `ModelError` where it is none that can be merged, or is no adapter."""
    if not (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(
            f"model {name!r}: no {ADAPTER_CONFIG} in {folder}, so no adapter; give a folder that peft's save_pretrained wrote, or "
            "local/FOLDER for a whole model"
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = pickled_in(folder)
        why = (
            f"but {pickled[0]}, and pickled weights are refused, for they can run code" if pickled else "so no weights"
        )
        raise ModelError(
            f"model {name!r}: no {ADAPTER_WEIGHTS} in {folder}, {why}; save it again with peft's save_pretrained, where you trust it"
        )
    for file in sorted(folder.iterdir()):
        refuse_pointer(file, name)
    check_tokenizer(folder, name)
    config = read_object(folder / ADAPTER_CONFIG, name)
    kind = config.get("peft_type")
    odd = [setting for setting in _UNMERGED if config.get(setting)]
    if kind not in _MERGED or odd:
        what = f"{odd[0]} set" if kind in _MERGED else f"peft_type {kind!r}"
        raise ModelError(
            f"model {name!r}: {ADAPTER_CONFIG} in {folder} has {what}, which no merged weights are equal to; take an adapter of "
            f"kind {', '.join(_MERGED)}, on {config.get('base_model_name_or_path')!r} or another base"
        )
    begun = str(config.get("init_lora_weights")).lower()
    if kind == "LORA" and begun.startswith(_BASE_CHANGED):
        raise ModelError(
            f"model {name!r}: {ADAPTER_CONFIG} in {folder} has init_lora_weights {begun!r}, which changed the base's weights by what the "
            "adapter's files do not hold; save it where it was trained with save_pretrained(path_initial_model_for_weight_conversion=…), "
            "or merge the two there (merge_and_unload) and give local/FOLDER"
        )
    return config


def _merge(model: Any, folder: Path) -> Any:
    """`model` with the adapter of `folder` added to its weights, as `PeftModel.from_pretrained(...).merge_and_unload()` gives it.

    Raises ValueError where the two do not fit, which peft passes over for layers that one of them lacks.
    """
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = True
    adapted: Any = PeftModel(model, config)
    renamed = getattr(model, "_checkpoint_conversion_mapping", None) or None  # as from_pretrained does
    result = adapted.load_adapter(str(folder), "default", torch_device=str(model.device), key_mapping=renamed)
    for keys, what in (
        (result.unexpected_keys, "the base has no place for"),
        (result.missing_keys, "the adapter lacks"),
    ):
        if keys:
            raise ValueError(f"{what} {len(keys)} tensors, {sorted(keys)[0]} among them")
    _untie(model)
    return adapted.merge_and_unload()


def _untie(model: Any) -> None:
    """Give the output layer weights of its own where an adapter stands on it or on the embedding and the two share them: added
    to one of them, the adapter would change the other too."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    pair = (model.get_input_embeddings(), model.get_output_embeddings())
    reads, writes = (getattr(layer, "base_layer", layer) for layer in pair)
    if any(isinstance(layer, BaseTunerLayer) for layer in pair) and reads.weight is writes.weight:
        writes.weight = torch.nn.Parameter(writes.weight.detach().clone())
        model.config.tie_word_embeddings = False
