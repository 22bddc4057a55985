"""Texts are turned into token ids once a process: students of all arms read the same items, one stage after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MOST_TEXTS = 100_000  # texts that one tokenizer remembers, some thirty megabytes; beyond them it starts anew
_MOST_TOKENIZERS = 4
#: A model's name and fingerprint → its tokenizer; the one used last comes last.
_TOKENIZERS: dict[tuple[str, str], Remembering] = {}


class Remembering:
    """A tokenizer that gives the ids of texts it has seen from memory, and is the tokenizer it was made of in all else."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[tuple[str, bool], list[int]] = {}

    def __call__(self, texts: Sequence[str] | str, *, add_special_tokens: bool = True, **others: Any) -> Any:
        """`input_ids` of a list of texts; whatever else it is asked, the tokenizer itself answers."""
        if isinstance(texts, str) or others or not all(isinstance(text, str) for text in texts):
            return self._tokenizer(texts, add_special_tokens=add_special_tokens, **others)
        new = [text for text in dict.fromkeys(texts) if (text, add_special_tokens) not in self._known]
        if len(self._known) + len(new) > _MOST_TEXTS:
            self._known.clear()
            new = list(dict.fromkeys(texts))
        if new:
            made = self._tokenizer(new, add_special_tokens=add_special_tokens)["input_ids"]
            self._known |= {(text, add_special_tokens): ids for text, ids in zip(new, made, strict=True)}
        return {"input_ids": [list(self._known[text, add_special_tokens]) for text in texts]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def remembering(tokenizer: Any, model: tuple[str, str]) -> Remembering:
    """The tokenizer of the model with this name and fingerprint, as it was first loaded in this process."""
    remembered = _TOKENIZERS.pop(model, None) or Remembering(tokenizer)
    _TOKENIZERS[model] = remembered
    while len(_TOKENIZERS) > _MOST_TOKENIZERS:
        del _TOKENIZERS[next(iter(_TOKENIZERS))]
    return remembered
