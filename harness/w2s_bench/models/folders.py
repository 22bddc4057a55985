"""What a model's folder may hold: weights that its fingerprint covers, and no pointers to what lies elsewhere. No torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from w2s_bench.errors import ModelError, said
from w2s_bench.untrusted import read_text

_INDEX = ".safetensors.index.json"
_TOKENIZERS = ("tokenizer_config.json", "special_tokens_map.json")
_MOST = 64 << 20  # bytes of one of these files
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
#: One of them holds a tokenizer's vocabulary.
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "tekken.json"),
)
#: (Why a folder without a tokenizer cannot be loaded, what the user can do).
NO_TOKENIZER = (
    f"it has no tokenizer (none of {', '.join(TOKENIZER_FILES[:3])} is there)",
    "save the model's own beside it (tokenizer.save_pretrained)",
)
#: How a file begins that stands for one which Git LFS keeps, and how long it may be.
_POINTER, _LONGEST_POINTER = b"version https://git-lfs.github.com/spec/", 1024
#: What the user can do with weights that are packed.
_DEQUANTIZED = "save it dequantized (model.dequantize(), save_pretrained), or take the model that it was made from"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def check_folder(folder: Path, name: str) -> None:
    """Raises `ModelError` where loading the model of `folder` would read what `LocalModel.fingerprint` does not cover.

    That is every file directly in the folder, read through links: a link is as good as the file itself.
    """
    refuse_adapter(folder, name)
    for held in sorted(folder.iterdir()):
        refuse_pointer(held, name)
    for index in sorted(folder.glob(f"*{_INDEX}")):
        mapped = read_object(index, name).get("weight_map")
        files = list(mapped.values()) if isinstance(mapped, dict) else [mapped]
        for file in dict.fromkeys(file if isinstance(file, str) else json.dumps(file) for file in files):
            _must_lie_in(folder, file, name, f"{index.name} names")
    if not any(path.is_file() for path in folder.glob("*.safetensors")):
        pickled = pickled_in(folder)
        if not pickled:
            raise ModelError(
                f"model {name!r}: no .safetensors in {folder}, so no weights; copy them there, or save it with save_pretrained"
            )
        raise ModelError(
            f"model {name!r}: no .safetensors in {folder} but {pickled[0]}, and pickled weights are refused, for they can run "
            "code; load it where you trust it, and save it again with save_pretrained"
        )
    config = read_object(folder / "config.json", name)
    if (weights := config.get("transformers_weights")) is not None:
        _must_lie_in(folder, str(weights), name, "config.json has transformers_weights")
    check_tokenizer(folder, name)
    for where, value in _attentions(config):
        if "/" in value:
            raise ModelError(
                f"model {name!r}: config.json has {where} {value!r}, code of a hub, which is never run; take the line out"
            )


def refuse_pointer(file: Path, name: str) -> None:
    """Raises `ModelError` where git left the pointer of a large file in its place."""
    if not file.is_file() or file.stat().st_size > _LONGEST_POINTER:
        return
    with file.open("rb") as opened:
        if opened.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"model {name!r}: {file} is a pointer of Git LFS and not the file itself; fetch it (git lfs pull)"
            )


def refuse_adapter(folder: Path, name: str) -> None:
    """Raises `ModelError` where the folder holds an adapter: by itself it is no model, and its base is for the user to name."""
    for adapter in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if os.path.lexists(folder / adapter):
            config = read_object(folder / ADAPTER_CONFIG, name) if (folder / ADAPTER_CONFIG).is_file() else {}
            raise ModelError(
                f"model {name!r}: {folder} holds {adapter}, an adapter of a model that lies elsewhere; write "
                f"{with_its_base(folder, config)}, or merge the two (merge_and_unload) and save the whole model"
            )


def with_its_base(folder: Path, config: dict[str, Any]) -> str:
    """What to write for an adapter on its base, as far as its configuration tells that: a folder that is here, or a repository."""
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    told = "+BASE"
    if isinstance(base, str) and base and Path(base).is_dir():
        told = f"+local/{base}"
    elif is_repository(base):
        told = f"+hf/{base}@{revision or 'COMMIT'}"
    return f"the name adapter/{folder}{told}"


def is_repository(name: object) -> TypeGuard[str]:
    """Whether a name could be `OWNER/NAME` of a hub."""
    return isinstance(name, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and name[0] != "."


def is_commit(revision: object) -> TypeGuard[str]:
    """Whether a revision is the 40 hexadecimal digits of a commit."""
    return isinstance(revision, str) and re.fullmatch(r"[0-9a-fA-F]{40}", revision) is not None


def pickled_in(folder: Path) -> list[str]:
    """Names of the files of a folder that are pickles, as old weights are."""
    return sorted(path.name for suffix in _PICKLED for path in folder.glob(f"*{suffix}"))


def check_tokenizer(folder: Path, name: str) -> None:
    """Raises `ModelError` where a tokenizer's settings have transformers read what is not of its folder."""
    for settings in _TOKENIZERS:
        if (folder / settings).is_file():
            _refuse_files_elsewhere(folder, settings, name)


