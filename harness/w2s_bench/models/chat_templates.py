"""A model's chat template, with the special tokens that it writes, as the model's files tell it. No weights are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from w2s_bench.errors import ModelError
from w2s_bench.models.folders import check_tokenizer, read_object, why_unloadable
from w2s_bench.models.gguf_header import header_of
from w2s_bench.types import ChatTemplate
from w2s_bench.untrusted import UnreadableError, read_text

_FILE, _OTHERS = "chat_template.jinja", "additional_chat_templates"
_SETTINGS, _TOKENS = "tokenizer_config.json", "special_tokens_map.json"
#: Patterns of all files that tell a template, but where a token is told by the tokenizer's class alone.
TEMPLATE_FILES: Final = (_FILE, f"{_OTHERS}/*.jinja", _SETTINGS, _TOKENS)
#: The names by which transformers hands a tokenizer's tokens to its template.
_NAMES: Final = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_DEFAULT: Final = "default"
_MOST: Final = 1 << 20  # bytes of a template
_IN_GGUF: Final = "tokenizer.chat_template"
_NEXT_STEP: Final = "name a model that was tuned to chat, or give the template's text by the parameter chat_template"


def template_in_folder(folder: Path, name: str, whole: Callable[[], Path] | None = None) -> ChatTemplate:
    """The template that transformers would use for the tokenizer in `folder`, of the model `name`.

    The tokenizer itself is made only where the template writes a token that its files leave to its class; `whole` gives the
    folder with all its files then, if that is another.
    """
    check_tokenizer(folder, name)
    settings = read_object(folder / _SETTINGS, name) if (folder / _SETTINGS).is_file() else {}
    looked = f"{folder} has neither {_FILE} nor chat_template in {_SETTINGS}"
    text = _default_of(_templates(folder, settings, name), name, looked)
    written = [token for token in _NAMES if token in text]
    told = _told(folder, settings, name)
    if not all(token in told for token in written):
        told = _of_tokenizer(folder if whole is None else whole(), name)
    return ChatTemplate(text, {token: value for token in written if (value := told.get(token)) is not None})


def template_in_gguf(path: Path, name: str) -> ChatTemplate:
    """The template in the header of a GGUF file, of the model `name`."""
    try:
        header = header_of(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"model {name!r}: {error}; fetch the file again") from error
    named = {key: str(text) for key, text in header.settings.items() if key.startswith(_IN_GGUF)}
    templates = {key.removeprefix(_IN_GGUF).removeprefix(".") or _DEFAULT: text for key, text in named.items()}
    text = _default_of(templates, name, f"the header of {path} has no {_IN_GGUF}")
    return ChatTemplate(text, {token: value for token, value in header.tokens.items() if token in text})


def _templates(folder: Path, settings: Mapping[str, Any], name: str) -> dict[str, str]:
    """Name → template. As for transformers, files of their own stand in the place of what the settings have."""
    others = sorted((folder / _OTHERS).glob("*.jinja"))
    files = {_DEFAULT: folder / _FILE} if (folder / _FILE).is_file() else {}
    files |= {path.stem: path for path in others}
    if files:
        return {called: _text(path, name) for called, path in files.items()}
    given = settings.get("chat_template")
    if isinstance(given, str):
        return {_DEFAULT: given}
    listed = given if isinstance(given, list) else []
    return {
        str(one["name"]): one["template"]
        for one in listed
        if isinstance(one, dict) and "name" in one and isinstance(one.get("template"), str)
    }


def _default_of(templates: Mapping[str, str], name: str, looked: str) -> str:
    if not templates:
        raise ModelError(f"model {name!r} has no chat template: {looked}; {_NEXT_STEP}")
    if _DEFAULT not in templates:
        raise ModelError(
            f"model {name!r} has several chat templates, {', '.join(sorted(templates))}, and none is called {_DEFAULT!r}, which is "
            f"the one for plain chats; {_NEXT_STEP}"
        )
    return templates[_DEFAULT]


def _text(path: Path, name: str) -> str:
    try:
        return read_text(path, _MOST, follow=True)
    except UnreadableError as error:
        raise ModelError(f"model {name!r}: its chat template {path} cannot be read: {error}; save it again") from error


def _told(folder: Path, settings: Mapping[str, Any], name: str) -> dict[str, str | None]:
    """Name of a special token → its text, None where the files say that there is none; what they do not tell is not there."""
    given = dict(settings)
    # Of the two files transformers reads the older one where the newer does not list the tokens that were added.
    if "added_tokens_decoder" not in settings and (folder / _TOKENS).is_file():
        given |= read_object(folder / _TOKENS, name)
    contents = {token: given[token] for token in _NAMES if token in given}
    contents = {token: value["content"] if _is_added(value) else value for token, value in contents.items()}
    return {token: value for token, value in contents.items() if value is None or isinstance(value, str)}


def _is_added(value: object) -> bool:
    """Whether it is a token with its settings, as `AddedToken` is saved."""
    return isinstance(value, dict) and "content" in value


def _of_tokenizer(folder: Path, name: str) -> dict[str, str | None]:
    """Name → text of the special tokens that the tokenizer has once it is made."""
    from transformers import AutoTokenizer

    check_tokenizer(folder, name)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # tokenizers raise errors of their own; all mean the same
        why, step = why_unloadable(folder, error)
        raise ModelError(f"model {name!r}: its tokenizer cannot be loaded from {folder}: {why}; {step}") from error
    return {token: str(value) for token, value in tokenizer.special_tokens_map.items() if token in _NAMES}
