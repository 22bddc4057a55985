"""Where models come from: a directory on disk, or a pinned revision of a model hub. No torch until `load`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from w2s_bench.errors import ModelError, said
from w2s_bench.models.chat_templates import TEMPLATE_FILES, template_in_folder
from w2s_bench.models.folders import (
    check_folder,
    is_commit,
    packed_by,
    packed_weights,
    read_object,
    refuse_adapter,
    too_many_tokens,
    unloadable,
)
from w2s_bench.models.footprint import Blueprint, described_folder
from w2s_bench.models.optional import bitsandbytes
from w2s_bench.models.setup import USUAL, Setup
from w2s_bench.models.snapshots import lacks
from w2s_bench.models.tying import tell_as_it_is
from w2s_bench.models.unloadable import refuse_packed, refuse_unloadable, why_not_loaded
from w2s_bench.models.unplaced import refuse_unplaced
from w2s_bench.record import file_digest
from w2s_bench.types import Attention, ChatTemplate, Dtype, ModelSize

#: The libraries that what a language model computes depends on.
ENGINE = ("torch", "transformers", "tokenizers", "numpy")
_SMALL = 32 << 20  # bytes of files: a tokenizer among them is copied in no time
#: Names of errors of the hub's client that mean that there is no network.
_UNREACHABLE = frozenset(
    {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError", "TimeoutException"}
)
_MOST_TOKENIZERS = 4
#: Folder and fingerprint → (tokenizer, its token with the greatest number, that number); those used last come last. A large
#: vocabulary takes several times as long to read as the weights.
_TOKENIZERS: dict[tuple[str, str], tuple[Any, str, int]] = {}
_READ = (
    *(".safetensors", ".json", ".txt", ".model", ".jinja"),
    *(".tiktoken", ".spm", ".vocab", ".bpe", ".codes", ".tokenizer"),  # vocabularies
)
#: Patterns of them, that of the weights first.
_ALL = tuple(f"*{suffix}" for suffix in _READ)


@dataclass(frozen=True)
class LocalModel:
    """A causal language model saved by transformers: `config.json`, `*.safetensors`, tokenizer files."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if not (self.path / "config.json").is_file():
            refuse_adapter(self.path, self.name)
            raise ModelError(
                f"model {self.name!r}: no config.json in {self.path}; give a folder written by save_pretrained"
            )
        check_folder(self.path, self.name)
        _refuse_unloadable(self.path, self.name, _stamp(self.path))

    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of the files that loading reads."""
        return folder_digest(self.path)

    def size(self) -> ModelSize:
        """As `hookspecs.LanguageModel` has it; `ValueError` where its files cannot be read."""
        shapes, config = described_folder(self.path)
        parameters = Blueprint.of(shapes, config).parameters
        return ModelSize(parameters, config, on_disk=bytes_of(self.path), download=0)

    def load(self) -> tuple[Any, Any]:
        """(model in float32 and evaluation mode, tokenizer; a small model's is the caller's own)."""
        import copy

        model, tokenizer = _load(str(self.path), self.name, self.fingerprint())
        return model, copy.deepcopy(tokenizer) if bytes_of(self.path) <= _SMALL else tokenizer

    def load_as(self, setup: Setup, device: str) -> tuple[Any, Any]:
        """(model on `device` as `setup` has it, tokenizer); weights are read in its dtype, never through a float32 copy."""
        return _load(str(self.path), self.name, self.fingerprint(), setup, device)

    def chat_template(self) -> ChatTemplate:
        """That of its tokenizer, by the files that tell it; no weights are read."""
        return template_in_folder(self.path, self.name)


@dataclass(frozen=True)
class HubModel:
    """A causal language model of the Hugging Face hub at one pinned revision."""

    repo: str
    revision: str

    @property
    def name(self) -> str:
        return f"hf/{self.repo}@{self.revision}"

    def fingerprint(self) -> str:
        """A full commit hash already names the content; anything else (a branch, a tag) is refused, for it can move."""
        if not is_commit(self.revision):
            raise ModelError(
                f"model {self.name!r}: revision {self.revision!r} can move; give the 40 hexadecimal digits of a commit"
            )
        if self.revision != self.revision.lower():
            raise ModelError(
                f"model {self.name!r}: a commit has small letters; write hf/{self.repo}@{self.revision.lower()}"
            )
        return hashlib.sha256(self.name.encode()).hexdigest()

    def load(self) -> tuple[Any, Any]:
        """(model in float32 and evaluation mode, tokenizer); downloads what the cache lacks."""
        return _load(self._fetched(), self.name, self.fingerprint())

    def load_as(self, setup: Setup, device: str) -> tuple[Any, Any]:
        """(model on `device` as `setup` has it, tokenizer); downloads what the cache lacks."""
        return _load(self._fetched(), self.name, self.fingerprint(), setup, device)

    def chat_template(self) -> ChatTemplate:
        """That of its tokenizer; downloads what the cache lacks of the files that tell it, and no weights."""
        folder = Path(self._fetched(TEMPLATE_FILES))
        return template_in_folder(folder, self.name, whole=lambda: Path(self._fetched(_ALL[1:])))

    def _fetched(self, files: Sequence[str] = _ALL) -> str:
        """The folder of the snapshot, which holds the files of these patterns."""
        self.fingerprint()
        from huggingface_hub import snapshot_download

        try:
            folder: str = snapshot_download(self.repo, revision=self.revision, allow_patterns=list(files))
        except Exception as error:  # the hub client raises many kinds
            raise ModelError(
                f"model {self.name!r} cannot be fetched: {' '.join(said(error).split())}; {next_step(error, self.repo)}"
            ) from error
        if lacking := lacks(Path(folder), self.repo, self.revision, files, whole=files is _ALL):
            raise ModelError(
                f"model {self.name!r} is in the cache ({folder}) in part only, without {', '.join(lacking)}: fetch it once where there "
                "is a network and HF_HUB_OFFLINE is not set, or give local/FOLDER"
            )
        return folder


def unreachable(error: Exception) -> bool:
    """Whether the hub's client says that there is no network."""
    return bool({raised.__name__ for raised in type(error).__mro__} & _UNREACHABLE)


