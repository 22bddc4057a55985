"""How much of the machine's matrix-multiply peak training and scoring reach."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from finetuning import some_pairs
from texts import model, size_of
from w2s_bench.models import finetuning
from w2s_bench.models.encoding import Pair
from w2s_bench.models.scoring import token_logprobs

TITLE = "Model-FLOPs utilisation: the share of the matrix-multiply peak that goes into the model"
TARGET = (
    "Arithmetic that the model needs for the tokens as they are (two operations a weight and token, attention to earlier tokens;"
    " training three times that; the output layer where something is predicted), by the time of the whole call, as a share of"
    " what a square product of 2,048 reaches in the same process on one thread. Padding, the optimizer, norms and Python"
    " count against it. `bfloat16` is under autocast, against the peak of bfloat16. On processors by AMD, torch's float32"
    " products go through MKL's generic path, which is the peak here; oneDNN's, which torch does not use for float32, is"
    " shown beside it."
)


def run(quick: bool) -> list[dict[str, str | float]]:
    peaks = {dtype: peak(dtype, 512 if quick else 2048) for dtype in (torch.float32, torch.bfloat16)}
    rows: list[dict[str, str | float]] = [
        {"what": f"square product, {str(dtype)[6:]}", "GFLOP/s": round(value), "of peak": 1.0}
        for dtype, value in peaks.items()
    ]
    rows.append({"what": "square product, float32 by oneDNN", "GFLOP/s": round(onednn(512 if quick else 2048))})
    for width, layers in ((128, 4), (256, 6)):
        made = model(width, layers)
        steps = 2 if quick else 8
        pairs = some_pairs(8, 256, count=16 * steps)
        for dtype, top in peaks.items():
            for what, seconds in timed(made, pairs, steps, dtype, 1 if quick else 3).items():
                reached = (3 if what == "training" else 1) * flops(made, pairs) / seconds / 1e9
                name = f"{what}, {size_of(made)}, {str(dtype)[6:]}"
                rows.append({"what": name, "GFLOP/s": round(reached), "of peak": round(reached / top, 2)})
    return rows


def timed(made: Any, pairs: list[Pair], steps: int, dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Seconds of a training over all rows once, and of scoring them."""

    def train() -> None:
        fresh = copy.deepcopy(made)
        finetuning.finetune(fresh, pairs, steps=steps, batch_size=16, learning_rate=1e-4, seed=0)

    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16, cache_enabled=False):
        return {"training": best_of(train, rounds), "scoring": best_of(lambda: token_logprobs(made, pairs), rounds)}


def flops(made: Any, pairs: Sequence[Pair]) -> float:
    """Of one forward pass over the rows without padding; the last token of a row is predicted, not read."""
    config = made.config
    inner = sum(p.numel() for name, p in made.model.named_parameters() if p.dim() == 2 and "embed" not in name)
    total = 0.0
    for pair in pairs:
        length = len(pair) - 1
        total += 2 * inner * length
        total += config.num_hidden_layers * 2 * config.hidden_size * length * (length + 1)  # scores and sums, causal
        total += 2 * config.hidden_size * config.vocab_size * len(pair.completion)
    return total


def peak(dtype: torch.dtype, size: int) -> float:
    """GFLOP/s of a square product."""
    one, other = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2 * size**3 / best_of(lambda: one @ other, 5) / 1e9


def onednn(size: int) -> float:
    """What oneDNN makes of a float32 product; torch has it for its compiler, not for eager calls."""
    one, other = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / best_of(lambda: torch.ops.mkldnn._linear_pointwise(one, other, None, "none", [], ""), 5) / 1e9


def best_of(call: Callable[[], object], rounds: int) -> float:
    call()
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return float(np.min(taken))


torch.set_num_threads(1)
