"""Models in GGUF files: unpacked once into a folder of the cache, and from there a model like any other. No torch until `load`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from w2s_bench.errors import ModelError
from w2s_bench.models.chat_templates import template_in_gguf
from w2s_bench.models.folders import refuse_pointer
from w2s_bench.models.footprint import Blueprint
from w2s_bench.models.gguf_header import MAGIC, header_of
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.tying import shared_names
from w2s_bench.models.unpacking import refuse_tokenizer, settle, settle_tokenizer
from w2s_bench.record import file_digest, read_json, write_json
from w2s_bench.types import ChatTemplate, ModelSize

if TYPE_CHECKING:
    from w2s_bench.models.setup import Setup

#: Says in a few words what is being done.
Say = Callable[[str], None]
#: The parent of what is unpacked, where the user names one.
UNPACKED_VARIABLE: Final = "W2S_BENCH_GGUF_CACHE"
#: Raised when unpacking gives other weights or another tokenizer: what the cache has of an earlier one is left alone.
_UNPACKING = 3
_SHA256 = re.compile("[0-9a-f]{64}")
#: Kinds of tensor that bfloat16 cannot hold, though they are no more than 16 bits.
_EXACT = frozenset({"F16", "F32", "F64"})


@dataclass(frozen=True)
class GgufModel:
    """A causal language model in one GGUF file, its tokenizer included."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise ModelError(
                f"model {self.name!r}: there is no file {str(self.path)!r}; give the path of a .gguf file with weights and tokenizer"
            )
        refuse_pointer(self.path, self.name)
        with self.path.open("rb") as file:
            begins = file.read(len(MAGIC))
        if begins != MAGIC:
            raise ModelError(
                f"model {self.name!r}: {self.path} begins with {begins!r}, a GGUF file with {MAGIC!r}; give another file, or "
                "local/FOLDER for what save_pretrained wrote"
            )

    def fingerprint(self) -> str:
        """SHA-256 of the file: who has the same file, wherever it lies, has the same model."""
        stat = self.path.stat()
        return _digest(self.path, stat.st_mtime_ns, stat.st_size)

    def size(self) -> ModelSize:
        """As `hookspecs.LanguageModel` has it, from the file's header; `ValueError` where that cannot be read."""
        header = header_of(self.path)
        parameters = Blueprint.of(header.tensors, header.config).parameters
        return ModelSize(parameters, header.config, on_disk=self.path.stat().st_size, download=0)

    def chat_template(self) -> ChatTemplate:
        """From the file's header; nothing is unpacked."""
        return template_in_gguf(self.path, self.name)

    @property
    def folder(self) -> Path:
        """Where in the cache it lies unpacked, or will."""
        return _folder_of(self.fingerprint())

    def unpacked(self, say: Say = print) -> LocalModel:
        """The folder of the cache that holds the same model, unpacked first if it is not there; one process at a time.

        Matrices of quantized kinds and of bfloat16 are kept in bfloat16, all others in float32. What rounding to bfloat16
        changes is less than what a quantized file has lost, and models that are quantized were mostly trained in it.
        """
        from filelock import FileLock

        sha256, folder = self.fingerprint(), self.folder
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f"{folder.name}.lock")):
                if (held := self._held(folder, say)) is not None:
                    return held
                shutil.rmtree(folder, ignore_errors=True)
                scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
                try:
                    dtype = unpack(self.path, scratch, self.name, say)
                    unpacked = LocalModel(self.name, scratch)
                    record = {"of": sha256, "dtype": dtype, "file": self.path.name, "holds": unpacked.fingerprint()}
                    scratch.replace(folder)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
                write_json(_record(folder), record)
        except OSError as error:
            raise ModelError(
                f"model {self.name!r} cannot be unpacked into {folder.parent}: {error.strerror or error}; make room there, or set "
                f"{UNPACKED_VARIABLE} to another folder"
            ) from error
        say(f"{self.name}: unpacked into {folder}")
        return LocalModel(self.name, folder)

    def load(self) -> tuple[Any, Any]:
        """(model in float32 and evaluation mode, tokenizer)."""
        return self.unpacked().load()

    def load_as(self, setup: Setup, device: str) -> tuple[Any, Any]:
        """(model on `device` as `setup` has it, tokenizer), as `LocalModel.load_as` gives them."""
        return self.unpacked().load_as(setup, device)

    def _held(self, folder: Path, say: Say) -> LocalModel | None:
        """What was unpacked before, if it is as it was written."""
        if not _record(folder).is_file():
            return None
        with suppress(ModelError, OSError, ValueError, TypeError, KeyError):
            held = LocalModel(self.name, folder)
            if held.fingerprint() == read_json(_record(folder))["holds"]:
                return held
        say(f"{folder} is no longer as it was written; {self.name} is unpacked again")
        return None


def from_file(name: str) -> GgufModel:
    """The model that `gguf/FILE` names."""
    path = Path(name.removeprefix("gguf/"))
    try:
        return GgufModel(name, path.expanduser())
    except RuntimeError as error:
        raise ModelError(
            f"model {name!r}: {path.parts[0]} is the home of no user here; give the file's path"
        ) from error


def unpacked_folder(fingerprint: str) -> Path | None:
    """Where in the cache lies what was unpacked of the file with this SHA-256; None where nothing does, or it is none."""
    if not _SHA256.fullmatch(fingerprint):
        return None
    folder = _folder_of(fingerprint)
    return folder if _record(folder).is_file() and folder.is_dir() else None


