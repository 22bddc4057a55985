"""How undecided, or how certain, a model is before each token of a completion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from w2s_bench.models import scoring
from w2s_bench.models.assumptions import anatomy_of
from w2s_bench.models.encoding import Pair, length_batches
from w2s_bench.models.memory import by_halves
from w2s_bench.models.scoring import completion_logits

_ROWS = 1_024


def token_entropies(model: Any, pairs: Sequence[Pair]) -> list[NDArray[np.float64]]:
    """For each pair, of each token of its completion, the entropy in nats of what the model expected in its place."""
    return _of_tokens(model, pairs, _entropies)


def token_certainties(model: Any, pairs: Sequence[Pair]) -> list[NDArray[np.float64]]:
    """For each pair, of each token of its completion, how far what the model expected in its place was from a guess, in nats from 0.

    KL(U ‖ p) = −ln V − (1/V) Σ_v ln p_v, U uniform over the V tokens that can come (Kang et al. 2025, arXiv 2502.18581).
    """
    return _of_tokens(model, pairs, _certainties)


@torch.no_grad()
def _of_tokens(
    model: Any, pairs: Sequence[Pair], figure: Callable[[torch.Tensor], NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """For each pair, a figure of the logits (n, vocabulary) in the place of each token of its completion."""
    out: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs)
    if not pairs:
        return out
    anatomy = anatomy_of(model)
    most = min(scoring.tokens_at_once(model), scoring.logit_rows(model))

    def read(rows: list[int]) -> list[NDArray[np.float64]]:
        chosen = [pairs[i] for i in rows]
        logits, _, _ = completion_logits(model, chosen, anatomy)
        # The rows go in parts, since other arrays of their size are made beside the logits.
        parts = [figure(logits[start : start + _ROWS]) for start in range(0, len(logits), _ROWS)]
        cuts = np.cumsum([len(pair.completion) for pair in chosen])[:-1]
        return np.split(np.concatenate(parts or [np.zeros(0)]), cuts)

    for batch in length_batches([len(pair) for pair in pairs], max_tokens=most):
        for i, part in zip(batch, by_halves(model, read, batch), strict=True):
            out[i] = part
    return out


def _entropies(logits: torch.Tensor) -> NDArray[np.float64]:
    logprobs = logits.float().log_softmax(-1)
    # A token that cannot come has no share, however its logarithm is written.
    terms = torch.where(logprobs.isneginf(), 0.0, logprobs.exp() * logprobs)
    entropies: NDArray[np.float64] = (-terms.sum(-1)).clamp(min=0.0).cpu().numpy().astype(np.float64)
    return entropies


def _certainties(logits: torch.Tensor) -> NDArray[np.float64]:
    logprobs = logits.float().log_softmax(-1)
    can_come = ~logprobs.isneginf()
    size = can_come.sum(-1).double()
    mean = torch.where(can_come, logprobs, 0.0).double().sum(-1) / size
    certainties: NDArray[np.float64] = (-size.log() - mean).clamp(min=0.0).cpu().numpy()
    return certainties
