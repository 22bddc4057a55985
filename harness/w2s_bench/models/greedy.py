"""Generation with a key-value cache, greedy or sampled, prompts of like length at a time so that little is padded.

A model that does not allow that (`assumptions`) generates by the plainer ways: prompts of equal length, or transformers' own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.answering import answers, obeys_more, refuse_other_than_greedy
from w2s_bench.models.assumptions import anatomy_of, verdict_of
from w2s_bench.models.capabilities import Anatomy
from w2s_bench.models.decoding import PaddedRows, keep_rows, read_on
from w2s_bench.models.encoding import encode_prompts, max_length_of
from w2s_bench.models.memory import by_halves, free_bytes, is_accelerator
from w2s_bench.models.sampling import Sampling

_How = Literal["padded", "alike", "plain"]
#: (rows, vocabulary) logits, the places of these rows in their batch, the step from 0 → (rows,) token ids; −1: no number.
Pick = Callable[[torch.Tensor, Sequence[int], int], torch.Tensor]
#: The rows of a batch, by their places among all prompts → how their tokens are picked.
Picks = Callable[[Sequence[int]], Pick]

_MAX_ROWS = 256  # rows decoded at once on a processor, and on an accelerator that does not tell its memory
_MAX_BYTES = (
    2 << 30
)  # of their keys and values: what a worker asks for beyond the machine's memory ends it, and is not halved
_MOST_ROWS = 1_024  # rows decoded at once on an accelerator
_STEPS = 8  # steps of decoding between two looks at the tokens: a look waits for the accelerator
_COMPACT = 0.75  # share of rows still going at which the others are taken out; before that a copy costs more
_COMPACT_FIXED = 0.5  # the same where a step is a graph, which is recorded anew


@dataclass(frozen=True)
class Generated:
    """`text` as lm-eval sees it; `ended` says that the model stopped by itself within the limit.

    An answer without any text counts as ended: its end is all that a student could learn from it.
    """

    text: str
    ended: bool


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    until: Sequence[str],
    sampling: Sampling | None = None,
    cut: bool = False,
) -> list[Generated]:
    """The most probable next token, or one drawn by `sampling`, until end of sequence, a text of `until`, or `max_new_tokens`.

    A prompt that leaves no room for `max_new_tokens` is an error; with `cut` it loses its first tokens, as in lm-eval.
    """
    encoded = prompts_with_room(model, tokenizer, prompts, max_new_tokens=max_new_tokens, cut=cut)
    ending = Ending.of(model, tokenizer, until)
    picks = None if sampling is None else sampling.picks
    new = continued(model, tokenizer, encoded, max_new_tokens=max_new_tokens, stops=ending.stops, picks=picks)
    return [_finish(tokenizer, tokens, ending.tokens, ending.stops) for tokens in new]


def prompts_with_room(
    model: Any, tokenizer: Any, prompts: Sequence[str], *, max_new_tokens: int, cut: bool
) -> list[list[int]]:
    """Ids of prompts that leave room for so many new tokens, or a `ModelError`; with `cut` they lose their first tokens."""
    encoded = encode_prompts(tokenizer, prompts)
    limit = max_length_of(model)
    if cut and max_new_tokens < limit:
        encoded = [ids[max_new_tokens - limit :] for ids in encoded]
    for prompt, ids in zip(prompts, encoded, strict=True):
        if len(ids) + max_new_tokens > limit:
            raise ModelError(
                f"a prompt of {len(ids)} tokens leaves no room for {max_new_tokens} new ones in a context of {limit}: "
                f"{prompt[:80]!r}…; allow fewer new tokens, shorten the items, or take a model with a longer context"
            )
    return encoded


@torch.no_grad()
def continued(
    model: Any,
    tokenizer: Any,
    encoded: Sequence[list[int]],
    *,
    max_new_tokens: int,
    stops: Stops,
    picks: Picks | None = None,
) -> list[list[int]]:
    """New token ids after each prompt's ids, an end among them: the most probable ones, or those that `picks` chooses."""
    ends = _end_tokens(model, tokenizer)
    refuse_other_than_greedy(model)
    out: list[list[int]] = [[] for _ in encoded]

    def decoded(how: _How, rows: list[int]) -> list[list[int]]:
        chosen = [encoded[i] for i in rows]
        pick = _greedily if picks is None else picks(rows)
        if how == "padded":
            anatomy = anatomy_of(model)
            assert anatomy is not None
            return _decode_padded(anatomy, model, chosen, max_new_tokens, ends, stops, pick)
        if how == "alike":
            return _decode(model, chosen, max_new_tokens, ends, stops, pick)
        if picks is not None:
            raise ModelError(
                f"model {model.config.name_or_path!r} answers by transformers' own greedy search alone, so that no answers can be "
                "drawn of it; take a trust function that reads no samples, an objective that is not on policy, or another model"
            )
        return answers(model, tokenizer, chosen, max_new_tokens, partial(_has_ended, ends=ends, stops=stops))

    for how, batch in _batches(model, [len(ids) for ids in encoded], max_new_tokens):
        for i, new in zip(batch, by_halves(model, partial(decoded, how), batch), strict=True):
            out[i] = new
    return out


