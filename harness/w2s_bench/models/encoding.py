"""Text → token ids, exactly as lm-eval's `HFLM` makes them, so that training and scoring see what lm-eval scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_bench.errors import ContextError, ModelError

#: Texts that most tokenizers have tokens for.
_PLAIN_TEXTS = ("The answer is 1", "a", "1")


@dataclass(frozen=True)
class Pair:
    """Token ids of a prompt and of the completion scored after it."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Ids with the tokenizer's own special tokens, but no second BOS before a text that starts with one."""
    bos = str(tokenizer.bos_token or tokenizer.eos_token or "")
    out: list[list[int]] = [[]] * len(texts)
    for has_bos in (False, True):
        rows = [row for row, text in enumerate(texts) if (bool(bos) and text.startswith(bos)) == has_bos]
        if rows:
            special = {"add_special_tokens": False} if has_bos else {}
            ids = tokenizer([texts[row] for row in rows], **special)["input_ids"]
            for row, tokens in zip(rows, ids, strict=True):
                out[row] = tokens
    return out


def encode_prompts(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Ids of prompts that answers are generated to; an empty one is the token that stands for it in `encode_pairs` too."""
    return [
        ids or ([] if prompt else [_first(tokenizer)])
        for prompt, ids in zip(prompts, encode(tokenizer, prompts), strict=True)
    ]


def refuse_closing(tokenizer: Any, name: str) -> None:
    """A tokenizer that closes every text, as with `</s>`, would end a prompt before its answer, and answer with the end alone."""
    for text in _PLAIN_TEXTS:
        usual, plain = (tokenizer([text], **special)["input_ids"][0] for special in ({}, {"add_special_tokens": False}))
        if plain and usual[-len(plain) :] != plain:
            closing = tokenizer.convert_ids_to_tokens(usual[-1])
            raise ModelError(
                f"model {name!r}: its tokenizer ends every text with {closing!r} by itself, so that a prompt is closed before "
                "its answer begins and options of one token are all the same; set add_eos_token to false (or take it out of "
                "the tokenizer's post-processor) and save it again"
            )


def encode_pairs(
    tokenizer: Any,
    texts: Sequence[tuple[str, str]],
    *,
    max_length: int,
    ended: Sequence[bool] | None = None,
    may_be_empty: bool = False,
    cut: bool = False,
) -> list[Pair]:
    """(prompt, completion) texts → ids. Trailing spaces of a prompt go to the completion; the joined text is tokenized
    and cut at the prompt's own length. `ended` appends the end-of-sequence token where true; `may_be_empty`
    lets a completion have no tokens. An empty prompt is the model's beginning-of-sequence token, or else its end, as in
    lm-eval; a completion that begins with that token gives it up to the prompt.

    A pair longer than `max_length` is an error; with `cut` its prompt loses its first tokens, as in lm-eval, all but one at most.
    """
    moved = [_move_spaces(prompt, completion) for prompt, completion in texts]
    distinct = list(dict.fromkeys(prompt for prompt, _ in moved))
    prompt_ids = dict(zip(distinct, encode(tokenizer, distinct), strict=True))
    whole_ids = encode(tokenizer, [prompt + completion for prompt, completion in moved])
    pairs = []
    for number, ((prompt, completion), whole) in enumerate(zip(moved, whole_ids, strict=True)):
        if texts[number][0]:
            before, after = prompt_ids[prompt], whole[len(prompt_ids[prompt]) :]
        else:
            before, after = _after_nothing(tokenizer, completion)
        if ended is not None and ended[number]:
            after = [*after, end_of(tokenizer)]
        if not before or not (after or may_be_empty):
            raise ModelError(
                f"prompt {prompt!r} with completion {completion!r} has no tokens on one side; neither may be empty"
            )
        if (excess := len(before) + len(after) - max_length) > 0:
            if not cut:
                raise ContextError(
                    f"prompt and completion take {len(before) + len(after)} tokens, the model reads {max_length}: "
                    f"{prompt[:80]!r}…; shorten the items, set overflow truncate_left in the suite, or take a model with a longer "
                    "context"
                )
            if excess >= len(before):
                raise ModelError(
                    f"a completion of {len(after)} tokens leaves no room for its prompt where {max_length} are read: "
                    f"{completion[:80]!r}…; shorten it, or take a model with a longer context"
                )
            before = before[excess:]
        pairs.append(Pair(tuple(before), tuple(after)))
    return pairs


def _after_nothing(tokenizer: Any, completion: str) -> tuple[list[int], list[int]]:
    """An empty prompt's ids, and those of what follows it."""
    first = _first(tokenizer)
    after = tokenizer([completion], add_special_tokens=False)["input_ids"][0] if completion else []
    return [first], list(after[1:] if after[:1] == [first] else after)


def _first(tokenizer: Any) -> int:
    """What stands for an empty prompt."""
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if first is None:
        raise ModelError(
            "a prompt is empty, and the tokenizer has no beginning- or end-of-sequence token to stand for it; set bos_token "
            "and save it again, or give the items a prompt"
        )
    return int(first)


def _move_spaces(prompt: str, completion: str) -> tuple[str, str]:
    kept = prompt.rstrip()
    return kept, prompt[len(kept) :] + completion


def end_of(tokenizer: Any) -> int:
    """The token that ends a generated answer."""
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no end-of-sequence token, which ends a generated answer; set eos_token and save it again"
        )
    return int(tokenizer.eos_token_id)


def max_length_of(model: Any) -> int:
    """Positions the model reads at most."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        length = getattr(config, name, None)
        if length:
            return int(length)
    return 1 << 30


def length_batches(lengths: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of like length, each at most `max_tokens` with its padding (a longer row is a batch of one)."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > max_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
