"""Log-probabilities and hidden states of completions, in length-sorted batches without attention masks.

Rows are padded on the right: in a causal model no real token sees the padding, so no mask is needed. A model in which it
shows all the same (`assumptions`) reads rows of equal length alone.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from w2s_bench.errors import ModelError
from w2s_bench.models.assumptions import anatomy_of, verdict_of
from w2s_bench.models.capabilities import Anatomy, base_of, tree_mask
from w2s_bench.models.encoding import Pair, length_batches
from w2s_bench.models.layers import Tap, refuse_layers
from w2s_bench.models.memory import by_halves, is_accelerator

_MAX_TOKENS = 16_384  # tokens in a batch, on an accelerator
_CACHED_TOKENS = 2_048  # tokens in a batch on a processor: what a layer computes of them stays in its cache
_TREE_TOKENS = 2_048  # tokens in a batch of shared prompts, on a processor
_LOGIT_ROWS = 1_024  # rows through the output layer at once: their logits stay in the processor's cache
_ATTENDED = (
    600  # places: to attend to so many takes about as long as the rest of a token (timed for widths 128 and 256)
)
_MAX_LOGITS = 1 << 28  # numbers in one batch of logits: 1 GiB


def padded(pairs: Sequence[Pair], *, drop_last: bool) -> torch.Tensor:
    """(rows, longest) ids padded on the right with 0; with `drop_last` without each row's last token."""
    cut = 1 if drop_last else 0
    ids = np.zeros((len(pairs), max(len(pair) for pair in pairs) - cut), dtype=np.int64)
    for row, pair in enumerate(pairs):
        tokens = pair.prompt + pair.completion
        ids[row, : len(tokens) - cut] = tokens[: len(tokens) - cut]
    return torch.from_numpy(ids)