def next_step(error: Exception, repo: str) -> str:
    """What the user can do, by the hub client's names for what went wrong."""
    names = {raised.__name__ for raised in type(error).__mro__}
    if "GatedRepoError" in names:
        return f"accept its terms at https://huggingface.co/{repo} and log in (`hf auth login`), or set HF_TOKEN"
    if "RevisionNotFoundError" in names:
        return "the repo has no such commit: copy one from its history"
    if "RepositoryNotFoundError" in names:
        return "check the spelling of owner and name; a private one needs HF_TOKEN"
    if unreachable(error):
        return (
            "there is no network here (or HF_HUB_OFFLINE is set): fetch it once where there is, or give a local folder"
        )
    return "check repo and revision, or give a local folder"


def from_hub(name: str) -> HubModel:
    """The model that `hf/OWNER/NAME@COMMIT` names."""
    repository, _, revision = name.removeprefix("hf/").partition("@")
    if not repository or not revision:
        raise ModelError(f"model {name!r} needs a repository and a revision; write hf/<owner>/<name>@<commit>")
    return HubModel(repo=repository, revision=revision)


def from_folder(name: str) -> LocalModel:
    """The model that `local/FOLDER` names."""
    return LocalModel(name, from_folder_path(name, name.removeprefix("local/"), "config.json and weights"))


def from_folder_path(name: str, path: str, holding: str) -> Path:
    """The folder at `path`, `~` expanded; `ModelError` where model `name` has none there that could be `holding` its files."""
    folder = Path(path)
    try:
        folder = folder.expanduser()
    except RuntimeError as error:
        raise ModelError(
            f"model {name!r}: {folder.parts[0]} is the home of no user here; give the folder's path"
        ) from error
    if folder.is_file() and folder.suffix == ".gguf":
        raise ModelError(f"model {name!r}: {folder} is a GGUF file; write gguf/{path}")
    if not folder.is_dir():
        raise ModelError(f"model {name!r}: there is no folder {str(folder)!r}; give one with {holding}")
    return folder


def is_read(file: str) -> bool:
    """Whether loading reads a file of that name, or may."""
    return Path(file).suffix in _READ


def files_read(folder: Path) -> list[Path]:
    """The files of a model's folder that loading reads."""
    return sorted(p for p in folder.iterdir() if p.is_file() and is_read(p.name) and p.name != "training.json")