def cache_folder() -> Path:
    """Where unpacked models lie: in the user's cache folder, or where `W2S_BENCH_GGUF_CACHE` says."""
    from platformdirs import user_cache_path

    named = os.environ.get(UNPACKED_VARIABLE)
    return Path(named).expanduser() if named else user_cache_path("w2s-bench") / "gguf"


def unpack(path: Path, folder: Path, name: str, say: Say) -> str:
    """Write the model of a GGUF file to `folder` as `save_pretrained` does; returns the kind of number of its weights."""
    say(f"{name}: reading {path.name}")
    dtype = _kept_in(path, name)
    try:
        header = header_of(path)
    except ValueError as error:
        raise ModelError(f"model {name!r}: {error}; fetch it again, or take another file") from error
    refuse_tokenizer(header, path, name)
    import torch

    with _alone(path, folder.parent) as file:
        try:
            packed, report, tokenizer = _read(file, dtype, name, say)
        except Exception as error:  # transformers and gguf raise kinds of their own; all mean the same to the user
            raise ModelError(
                f"model {name!r} cannot be read from {path}: {error}; take a file of a kind and architecture that transformers "
                "reads, or convert it to a folder yourself and give local/FOLDER"
            ) from error
    if missing := sorted(set(report["missing_keys"]) - shared_names(packed)):
        raise ModelError(
            f"model {name!r}: {path} lacks {len(missing)} tensors, {missing[0]} among them; take a whole file"
        )
    settle(packed, header, path, name, set(report["unexpected_keys"]))
    settle_tokenizer(tokenizer, header, path, name)
    plain = _without_packing(packed, getattr(torch, dtype))
    say(f"{name}: writing it in {dtype}")
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return dtype


def _read(file: Path, dtype: str, name: str, say: Say) -> tuple[Any, Any, Any]:
    """(model, what transformers reports of its weights, tokenizer) of a file in whose folder nothing else lies."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    # From 5.23 on transformers leaves the weights packed unless it is asked for this.
    wanted = getattr(transformers, "GgufConfig", None)
    settings = {} if wanted is None else {"quantization_config": wanted(dequantize=True)}
    # The file's whole path: of a bare name transformers takes the weights from where the process stands, if it is there too.
    where: dict[str, Any] = {
        "pretrained_model_name_or_path": str(file.parent),
        "gguf_file": str(file),
        "trust_remote_code": False,
    }
    say(f"{name}: making its tokenizer")
    tokenizer: Any = AutoTokenizer.from_pretrained(**where)
    say(f"{name}: unpacking its weights")
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        **where, **settings, dtype=getattr(torch, dtype), output_loading_info=True
    )
    return (*loaded, tokenizer)


@contextmanager
def _alone(path: Path, parent: Path) -> Iterator[Path]:
    """The file, by another path in a new folder below `parent` that holds nothing else.

    transformers reads what lies beside a model's file, such as a tokenizer's configuration or code; no fingerprint has it.
    """
    with tempfile.TemporaryDirectory(prefix=".reading-", dir=parent, ignore_cleanup_errors=True) as folder:
        file = Path(folder, "model.gguf")
        for link in (Path.symlink_to, Path.hardlink_to):  # not every system and file system has both
            with suppress(OSError):
                link(file, path.absolute())
                break
        else:
            shutil.copyfile(path, file)
        yield file


def _without_packing(packed: Any, dtype: Any) -> Any:
    """The same model without what it holds of the file that it came from, which would make it one that cannot be trained."""
    import torch
    from transformers import AutoModelForCausalLM

    config = packed.config
    for trace in ("quantization_config", "_is_quantized"):
        if hasattr(config, trace):
            delattr(config, trace)
    with torch.device("meta"):  # so that there is no second copy of the weights, and none drawn at random first
        plain: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    plain.load_state_dict(packed.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = packed.generation_config
    return plain


def _kept_in(path: Path, name: str) -> str:
    """The kind of number that holds what a file's matrices are: `bfloat16` or `float32`."""
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise ModelError(
            f"model {name!r}: reading GGUF files takes the package gguf, which is not installed; pip install 'w2s-bench[gguf]'"
        ) from error
    try:
        opened = GGUFReader(path)
        parts = opened.get_field("split.count")
        count = 1 if parts is None else int(parts.contents())
        kinds = {tensor.tensor_type.name for tensor in opened.tensors if len(tensor.shape) > 1}
    except Exception as error:  # a damaged file may raise whatever its numbers lead to
        raise ModelError(f"model {name!r}: {path} is damaged: {error}; fetch it again") from error
    if count > 1:
        raise ModelError(
            f"model {name!r}: {path} is one of {count} parts; join them (llama-gguf-split --merge) and give the whole file"
        )
    return "float32" if kinds & _EXACT else "bfloat16"


def _folder_of(fingerprint: str) -> Path:
    return cache_folder() / f"{fingerprint}-{_UNPACKING}-{_version('transformers')}"


def _record(folder: Path) -> Path:
    """What is known of a folder of the cache, beside it: in it, it would be part of the model."""
    return folder.with_name(f"{folder.name}.json")


@cache
def _digest(path: Path, changed: int, size: int) -> str:
    # A suite asks for the same fingerprint many times. So it is cached by time and size.
    return file_digest(path)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