def completion_logits(
    model: Any, pairs: Sequence[Pair], anatomy: Anatomy | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits that predict the completions' tokens: (tokens, vocabulary), the tokens (tokens,), and each one's row (tokens,).

    Only the positions that predict pass through the output layer; where the model's `anatomy` is not known to allow that,
    the span of positions that some row's completion needs. Rows that the model may not read side by side it reads apart.
    """
    parts = verdict_of(model).parts([len(pair) for pair in pairs])
    if len(parts) == 1:
        return _logits_side_by_side(model, pairs, anatomy)
    parts_read = [_logits_side_by_side(model, [pairs[i] for i in part], anatomy) for part in parts]
    rows = torch.cat(
        [torch.tensor(part, device=own.device)[own] for part, (_, _, own) in zip(parts, parts_read, strict=True)]
    )
    order = rows.argsort(stable=True)
    logits, targets = (torch.cat([part[which] for part in parts_read])[order] for which in (0, 1))
    return logits, targets, rows[order]


def _logits_side_by_side(
    model: Any, pairs: Sequence[Pair], anatomy: Anatomy | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return _predicting(model, padded(pairs, drop_last=True).to(model.device), pairs, anatomy)[:3]


def _predicting(
    model: Any,
    ids: torch.Tensor,
    pairs: Sequence[Pair],
    anatomy: Anatomy | None,
    settings: Mapping[str, bool] | None = None,
    *,
    scored: bool = True,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any]:
    """`completion_logits` of rows that are read side by side, and the whole output; of no logits where not `scored`."""
    first = min(len(pair.prompt) for pair in pairs) - 1
    row_index, column_index, target = (torch.from_numpy(a).to(ids.device) for a in _asked(pairs))
    given: dict[str, Any] = {"input_ids": ids, "use_cache": False, **(settings or {})}
    if anatomy is not None:
        output = anatomy.body(**given)
        states = output.last_hidden_state[row_index, column_index]
        return anatomy.head(states) if scored else states, target, row_index, output
    if keeps_logits(model):
        span = torch.arange(first, ids.shape[1], device=ids.device)
        # The model gives at least one position's logits, though none are wanted.
        output = model(**given, logits_to_keep=span if scored else 1)
        logits = output.logits
    else:
        output = model(**given)
        logits = output.logits[:, first:]
    return logits[row_index, column_index - first] if scored else logits, target, row_index, output


def tokens_at_once(model: Any) -> int:
    """Tokens, padding included, that are read in one batch."""
    return _CACHED_TOKENS if model.device.type == "cpu" else _MAX_TOKENS


def _trees_at_once(device: torch.device) -> int:
    return _TREE_TOKENS if device.type == "cpu" else _MAX_TOKENS


def keeps_logits(model: Any) -> bool:
    """Whether the model can be asked for the logits of some positions only."""
    return "logits_to_keep" in inspect.signature(base_of(model).forward).parameters


@torch.no_grad()
def token_logprobs(model: Any, pairs: Sequence[Pair]) -> list[NDArray[np.float64]]:
    """For each pair one natural log-probability a token of its completion."""
    out: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs)
    if not pairs:
        return out
    anatomy, device = anatomy_of(model), model.device
    in_parts = anatomy is not None and is_accelerator(device)
    most = tokens_at_once(model) if in_parts else min(tokens_at_once(model), logit_rows(model))

    def read(rows: list[int]) -> list[NDArray[np.float64]]:
        chosen = [pairs[i] for i in rows]
        if in_parts:
            assert anatomy is not None
            numbers = _completion_logprobs(model, chosen, anatomy)
        else:
            logits, targets, _ = completion_logits(model, chosen, anatomy)
            numbers = -F.cross_entropy(logits.float(), targets, reduction="none")
        cuts = np.cumsum([len(pair.completion) for pair in chosen])[:-1]
        return np.split(numbers.cpu().numpy().astype(np.float64), cuts)

    for batch in length_batches([len(pair) for pair in pairs], max_tokens=most):
        for i, part in zip(batch, by_halves(device, read, batch), strict=True):
            out[i] = part
    return out


def logit_rows(model: Any) -> int:
    """Tokens whose logits are held at once."""
    return _MAX_LOGITS // int(model.config.get_text_config().vocab_size)


def _completion_logprobs(model: Any, pairs: Sequence[Pair], anatomy: Anatomy) -> torch.Tensor:
    """(tokens of all completions,) log-probabilities. Many tokens are read, and the logits of few of them held at once."""
    lengths = [len(pair) for pair in pairs]
    counts = np.cumsum([0, *(len(pair.completion) for pair in pairs)])
    out = torch.empty(int(counts[-1]), device=model.device)
    for part in verdict_of(model).parts(lengths):
        chosen = [pairs[i] for i in part]
        ids = padded(chosen, drop_last=True).to(model.device)
        rows, columns, targets = (torch.from_numpy(a).to(ids.device) for a in _asked(chosen))
        states = anatomy.states(ids)[rows, columns]
        numbers = [
            -F.cross_entropy(anatomy.head(some).float(), wanted, reduction="none")
            for some, wanted in zip(states.split(logit_rows(model)), targets.split(logit_rows(model)), strict=True)
        ]
        places = np.concatenate([np.arange(counts[i], counts[i + 1]) for i in part])
        out[torch.from_numpy(places).to(out.device)] = torch.cat(numbers)
    return out


def _asked(pairs: Sequence[Pair]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(tokens of all completions,) the row and the place that predict each, and the token."""
    rows = np.repeat(np.arange(len(pairs)), [len(pair.completion) for pair in pairs])
    columns = np.concatenate([np.arange(len(pair.prompt) - 1, len(pair) - 1) for pair in pairs])
    return rows, columns, np.concatenate([pair.completion for pair in pairs])


def option_logprobs(model: Any, items: Sequence[Sequence[Pair]]) -> list[NDArray[np.float64]]:
    """For each item the summed log-probability of each of its options (options,).

    The options of an item share its prompt: it is read once, and all of them continue it, side by side in one row. Where
    the model or the tokenizer does not allow that, or it does not pay, every option is read with its prompt.
    """
    return option_readings(model, items, ())[0]


def option_states(model: Any, items: Sequence[Sequence[Pair]], layers: Sequence[int] = (-1,)) -> NDArray[np.float32]:
    """(options of all items, layers, d): the states of each option's last token, prompts read as in `option_logprobs`."""
    return option_readings(model, items, layers, scored=False)[1]


@torch.no_grad()
def option_readings(
    model: Any, items: Sequence[Sequence[Pair]], layers: Sequence[int], *, scored: bool = True
) -> tuple[list[NDArray[np.float64]], NDArray[np.float32]]:
    """What `option_logprobs` gives (where `scored`) and what `option_states` gives, of one pass over the items."""
    sums: list[NDArray[np.float64]] = [np.zeros(0)] * len(items)
    states: list[NDArray[np.float32]] = [np.zeros((0, len(layers), 0), dtype=np.float32)] * len(items)
    refuse_layers(model, layers)
    anatomy = anatomy_of(model)
    shared, trees, alone = _trees(anatomy, items, whole=bool(layers))

    def read(places: list[int]) -> list[tuple[NDArray[np.float64] | None, NDArray[np.float32] | None]]:
        assert anatomy is not None
        chosen = [trees[k] for k in places]
        last, picked = _read_trees(anatomy, model, chosen, layers)
        cuts = np.cumsum([len(tree.ends) for tree in chosen])[:-1]
        nothing = [None] * len(chosen)
        totals = _tree_sums(anatomy, chosen, last) if scored else nothing
        return list(zip(totals, np.split(picked, cuts) if layers else nothing, strict=True))

    for batch in length_batches([len(tree.tokens) for tree in trees], max_tokens=_trees_at_once(model.device)):
        for place, (total, state) in zip(batch, by_halves(model.device, read, batch), strict=True):
            if total is not None:
                sums[shared[place]] = total
            if state is not None:
                states[shared[place]] = state
    pairs = [pair for i in alone for pair in items[i]]
    if scored and not layers:
        flat: Sequence[NDArray[np.float64]] = [row.sum(keepdims=True) for row in token_logprobs(model, pairs)]
        vectors: Sequence[NDArray[np.float32]] = []
    else:
        flat, vectors = _rows_read(model, pairs, layers, anatomy, scored=scored)
    bounds = np.cumsum([0, *(len(items[i]) for i in alone)]).tolist()
    for i, (start, end) in zip(alone, itertools.pairwise(bounds), strict=True):
        if scored:
            sums[i] = np.concatenate(flat[start:end])
        if layers:
            states[i] = np.stack(vectors[start:end])
    return sums, np.concatenate(states) if states and layers else np.zeros((0, len(layers), 0), dtype=np.float32)


def _rows_read(
    model: Any, pairs: Sequence[Pair], layers: Sequence[int], anatomy: Anatomy | None, *, scored: bool
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float32]]]:
    """The summed log-probability (1,) of each pair's completion, and the states (layers, d) of its last token."""
    sums: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs)
    states: list[NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(pairs)
    most = tokens_at_once(model)
    if scored:
        most = min(most, _MAX_LOGITS // model.config.get_text_config().vocab_size)
    for batch in length_batches([len(pair) for pair in pairs], max_tokens=most):
        for part in verdict_of(model).parts([len(pairs[i]) for i in batch]):
            chosen = [batch[place] for place in part]
            rows = [pairs[i] for i in chosen]
            ids = padded(rows, drop_last=False).to(model.device)
            ends = [row * ids.shape[1] + len(pair) - 1 for row, pair in enumerate(rows)]
            with Tap(model, layers, torch.tensor(ends, device=ids.device)).open() as tap:
                logits, targets, own, output = _predicting(model, ids, rows, anatomy, tap.settings, scored=scored)
            if scored:
                logprobs = -F.cross_entropy(logits.float(), targets, reduction="none").cpu().numpy().astype(np.float64)
                for i, total in zip(chosen, np.bincount(own.cpu().numpy(), logprobs), strict=True):
                    sums[i] = np.array([total])
            for i, state in zip(chosen, tap.states(output).cpu().numpy(), strict=True):
                states[i] = state
    return sums, states


def _trees(
    anatomy: Anatomy | None, items: Sequence[Sequence[Pair]], *, whole: bool
) -> tuple[list[int], list[Tree], list[int]]:
    """Places of the items whose options share their prompt as the model allows it, these items' trees, places of the others."""
    trees: dict[int, Tree] = {}
    for i, options in enumerate(items):
        # A tokenizer may part prompt and option otherwise for one option than for another. Then nothing is shared.
        if anatomy is not None and anatomy.trees and len({pair.prompt for pair in options}) == 1:
            tree = Tree.of(options, whole=whole)
            if len(tree.tokens) <= anatomy.trees and tree.pays():
                trees[i] = tree
    return list(trees), list(trees.values()), [i for i in range(len(items)) if i not in trees]


@dataclass(frozen=True)
class Tree:
    """A prompt and its options in one row. `sources` and `targets`: which place predicts which token; `counts` an option.

    An option's first token is predicted by the prompt's last. Its last token is predicted and never read, but in a tree that
    is `whole`: its place is among the `ends`.
    """

    tokens: list[int]
    branches: list[int]
    places: list[int]
    sources: list[int]
    targets: list[int]
    counts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, options: Sequence[Pair], *, whole: bool = False) -> Tree:
        prompt = options[0].prompt
        tokens, branches, places = list(prompt), [0] * len(prompt), list(range(len(prompt)))
        sources: list[int] = []
        targets: list[int] = []
        ends: list[int] = []
        for number, pair in enumerate(options, start=1):
            start, read = len(tokens), pair.completion if whole else pair.completion[:-1]
            tokens += read
            branches += [number] * len(read)
            places += range(len(prompt), len(prompt) + len(read))
            sources += [len(prompt) - 1, *range(start, start + len(pair.completion) - 1)]
            targets += pair.completion
            ends.append(len(tokens) - 1)
        return cls(tokens, branches, places, sources, targets, [len(pair.completion) for pair in options], ends)

    def pays(self) -> bool:
        """Whether it is read faster than a row an option: long options would be hidden from each other at great length."""
        prompt = self.branches.count(0)
        return _effort(len(self.tokens)) <= sum(_effort(prompt + count) for count in self.counts)


def _effort(length: int) -> float:
    return length + length**2 / _ATTENDED


def _read_trees(
    anatomy: Anatomy, model: Any, trees: Sequence[Tree], layers: Sequence[int]
) -> tuple[torch.Tensor, NDArray[np.float32]]:
    """What the output layer reads (trees, longest, d), and of the last token of every option the states (options, layers, d)."""
    longest = max(len(tree.tokens) for tree in trees)
    ids, branches, places = (np.full((len(trees), longest), fill, dtype=np.int64) for fill in (0, -1, 0))
    for row, tree in enumerate(trees):
        length = len(tree.tokens)
        ids[row, :length], branches[row, :length], places[row, :length] = tree.tokens, tree.branches, tree.places
    ends = [row * longest + end for row, tree in enumerate(trees) for end in tree.ends]
    with Tap(model, layers, torch.tensor(ends, device=model.device)).open() as tap:
        output = anatomy.body(
            input_ids=torch.from_numpy(ids).to(model.device),
            attention_mask=tree_mask(branches, model.device, anatomy.body.dtype),
            position_ids=torch.from_numpy(places).to(model.device),
            use_cache=False,
            **tap.settings,
        )
    return output.last_hidden_state, tap.states(output).cpu().numpy() if layers else np.zeros(0, dtype=np.float32)


def _tree_sums(anatomy: Anatomy, trees: Sequence[Tree], states: torch.Tensor) -> list[NDArray[np.float64]]:
    """(options,) a tree: summed log-probabilities. `states` are what the output layer reads of the trees."""
    device = states.device
    longest = states.shape[1]
    sources = np.concatenate([row * longest + np.array(tree.sources) for row, tree in enumerate(trees)])
    needed, which = np.unique(sources, return_inverse=True)  # a prompt's last place predicts for every option
    picked = states.flatten(0, 1)[torch.from_numpy(needed).to(device)]
    targets = np.concatenate([tree.targets for tree in trees])
    found: list[torch.Tensor] = []
    order, begun = np.argsort(which, kind="stable"), 0
    for start in range(0, len(needed), _LOGIT_ROWS):
        ended = int(np.searchsorted(which[order], start + _LOGIT_ROWS))
        own = order[begun:ended]
        table = F.log_softmax(anatomy.head(picked[start : start + _LOGIT_ROWS]).float(), dim=-1)
        rows, columns = torch.from_numpy(which[own] - start), torch.from_numpy(targets[own])
        found.append(table[rows.to(device), columns.to(device)])
        begun = ended
    logprobs = np.empty(len(targets))
    logprobs[order] = torch.cat(found).cpu().numpy()  # one copy, so that an accelerator need not wait in between
    counts = [count for tree in trees for count in tree.counts]
    summed = np.add.reduceat(logprobs, np.concatenate([[0], np.cumsum(counts)[:-1]]))
    return np.split(summed, np.cumsum([len(tree.counts) for tree in trees])[:-1])


@torch.no_grad()
def hidden_states(model: Any, pairs: Sequence[Pair], layer: int | Literal["all"]) -> NDArray[np.float32]:
    """State of the last token of prompt + completion: (n, d), or (n, layers + 1, d) for `"all"`, the embedding first."""
    out: list[NDArray[np.float32] | None] = [None] * len(pairs)

    def read(rows: list[int]) -> list[NDArray[np.float32]]:
        return list(_last_states(model, [pairs[i] for i in rows], layer))

    for batch in length_batches([len(pair) for pair in pairs], max_tokens=tokens_at_once(model)):
        for part in verdict_of(model).parts([len(pairs[i]) for i in batch]):
            rows = [batch[place] for place in part]
            for i, state in zip(rows, by_halves(model.device, read, rows), strict=True):
                out[i] = state
    return np.stack([state for state in out if state is not None])


def _last_states(model: Any, pairs: Sequence[Pair], layer: int | Literal["all"]) -> NDArray[np.float32]:
    ids = padded(pairs, drop_last=False).to(model.device)
    # The model gives at least one position's logits, though the states alone are wanted.
    keep = {"logits_to_keep": 1} if keeps_logits(model) else {}
    states = model(input_ids=ids, use_cache=False, output_hidden_states=True, **keep).hidden_states
    last = torch.tensor([len(pair) - 1 for pair in pairs], device=ids.device)
    rows = torch.arange(len(pairs), device=ids.device)
    chosen = states if layer == "all" else [states[layer]]
    shapes = sorted({tuple(s.shape) for s in chosen})
    if len(shapes) > 1 or len(shapes[0]) != 3 or shapes[0][:2] != tuple(ids.shape):
        raise ModelError(
            f"layer {layer!r} of model {base_of(model).config.name_or_path!r} has states of shapes {shapes} for {len(pairs)} "
            "rows; one vector a token is expected, of one width: take another layer, or another model"
        )
    wanted = torch.stack([s[rows, last] for s in chosen], dim=1) if layer == "all" else chosen[0][rows, last]
    found: NDArray[np.float32] = wanted.float().cpu().numpy()
    return found
