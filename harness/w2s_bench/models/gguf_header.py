"""The head of a GGUF file: shapes of its tensors and its settings. No weight is read; package `gguf` takes seconds for the same."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from w2s_bench.models.footprint import Shape
from w2s_bench.types import JSON

MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_STRING, _LIST = 8, 9
#: A value's kind in the file → how `struct` writes it.
_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MOST_DIMENSIONS: Final = 4
_LENGTH: Final = struct.Struct("<Q")
#: A key of `config.json` → the setting that holds it, after the architecture's name.
_SETTINGS: Final = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
}
_VOCABULARY: Final = "tokenizer.ggml.tokens"
#: A special token's name in transformers → the setting that holds its number.
_SPECIAL: Final = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}


@dataclass(frozen=True)
class Header:
    """`settings`: those that are one number or text; `shapes`: tensor → shape as torch has it, by llama.cpp's names; `tokens`:
    the special tokens that it has, by transformers' names; `words`: how many tokens its vocabulary has."""

    settings: dict[str, Any]
    shapes: dict[str, Shape]
    tokens: dict[str, str]
    words: int = 0

    @property
    def config(self) -> dict[str, JSON]:
        """As `config.json` would say it, as far as the cost of a model hangs on it."""
        of = self.settings.get("general.architecture")
        told = {key: self.settings.get(f"{of}.{name}") for key, name in _SETTINGS.items()}
        return {
            **{key: value for key, value in told.items() if type(value) is int},
            "vocab_size": self.shapes["token_embd.weight"][0],
            "tie_word_embeddings": "output.weight" not in self.shapes,
        }

    @property
    def tensors(self) -> dict[str, Shape]:
        """Those that transformers keeps, by names in which `output` means the output layer alone."""
        kept = {name: shape for name, shape in self.shapes.items() if not name.startswith("rope_")}
        return {name.replace("attn_output", "attn_out"): shape for name, shape in kept.items()}


def header_of(path: Path) -> Header:
    """Of the file at `path`; `ValueError` where it is damaged, of another version, or no language model's."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            header = _Reader(mapped).header()
        if "hidden_size" not in header.config:
            raise ValueError("no embedding_length")
    except (struct.error, OverflowError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{path} has no header of a language model that can be read: {error}") from error
    return header


class _Reader:
    """Goes through a file from its beginning. Every step takes bytes of the file, so that none of its counts can hold it up."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped, self._at = mapped, 0
        self._vocabulary: tuple[int, int] | None = None  # where its first word lies, and how many there are

    def header(self) -> Header:
        if self._mapped[: len(MAGIC)] != MAGIC:
            raise ValueError("it is no GGUF file")
        self._at = len(MAGIC)
        if (version := self._number("I")) not in _VERSIONS:
            raise ValueError(f"version {version} of the format, {_VERSIONS} are read")
        tensors, count = self._number("Q"), self._number("Q")
        settings = {}
        for _ in range(count):
            name = self._text()
            value = self._value(self._number("I"), name)
            if value is not None:
                settings[name] = value
        shapes = dict(self._tensor() for _ in range(tensors))
        words = 0 if self._vocabulary is None else self._vocabulary[1]
        return Header(settings, shapes, self._special_tokens(settings), words)

    def _special_tokens(self, settings: dict[str, Any]) -> dict[str, str]:
        numbers = {name: settings[key] for name, key in _SPECIAL.items() if type(settings.get(key)) is int}
        if self._vocabulary is None or not numbers:
            return {}
        self._at, count = self._vocabulary
        words: dict[int, str] = {}
        for number in range(min(count, max(numbers.values()) + 1)):
            if number in numbers.values():
                words[number] = self._text()
            else:
                self._at += _LENGTH.size + _LENGTH.unpack_from(self._mapped, self._at)[0]
        return {name: words[number] for name, number in numbers.items() if number in words}

    def _tensor(self) -> tuple[str, Shape]:
        name, count = self._text(), self._number("I")
        if count > _MOST_DIMENSIONS:
            raise ValueError(f"tensor {name!r} of {count} dimensions")
        shape = tuple(self._number("Q") for _ in range(count))
        self._number("I"), self._number("Q")  # the kind of its numbers, and where they begin
        return name, shape[::-1]  # the file has the dimension that changes fastest first

    def _value(self, kind: int, name: str) -> Any:
        """A number or text; None for a list, which is passed over."""
        if kind == _STRING:
            return self._text()
        if kind != _LIST:
            return self._number(_NUMBERS[kind])
        kind, count = self._number("I"), self._number("Q")
        if kind != _STRING:
            self._at += struct.calcsize(_NUMBERS[kind]) * count
            return None
        if name == _VOCABULARY:
            self._vocabulary = (self._at, count)
        at, length = self._at, _LENGTH.unpack_from  # a vocabulary has hundreds of thousands of words
        for _ in range(count):
            at += _LENGTH.size + length(self._mapped, at)[0]
        self._at = at
        return None

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self._mapped, self._at)
        self._at += struct.calcsize(form)
        return value

    def _text(self) -> str:
        begin = self._at + _LENGTH.size
        self._at = begin + self._number("Q")
        if self._at > len(self._mapped):
            raise ValueError("it ends within a text")
        return self._mapped[begin : self._at].decode("utf-8")
