"""What is known of a model before it is loaded: its shapes, the bytes of its files here, and those that are still to be fetched."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from w2s_bench.errors import ModelError, W2SBenchError
from w2s_bench.hookspecs import LanguageModel
from w2s_bench.models.adapters import AdapterModel
from w2s_bench.models.folders import check_folder
from w2s_bench.models.footprint import Blueprint, described_folder
from w2s_bench.models.gguf import GgufModel, unpacked_folder
from w2s_bench.models.gguf_header import header_of
from w2s_bench.models.known_files import KNOWN_FILES, KNOWN_REPOSITORIES
from w2s_bench.models.origins import HubModel, LocalModel, bytes_of, is_read, next_step, unreachable
from w2s_bench.plugins.checks import told_size
from w2s_bench.types import ModelSize

_SECONDS = 5.0  # that a hub may take to answer
OFFLINE = "not known offline"


@dataclass(frozen=True)
class Sizes:
    """`on_disk`: bytes of its files here; `download`: bytes still to be fetched; both None where nobody tells. `why` anything lacks.

    `counted`: its parameters, where no blueprint is known; `download_at_most`: bytes, where what is here is not.
    """

    blueprint: Blueprint | None
    on_disk: int | None
    download: int | None
    why: str = ""
    counted: int | None = None
    download_at_most: int | None = None

    @property
    def parameters(self) -> int | None:
        return self.blueprint.parameters if self.blueprint else self.counted


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
        return _of_gguf(origin.path), reachable
    if isinstance(origin, HubModel):
        return _of_hub(origin, reachable)
    if isinstance(origin, AdapterModel):
        base, reachable = _of(origin.base, reachable)  # once it is merged, it is as large as its base
        on_disk = None if base.on_disk is None else base.on_disk + bytes_of(origin.path)
        return replace(base, on_disk=on_disk), reachable
    return _of_plugin(origin.name, origin), reachable


def _of_folder(folder: Path) -> Sizes:
    size = bytes_of(folder)
    try:
        return Sizes(Blueprint.of(*described_folder(folder)), size, 0)
    except ValueError:  # loading it will say what is wrong
        return Sizes(None, size, 0, "its files cannot be read")


def _of_gguf(path: Path) -> Sizes:
    try:
        header = header_of(path)
    except ValueError:
        return Sizes(None, path.stat().st_size, 0, "its header cannot be read")
    return Sizes(Blueprint.of(header.tensors, header.config), path.stat().st_size, 0)


def _of_plugin(name: str, origin: LanguageModel) -> Sizes:
    """As it says itself, and for the rest by its fingerprint; whatever it says wrongly, or leaves out, is told and ends nothing."""
    told, fault = ModelSize(), ""
    try:
        told = told_size(f"model {name!r}", origin) or told
    except W2SBenchError as error:
        fault = str(error)
    known, own = _by_fingerprint(origin.fingerprint()), None
    if told.parameters is not None and told.config is not None:
        try:
            own = Blueprint.by_config(told.parameters, told.config)
        except (ValueError, TypeError, AttributeError) as error:  # of what is no configuration of a language model
            fault = f"size() is of no use for memory and time: {error}"
    blueprint = own or known.blueprint
    on_disk = known.on_disk if told.on_disk is None else told.on_disk
    whys = [fault] if fault else []
    if blueprint is None and not fault:
        whys.append(
            "memory and time follow from parameters and config, which it does not tell: its plugin may, by size()"
        )
    if told.download is None and (blueprint is not None or told != ModelSize()):
        unknown = "which of its files are here, and so what is" if on_disk is None else "whether anything is"
        whys.append(f"{unknown} still to be fetched, its plugin alone knows")
    at_most = known.download_at_most if told.download is None else None
    return Sizes(blueprint, on_disk, told.download, "; ".join(whys), told.parameters, at_most)


def _by_fingerprint(fingerprint: str) -> Sizes:
    """What is known of a model whose fingerprint is the SHA-256 of a GGUF file; where that file lies, its plugin alone knows."""
    known, folder = KNOWN_FILES.get(fingerprint, ModelSize()), unpacked_folder(fingerprint)
    if folder is not None:
        return replace(_of_folder(folder), download=None, download_at_most=known.download)
    if known.parameters is None or known.config is None:
        return Sizes(None, None, None)
    return Sizes(Blueprint.by_config(known.parameters, known.config), None, None, download_at_most=known.download)


def _of_hub(origin: HubModel, reachable: bool) -> tuple[Sizes, bool]:
    """What is known of a model of the hub, and whether the hub answers."""
    from huggingface_hub import constants

    owned = f"models--{origin.repo.replace('/', '--')}"
    folder = Path(constants.HF_HUB_CACHE) / owned / "snapshots" / origin.revision
    if _is_whole(folder, origin.name):
        return _of_folder(folder), reachable
    if not reachable or constants.HF_HUB_OFFLINE:
        return _without_hub(origin, OFFLINE), reachable
    try:
        return asked_of_hub(origin), True
    except Exception as error:  # noqa: BLE001 - the hub client raises many kinds, and an estimate ends no run
        lost = unreachable(error)
        return _without_hub(origin, OFFLINE if lost else f"not known: {next_step(error, origin.repo)}"), not lost


def _without_hub(origin: HubModel, why: str) -> Sizes:
    """What is known of a model that a shipped suite names; of any other nothing is."""
    known = KNOWN_REPOSITORIES.get(origin.repo)
    if known is None or known.parameters is None or known.config is None:
        return Sizes(None, 0, None, why)
    told = "its shapes are those that its repository publishes, what would be fetched is"
    return Sizes(Blueprint.by_config(known.parameters, known.config), 0, None, f"{told} {why}")


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