def why_unloadable(folder: Path, error: Exception) -> tuple[str, str]:
    """(Why a model's folder cannot be loaded, what the user can do), where transformers says otherwise than is true here."""
    told = " ".join(said(error).split())
    if "trust_remote_code" in told:
        return of_own_code(folder)
    if not any((folder / file).is_file() for file in TOKENIZER_FILES) and not [*folder.glob("*.tiktoken")]:
        return NO_TOKENIZER
    if "flash" in told.lower() and "attn" in told.lower().replace("attention", "attn"):
        return told, "take attention default, or install what it asks for"
    if packing := _packing(folder):
        return packed_weights(f"quantization_config in config.json: {packing}")
    if "model_type" in told or "does not recognize this architecture" in told:
        return of_own_code(folder) if has_code(folder) else unknown_kind()
    return told, "save model and tokenizer again"


def _packing(folder: Path) -> str | None:
    """What a folder's configuration says of how its weights are packed; None where it says nothing."""
    try:
        return packed_by(json.loads(_text_of(folder / "config.json")))
    except (ValueError, RecursionError, AttributeError):
        return None


def packed_by(config: dict[str, Any]) -> str | None:
    """How a configuration says that weights are packed; None where it says nothing of it."""
    packed = config.get("quantization_config")
    return str(packed.get("quant_method", "of some kind")) if isinstance(packed, dict) else None


def packed_weights(how: str) -> tuple[str, str]:
    """(Why a folder of packed weights cannot be loaded, what the user can do)."""
    return f"its weights are packed ({how})", _DEQUANTIZED


def has_code(folder: Path) -> bool:
    """Whether a folder's configuration names classes of a model that would have to come with it."""
    return "auto_map" in _text_of(folder / "config.json")


def of_own_code(folder: Path) -> tuple[str, str]:
    """The same of a folder whose model or tokenizer is made by code that comes with it."""
    files = [file for file in ("config.json", "tokenizer_config.json") if "auto_map" in _text_of(folder / file)]
    return (
        f"it comes with code of its own ({', '.join(f'auto_map in {file}' for file in files) or 'auto_map'}), which is never run",
        "take a model and a tokenizer of a kind that transformers itself has",
    )


def unknown_kind() -> tuple[str, str]:
    """The same of a folder of a kind of model that transformers lacks."""
    from transformers import __version__

    return (
        f"transformers {__version__} has no model of the kind that its config.json names",
        "take another model, or a version of transformers that has it",
    )


def unloadable(folder: Path | str, name: str, why: str, step: str) -> ModelError:
    """What is told of a folder that cannot be loaded."""
    return ModelError(f"model {name!r} cannot be loaded from {folder}: {why}; {step}")


def too_many_tokens(name: str, token: str, number: int, rows: int) -> ModelError:
    """What is told of a tokenizer that has a token whose number is beyond the rows of the embedding."""
    return ModelError(
        f"model {name!r}: the tokenizer has {token!r} as token {number}, the model embeds tokens 0 to {rows - 1}; take the "
        "model's own tokenizer, or resize its embeddings (resize_token_embeddings) and save it again"
    )


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _must_lie_in(folder: Path, file: str, name: str, what: str) -> None:
    inside = file == Path(file).name and not set(file) & set("/\\") and file.endswith((".safetensors", _INDEX))
    if not inside:
        raise ModelError(
            f"model {name!r}: {what} {file!r}, which is no .safetensors directly in {folder}: it would be read and not be "
            "part of the model's fingerprint; save the model again (save_pretrained)"
        )
    if not (folder / file).is_file():
        raise ModelError(
            f"model {name!r}: {what} {file!r}, which {folder} lacks; copy it there or save the model again"
        )


def _refuse_files_elsewhere(folder: Path, settings: str, name: str) -> None:
    """Of what a tokenizer's settings name, transformers opens some as it stands, some beside the settings."""
    for key, value in read_object(folder / settings, name).items():
        if not key.endswith(("_file", "_files")) and key not in ("vocab", "merges", "init_inputs"):
            continue
        for file in value if isinstance(value, list) else [value]:
            for path in (Path(file), folder / file) if isinstance(file, str) else ():
                if _is_file(path) and not path.parent.samefile(folder):
                    raise ModelError(
                        f"model {name!r}: {settings} has {key} {file!r}, which lies elsewhere: it could be read and is not "
                        f"part of the model's fingerprint; take {key} out"
                    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def _attentions(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(setting, value) of every choice of an attention implementation, those of parts of the model too."""
    for key, value in config.items():
        if isinstance(value, dict):
            chosen = value if "attn_implementation" in key else {}
            yield from ((key, inner) for inner in chosen.values() if isinstance(inner, str))
            yield from _attentions(value)
        elif "attn_implementation" in key and isinstance(value, str):
            yield key, value


def read_object(path: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, _MOST, follow=True))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"model {name!r} cannot be loaded from {path.parent}: {path.name}: {error}; save it again"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"model {name!r} cannot be loaded from {path.parent}: {path.name} is no object; save it again")
    return content