def bytes_of(folder: Path) -> int:
    """Of the files of a model's folder that loading reads."""
    return sum(path.stat().st_size for path in files_read(folder))


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the files of a folder that loading reads."""
    return _folder_digest(folder, _stamp(folder))


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the files that loading reads: what is known of a folder holds as long as they are the same."""
    return tuple((p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in files_read(folder))


@cache
def _refuse_unloadable(folder: Path, name: str, stamp: tuple[tuple[str, int, int], ...]) -> None:
    # A worker makes the same model for every stage.
    refuse_unloadable(folder, name)


@cache
def _folder_digest(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    # A suite asks for the same fingerprint many times. So it is cached by names, times and sizes.
    return hashlib.sha256(
        "".join(f"{name} {file_digest(folder / name)}\n" for name, _, _ in stamp).encode()
    ).hexdigest()


def _load(folder: str, name: str, fingerprint: str, setup: Setup = USUAL, device: str = "cpu") -> tuple[Any, Any]:
    """(a new model, its tokenizer, which is the same object as long as the folder holds the same)."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    check_folder(Path(folder), name)
    config = read_object(Path(folder) / "config.json", name)
    refuse_packed(Path(folder), name, config)
    if setup.quantization == "none" and packed_by(config) == "bitsandbytes":
        raise unloadable(folder, name, *packed_weights("quantization_config in config.json: bitsandbytes"))
    try:
        tokenizer, token, largest = tokenizer_of(folder, fingerprint)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            trust_remote_code=False,
            dtype=numbers_of(setup.dtype),
            use_safetensors=True,
            output_loading_info=True,
            **_wanted(setup, device),
        )
        if (Path(folder) / "generation_config.json").is_file():
            GenerationConfig.from_pretrained(folder)  # the model works without a generation config that cannot be read
    except (ModelError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # tokenizers and safetensors raise errors of their own; all mean the same
        raise unloadable(folder, name, *why_not_loaded(Path(folder), error)) from error
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        # transformers fills missing weights with random numbers and only warns.
        raise ModelError(
            f"model {name!r}: the weights in {folder} lack {len(missing)} tensors, {missing[0]} among them; save the model again"
        )
    refuse_unplaced(model, report["unexpected_keys"], folder, name)
    check_parts(model, name, setup, token, largest)
    tell_as_it_is(model)
    if setup.device_map != "none":
        from w2s_bench.models.spreading import spread_as_loaded

        model = spread_as_loaded(model, name)
    elif setup.quantization == "none":
        model = model.to(device)
    return model.eval(), tokenizer


def numbers_of(dtype: Dtype) -> Any:
    """torch's own name of it."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]


def set_attention(model: Any, attention: Attention, name: str) -> None:
    """Have a loaded model attend by another implementation; `ModelError` where it or this machine has none such."""
    try:
        model.set_attn_implementation(attention)
    except (AttributeError, ImportError, ValueError) as error:
        raise ModelError(f"model {name!r} cannot attend by {attention}: {error}; take attention default") from error


def _wanted(setup: Setup, device: str) -> dict[str, Any]:
    """How transformers is asked to load it; what is as usual is not named."""
    import torch

    wanted: dict[str, Any] = {} if setup.attention == "default" else {"attn_implementation": setup.attention}
    if setup.quantization != "none":
        bitsandbytes(f"quantization {setup.quantization}")
        from transformers import BitsAndBytesConfig

        products = torch.bfloat16 if setup.dtype == "float32" else numbers_of(setup.dtype)
        four = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": products, "bnb_4bit_use_double_quant": True}
        config: Any = BitsAndBytesConfig
        bits = {"load_in_4bit": True, **four} if setup.quantization == "nf4" else {"load_in_8bit": True}
        wanted |= {"quantization_config": config(**bits), "device_map": {"": device}}
    if setup.device_map != "none":
        wanted["device_map"] = setup.device_map
    return wanted


def tokenizer_of(folder: str, fingerprint: str) -> tuple[Any, str, int]:
    """(tokenizer, its token with the greatest number, that number; -1 where it has none)."""
    from transformers import AutoTokenizer

    known = _TOKENIZERS.pop((folder, fingerprint), None)
    if known is None:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        known = (tokenizer, *max(tokenizer.get_vocab().items(), key=lambda pair: pair[1], default=("", -1)))
    _TOKENIZERS[folder, fingerprint] = known
    while len(_TOKENIZERS) > _MOST_TOKENIZERS:
        del _TOKENIZERS[next(iter(_TOKENIZERS))]
    return known


def check_parts(model: Any, name: str, setup: Setup, token: str, largest: int) -> None:
    """That the model is whole, has weights of the dtype asked for, and knows its tokenizer's greatest token, and so all."""
    if model.get_output_embeddings() is None:
        raise ModelError(
            f"model {name!r} ({type(model).__name__}) has no output layer that gives logits of tokens; take a causal language model"
        )
    expected = {
        "float32",
        setup.dtype,
    }  # transformers keeps a few weights of some models in float32, whatever it is asked for
    odd = sorted({str(p.dtype) for p in model.parameters() if str(p.dtype).removeprefix("torch.") not in expected})
    if setup.quantization == "none" and (odd or getattr(model, "is_quantized", False)):
        raise ModelError(
            f"model {name!r} has weights of {', '.join(odd) or 'a quantized kind'}, {setup.dtype} is expected; save it dequantized"
        )
    rows = int(model.get_input_embeddings().weight.shape[0])
    if largest >= rows:
        raise too_many_tokens(name, token, largest, rows)
