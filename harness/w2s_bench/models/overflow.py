"""Items that a model has not the positions for: which, how many, and what can be done. Told before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_bench.models.encoding import encode_pairs, encode_prompts
from w2s_bench.types import Item

_ANY = 1 << 60
#: Tokens that a byte of text is taken to be at most, and those that stand around a text: no tokenizer makes as many.
_TOKENS_A_BYTE, _SPECIAL = 4, 64


@dataclass(frozen=True)
class Overlong:
    """`count` of `of` items take more tokens than `limit`; `longest` is the id of the one with most, `tokens`.

    `hopeless`: how many would lose the whole prompt to what follows it, however prompts are cut; `last` the longest such end.
    """

    count: int
    of: int
    longest: str
    tokens: int
    limit: int
    hopeless: int = 0
    last: int = 0


def overlong(
    tokenizer: Any, items: Sequence[Item], *, limit: int, most_new: int | None, golds: Mapping[str, str]
) -> Overlong | None:
    """What `Engine.overlong` tells, of a model that reads `limit` tokens."""
    lengths = _lengths(tokenizer, _long(items, limit, most_new, golds), most_new or 0, golds)
    over = {name: whole for name, (whole, _) in lengths.items() if whole > limit}
    if not over:
        return None
    ends = [end for name, (_, end) in lengths.items() if name in over and end >= limit]
    longest = max(over, key=lambda name: (over[name], name))
    return Overlong(len(over), len(items), longest, over[longest], limit, len(ends), max(ends, default=0))


def _long(items: Sequence[Item], limit: int, most_new: int | None, golds: Mapping[str, str]) -> list[Item]:
    """Those that may be too long by their bytes: tokenizing a million short ones takes minutes."""

    def bound(item: Item) -> int:
        ends = item.choices if item.choices is not None else (golds.get(item.id, ""),)
        text = len(item.prompt.encode()) + max(len(end.encode()) for end in ends)
        return _TOKENS_A_BYTE * text + _SPECIAL + (most_new or 0)

    return [item for item in items if bound(item) > limit]


def _lengths(
    tokenizer: Any, items: Sequence[Item], most_new: int, golds: Mapping[str, str]
) -> dict[str, tuple[int, int]]:
    """Id → tokens of an item with the longest that may follow its prompt, and of that alone."""
    asked = [item for item in items if item.choices is None]
    prompts = encode_prompts(tokenizer, [item.prompt for item in asked])
    out = {item.id: (len(ids) + most_new, most_new) for item, ids in zip(asked, prompts, strict=True)}
    texts = [(item.id, item.prompt, choice) for item in items for choice in item.choices or ()]
    texts += [(item.id, item.prompt, golds[item.id]) for item in asked if item.id in golds]
    ended = [item in golds for item, _, _ in texts]
    pairs = encode_pairs(
        tokenizer, [(prompt, end) for _, prompt, end in texts], max_length=_ANY, ended=ended, may_be_empty=True
    )
    for (item, _, _), pair in zip(texts, pairs, strict=True):
        whole, end = out.get(item, (0, 0))
        out[item] = (max(whole, len(pair)), max(end, len(pair.completion)))
    return out
