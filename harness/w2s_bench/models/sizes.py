"""What is known of a model before it is loaded: its shapes, the bytes of its files here, and those that are still to be fetched."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from w2s_bench.errors import ModelError
from w2s_bench.hookspecs import LanguageModel
from w2s_bench.models.adapters import AdapterModel
from w2s_bench.models.folders import check_folder
from w2s_bench.models.footprint import Blueprint, shapes_of_folder
from w2s_bench.models.gguf import GgufModel
from w2s_bench.models.origins import HubModel, LocalModel, files_read, is_read, next_step, unreachable

_SECONDS = 5.0  # that a hub may take to answer
OFFLINE = "not known offline"


@dataclass(frozen=True)
class Sizes:
    """`on_disk`: bytes of its files here; `download`: bytes still to be fetched, None where nobody tells; `why` one or both lack."""

    blueprint: Blueprint | None
    on_disk: int
    download: int | None
    why: str = ""


def sizes_of(models: Mapping[str, LanguageModel]) -> dict[str, Sizes]:
    """Of each model, by name. A hub is asked for what is not here, and after it did not answer once, no more."""
    out: dict[str, Sizes] = {}
    reachable = True
    for name, origin in models.items():
        out[name], reachable = _of(origin, reachable)
    return out


def _of(origin: LanguageModel, reachable: bool) -> tuple[Sizes, bool]:
    """What is known of a model, and whether a hub answers, as far as is known."""
    if isinstance(origin, LocalModel):
        return _of_folder(origin.path), reachable
    if isinstance(origin, GgufModel):
        unpacked = origin.folder
        blueprint = _of_folder(unpacked).blueprint if unpacked.is_dir() else None
        why = "" if blueprint else "known once it is unpacked"
        return Sizes(blueprint, origin.path.stat().st_size, 0, why), reachable
    if isinstance(origin, HubModel):
        return _of_hub(origin, reachable)
    if isinstance(origin, AdapterModel):
        base, reachable = _of(origin.base, reachable)  # once it is merged, it is as large as its base
        return replace(base, on_disk=base.on_disk + _bytes_of(origin.path)), reachable
    return Sizes(None, 0, None, "known to its plugin alone"), reachable


def _of_folder(folder: Path) -> Sizes:
    size = _bytes_of(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        blueprint = Blueprint.of(shapes_of_folder(folder), config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # loading it will say what is wrong
        return Sizes(None, size, 0, "its files cannot be read")
    return Sizes(blueprint, size, 0)


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_read(folder))


def _of_hub(origin: HubModel, reachable: bool) -> tuple[Sizes, bool]:
    """What is known of a model of the hub, and whether the hub answers."""
    from huggingface_hub import constants

    owned = f"models--{origin.repo.replace('/', '--')}"
    folder = Path(constants.HF_HUB_CACHE) / owned / "snapshots" / origin.revision
    if _is_whole(folder, origin.name):
        return _of_folder(folder), reachable
    if not reachable or constants.HF_HUB_OFFLINE:
        return Sizes(None, 0, None, OFFLINE), reachable
    try:
        return asked_of_hub(origin), True
    except Exception as error:  # noqa: BLE001 - the hub client raises many kinds, and an estimate ends no run
        lost = unreachable(error)
        return Sizes(None, 0, None, OFFLINE if lost else f"not known: {next_step(error, origin.repo)}"), not lost


def _is_whole(folder: Path, name: str) -> bool:
    try:
        check_folder(folder, name)
    except (ModelError, OSError):
        return False
    return True


def asked_of_hub(origin: HubModel) -> Sizes:
    """By the hub's own list of files and the headers of its weights; neither weights nor tokenizer are fetched."""
    from huggingface_hub import HfApi, hf_hub_download

    api, where = HfApi(), dict[str, Any](revision=origin.revision)
    info = api.model_info(origin.repo, files_metadata=True, timeout=_SECONDS, **where)
    size = sum(file.size or 0 for file in info.siblings or () if is_read(file.rfilename))
    headers: Any = api.get_safetensors_metadata(origin.repo, **where).files_metadata.values()
    shapes = {name: tuple(tensor.shape) for header in headers for name, tensor in header.tensors.items()}
    with tempfile.TemporaryDirectory() as scratch:
        config: str = hf_hub_download(origin.repo, "config.json", local_dir=scratch, etag_timeout=_SECONDS, **where)
        return Sizes(Blueprint.of(shapes, json.loads(Path(config).read_text(encoding="utf-8"))), 0, size)
