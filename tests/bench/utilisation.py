"""How much of the machine's matrix-multiply peak training and scoring reach."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from finetuning import some_pairs
from texts import model, size_of
from w2s_bench.models import finetuning
from w2s_bench.models.encoding import Pair
from w2s_bench.models.onednn import fast_products
from w2s_bench.models.scoring import token_logprobs

TITLE = "Model-FLOPs utilisation: the share of the matrix-multiply peak that goes into the model"
TARGET = (
    "Arithmetic that the model needs for the tokens as they are (two operations per weight and token, attention to earlier"
    " tokens; training three times that; the output layer where something is predicted), by the time of the whole call, as a share of"
    " the most that a square product of 512, 1,024 or 2,048 reaches in the same process on one thread. Padding, the optimizer,"
    " norms and Python count against it. Plain torch gives float32 products to MKL, which uses half the width of AMD's AVX-512;"
    " there the engine has oneDNN compute them, and the peak is the faster of the two. `bfloat16` is under autocast, against the peak"
    " of bfloat16."
)


def run(quick: bool) -> list[dict[str, str | float]]:
    by_mkl, by_onednn = peak(torch.float32, quick), peak(torch.float32, quick, onednn)
    peaks = {torch.float32: max(by_mkl, by_onednn), torch.bfloat16: peak(torch.bfloat16, quick)}
    measured = {"float32 by MKL": by_mkl, "float32 by oneDNN": by_onednn, "bfloat16": peaks[torch.bfloat16]}
    rows: list[dict[str, str | float]] = [
        {"what": f"square product, {name}", "GFLOP/s": round(value), "of peak": float(value in peaks.values()) or ""}
        for name, value in measured.items()
    ]
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
        with fast_products(fresh):
            finetuning.finetune(fresh, pairs, steps=steps, batch_size=16, learning_rate=1e-4, seed=0)

    def score() -> None:
        with fast_products(made):
            token_logprobs(made, pairs)

    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16, cache_enabled=False):
        return {"training": best_of(train, rounds), "scoring": best_of(score, rounds)}


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


def peak(dtype: torch.dtype, quick: bool, product: Callable[[Any, Any], object] = torch.matmul) -> float:
    """GFLOP/s of the square product that is fastest."""
    reached = []
    for size in (512,) if quick else (512, 1024, 2048):
        one, other = (torch.randn(size, size).to(dtype) for _ in range(2))
        reached.append(2 * size**3 / best_of(partial(product, one, other), 5) / 1e9)
    return max(reached)


def onednn(one: torch.Tensor, other: torch.Tensor) -> object:
    return torch.ops.mkldnn._linear_pointwise(one, other, None, "none", [], "")


def best_of(call: Callable[[], object], rounds: int) -> float:
    call()
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return float(np.min(taken))


torch.set_num_threads(1)
