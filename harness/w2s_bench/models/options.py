"""The options of items: they share their item's prompt, which is read once, and stand side by side in one row after it.

Each is hidden from the others. Where the model does not allow that, or it does not pay, a row is read for every option.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from w2s_bench.models.assumptions import anatomy_of, verdict_of
from w2s_bench.models.capabilities import Anatomy, tree_mask
from w2s_bench.models.encoding import Pair, length_batches
from w2s_bench.models.layers import Tap, refuse_layers
from w2s_bench.models.memory import by_halves
from w2s_bench.models.scoring import MAX_TOKENS, logit_rows, padded, predicting, token_logprobs, tokens_at_once

_TREE_TOKENS = 2_048  # tokens in a batch of shared prompts, on a processor
_LOGIT_ROWS = 1_024  # rows through the output layer at once: their logits stay in the processor's cache
_ATTENDED = (
    600  # places: to attend to so many takes about as long as the rest of a token (timed for widths 128 and 256)
)


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
        for tree_index, (total, state) in zip(batch, by_halves(model, read, batch), strict=True):
            if total is not None:
                sums[shared[tree_index]] = total
            if state is not None:
                states[shared[tree_index]] = state
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


def _trees_at_once(device: torch.device) -> int:
    return _TREE_TOKENS if device.type == "cpu" else MAX_TOKENS


def _rows_read(
    model: Any, pairs: Sequence[Pair], layers: Sequence[int], anatomy: Anatomy | None, *, scored: bool
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float32]]]:
    """The summed log-probability (1,) of each pair's completion, and the states (layers, d) of its last token."""
    sums: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs)
    states: list[NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(pairs)
    most = tokens_at_once(model)
    if scored:
        most = min(most, logit_rows(model))

    def read(places: list[int]) -> list[tuple[NDArray[np.float64] | None, NDArray[np.float32]]]:
        rows = [pairs[i] for i in places]
        ids = padded(rows, drop_last=False).to(model.device)
        ends = [row * ids.shape[1] + len(pair) - 1 for row, pair in enumerate(rows)]
        with Tap(model, layers, torch.tensor(ends, device=ids.device)).open() as tap:
            logits, targets, own, output = predicting(model, ids, rows, anatomy, tap.settings, scored=scored)
        totals: Sequence[NDArray[np.float64] | None] = [None] * len(rows)
        if scored:
            logprobs = -F.cross_entropy(logits.float(), targets, reduction="none").cpu().numpy().astype(np.float64)
            totals = np.split(np.bincount(own.cpu().numpy(), logprobs), len(rows))
        return list(zip(totals, tap.states(output).cpu().numpy(), strict=True))

    for batch in length_batches([len(pair) for pair in pairs], max_tokens=most):
        for part in verdict_of(model).parts([len(pairs[i]) for i in batch]):
            chosen = [batch[index] for index in part]
            for i, (total, state) in zip(chosen, by_halves(model, read, chosen), strict=True):
                states[i] = state
                if total is not None:
                    sums[i] = total
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
    """A prompt and its options in one row. `predictors` and `targets`: which place predicts which token; `counts` an option.

    An option's first token is predicted by the prompt's last. Its last token is predicted and never read, but in a tree that
    is `whole`: its place is among the `ends`.
    """

    tokens: list[int]
    branches: list[int]
    places: list[int]
    predictors: list[int]
    targets: list[int]
    counts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, options: Sequence[Pair], *, whole: bool = False) -> Tree:
        prompt = options[0].prompt
        tokens, branches, places = list(prompt), [0] * len(prompt), list(range(len(prompt)))
        predictors: list[int] = []
        targets: list[int] = []
        ends: list[int] = []
        for number, pair in enumerate(options, start=1):
            start, read = len(tokens), pair.completion if whole else pair.completion[:-1]
            tokens += read
            branches += [number] * len(read)
            places += range(len(prompt), len(prompt) + len(read))
            predictors += [len(prompt) - 1, *range(start, start + len(pair.completion) - 1)]
            targets += pair.completion
            ends.append(len(tokens) - 1)
        return cls(tokens, branches, places, predictors, targets, [len(pair.completion) for pair in options], ends)

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
    predictors = np.concatenate([row * longest + np.array(tree.predictors) for row, tree in enumerate(trees)])
    needed, which = np.unique(predictors, return_inverse=True)  # a prompt's last place predicts for every option
    picked = states.flatten(0, 1)[torch.from_numpy(needed).to(device)]
    targets = np.concatenate([tree.targets for tree in trees])
    of_tokens: list[torch.Tensor] = []
    order, begun = np.argsort(which, kind="stable"), 0
    for start in range(0, len(needed), _LOGIT_ROWS):
        ended = int(np.searchsorted(which[order], start + _LOGIT_ROWS))
        own = order[begun:ended]
        table = F.log_softmax(anatomy.head(picked[start : start + _LOGIT_ROWS]).float(), dim=-1)
        rows, columns = torch.from_numpy(which[own] - start), torch.from_numpy(targets[own])
        of_tokens.append(table[rows.to(device), columns.to(device)])
        begun = ended
    logprobs = np.empty(len(targets))
    logprobs[order] = torch.cat(of_tokens).cpu().numpy()  # one copy, so that an accelerator need not wait in between
    counts = [count for tree in trees for count in tree.counts]
    summed = np.add.reduceat(logprobs, np.concatenate([[0], np.cumsum(counts)[:-1]]))
    return np.split(summed, np.cumsum([len(tree.counts) for tree in trees])[:-1])