def _batches(model: Any, lengths: Sequence[int], max_new_tokens: int) -> Iterator[tuple[_How, list[int]]]:
    """Indices in batches of like length; of equal length where the model is not known to allow another; and how they are
    decoded: the fastest way that is known to give what transformers gives.
    """
    verdict, plain = verdict_of(model), obeys_more(model)

    def way(length: int) -> tuple[_How, int]:
        """How an answer to a prompt of that length is made, and of how many such at a time."""
        whole = length + max_new_tokens
        if whole > max(verdict.cache, verdict.padded_cache):
            return "plain", 1  # the memory of some models is right for a single row alone
        most = _rows_at_once(model, whole) if verdict.neighbours else 1
        return "plain" if plain else "padded" if whole <= verdict.padded_cache else "alike", most

    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch:
            how, (same, most) = way(lengths[batch[0]])[0], way(lengths[i])
            alike = how == same and (how == "padded" or lengths[batch[0]] == lengths[i])
            if not alike or len(batch) >= most:  # as many as have room at the length of the longest, which is this one
                yield how, batch
                batch = []
        batch.append(i)
    if batch:
        yield way(lengths[batch[0]])[0], batch


def _rows_at_once(model: Any, length: int) -> int:
    """How many rows of so many tokens are decoded at once: their keys and values take half of an accelerator's free memory, or
    `_MAX_BYTES`.
    """
    config = model.config.get_text_config()
    layers, whole, heads = (
        getattr(config, f"{name}", None) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    shared = getattr(config, "num_key_value_heads", None) or heads or 1
    width = getattr(config, "head_dim", None) or (whole or 4096) // (heads or 1)
    a_row = 2 * (layers or 48) * shared * width * (length + 16) * model.dtype.itemsize
    free = free_bytes(model.device)
    return max(1, min(_MAX_ROWS, _MAX_BYTES // a_row) if free is None else min(_MOST_ROWS, free // 2 // a_row))


class Stops:
    """Texts that end an answer. Most new tokens cannot complete one, which is known without decoding the answer."""

    def __init__(self, texts: Sequence[str], tokenizer: Any) -> None:
        self.texts, self.tokenizer = tuple(texts), tokenizer
        self._may_complete: dict[int, bool] = {}

    def in_tail(self, tokens: list[int]) -> bool:
        """Whether a stop text stands at the end of what was generated so far, or just before."""
        if not self.texts or not self._may(tokens[-1]):
            return False
        # A stop text is a few tokens long, so decoding the tail shows it. It may be a special token's text.
        tail = self.tokenizer.decode(tokens[-16:], skip_special_tokens=False)
        return any(stop in tail for stop in self.texts)

    def _may(self, token: int) -> bool:
        may_complete = self._may_complete.get(token)
        if may_complete is None:
            text = self.tokenizer.decode([token], skip_special_tokens=False)
            # Half a character, nothing, or a space between two tokens show only in the whole.
            unclear = not text.strip() or "\ufffd" in text or any(stop[-1].isspace() for stop in self.texts)
            may_complete = self._may_complete[token] = unclear or any(stop[-1] in text for stop in self.texts)
        return may_complete


def stops_of(tokenizer: Any, until: Sequence[str]) -> Stops:
    """The texts of `until`, without the one whose token ends an answer anyway."""
    return Stops([stop for stop in until if stop and stop != tokenizer.eos_token], tokenizer)


@dataclass(frozen=True)
class Ending:
    """What ends an answer of a model: one of `tokens`, or one of the texts."""

    tokenizer: Any
    tokens: set[int]
    stops: Stops

    @classmethod
    def of(cls, model: Any, tokenizer: Any, until: Sequence[str]) -> Ending:
        return cls(tokenizer, _end_tokens(model, tokenizer), stops_of(tokenizer, until))

    def finished(self, tokens: list[int]) -> Generated:
        """The answer that these tokens begin with: another engine may have gone on beyond its end."""
        lengths = range(1, len(tokens) + 1)
        end = next((length for length in lengths if _has_ended(tokens[:length], self.tokens, self.stops)), len(tokens))
        return _finish(self.tokenizer, tokens[:end], self.tokens, self.stops)


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """The tokenizer's end of sequence, and those that the model's own generation settings name (a chat model has several)."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return {int(end) for end in ends if end is not None}


def _greedily(logits: torch.Tensor, active: Sequence[int], step: int) -> torch.Tensor:
    """(rows,) the most probable tokens, whatever the rows and the step."""
    return _most_probable(logits)


def _decode(
    model: Any, prompts: list[list[int]], max_new_tokens: int, ends: set[int], stops: Stops, pick: Pick = _greedily
) -> list[list[int]]:
    """New token ids a row, all prompts of one length: for a model that knows no masks; a finished row leaves the batch."""
    new: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    inputs, cache, read = torch.tensor(prompts, device=model.device), None, 0
    for step in range(max_new_tokens):
        logits, cache = read_on(model, inputs, cache, read)
        read += inputs.shape[1]
        chosen = pick(logits, active, step)
        going = _append(new, active, _numbered(chosen[None])[0], ends, stops)
        if not going or step + 1 == max_new_tokens:
            break
        inputs = chosen[:, None]
        if len(going) < len(active):
            keep = torch.tensor(going, device=model.device)
            keep_rows(cache, keep)
            inputs, active = inputs[keep], [active[row] for row in going]
    return new


def _decode_padded(
    anatomy: Anatomy,
    model: Any,
    prompts: list[list[int]],
    max_new_tokens: int,
    ends: set[int],
    stops: Stops,
    pick: Pick = _greedily,
) -> list[list[int]]:
    """New token ids a row, prompts of like length, padded on the left; finished rows leave when a quarter has finished."""
    rows, chosen = PaddedRows(anatomy, model, prompts, max_new_tokens), None
    new: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    finished: set[int] = set()
    step, at_once = 0, _STEPS if is_accelerator(model.device) else 1
    compact = _COMPACT_FIXED if rows.fixed else _COMPACT
    while step < max_new_tokens:
        read: list[torch.Tensor] = []
        for ahead in range(min(at_once, max_new_tokens - step)):
            logits = rows.read(chosen if chosen is None else chosen.clamp(min=0))
            chosen = pick(logits, active, step + ahead)
            read.append(chosen)
        assert chosen is not None
        step += len(read)
        going: set[int] = set()
        for tokens in _numbered(torch.stack(read)):  # nobody looks at what follows the end of an answer
            going = set(_append(new, active, tokens, ends, stops, finished))
            finished.update(row for row_number, row in enumerate(active) if row_number not in going)
        if not going:
            break
        if len(going) <= compact * len(active):
            keep = torch.tensor(sorted(going), device=model.device)
            rows.keep(keep)
            chosen = chosen[keep]
            active, finished = [active[row] for row in sorted(going)], set()
    return new


def _most_probable(logits: torch.Tensor) -> torch.Tensor:
    """(rows,) token ids of (rows, vocabulary); −1 where there is no most probable one (NaN)."""
    best, chosen = logits.max(-1)
    return chosen.masked_fill(best.isnan(), -1)


def _numbered(chosen: torch.Tensor) -> list[list[int]]:
    """Token ids as numbers, which waits for the device."""
    numbers: list[list[int]] = chosen.tolist()
    if any(token < 0 for row in numbers for token in row):
        raise ModelError(
            "logits are no numbers (NaN), so there is no most probable token; the model's training diverged (lower its "
            "learning rate) or its weights are damaged"
        )
    return numbers


def _append(
    new: list[list[int]],
    active: list[int],
    chosen: list[int],
    ends: set[int],
    stops: Stops,
    finished: Set[int] = frozenset(),
) -> list[int]:
    """Add each row's token; the places in the batch of those rows that go on."""
    going = []
    for row_number, token in enumerate(chosen):
        row = active[row_number]
        if row in finished:
            continue
        new[row].append(token)
        if not _has_ended(new[row], ends, stops):
            going.append(row_number)
    return going


def _has_ended(tokens: list[int], ends: Set[int], stops: Stops) -> bool:
    return tokens[-1] in ends or stops.in_tail(tokens)


def _finish(tokenizer: Any, tokens: list[int], ends: set[int], stops: Stops) -> Generated:
    ended = _has_ended(tokens, ends, stops)
    text = tokenizer.decode(tokens[:-1] if tokens[-1] == tokenizer.eos_token_id else tokens, skip_special_tokens=True)
    for stop in stops.texts:
        before, stopped, _ = text.partition(stop)
        text, ended = before, ended or bool(stopped)
    return Generated(text, ended or not text.strip())
