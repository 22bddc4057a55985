"""The precision `bfloat16` against `float32`: training and scoring."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from finetuning import BATCH, RATE, some_pairs
from pairing import paired
from texts import choice_items, model, size_of, tokenizer
from w2s_bench.models import finetuning
from w2s_bench.models.engine import Engine
from w2s_bench.models.onednn import fast_products

TITLE = "`precision: bfloat16` against float32"
TARGET = (
    "The same steps, rows and items by the engine in both precisions, on one thread. Products in bfloat16 are faster where "
    "the processor has instructions for them (`amx_bf16` above all, `avx512_bf16` less), and for wide models; weights, "
    "optimizer and losses are in float32 in both. No target: it says when the choice pays."
)
SHAPES = {"1M": (128, 4), "5M": (256, 6), "26M": (512, 8)}


def run(quick: bool, sizes: tuple[str, ...] = ("1M", "5M", "26M")) -> list[dict[str, str | float]]:
    rows = []
    for size in sizes:
        made = model(*SHAPES[size])
        steps, rounds = (2, 1) if quick else (4, 3)
        pairs = some_pairs(8, 256, count=BATCH * steps)
        items = choice_items([14] * (10 if quick else 100))
        calls: dict[str, Callable[[str], None]] = {
            "training": lambda precision, made=made, pairs=pairs, steps=steps: train(made, pairs, steps, precision),
            "scoring": lambda precision, made=made, items=items: score(made, items, precision),
        }
        for what, call in calls.items():
            timed = paired(lambda call=call: call("bfloat16"), lambda call=call: call("float32"), rounds=rounds)
            named = {"bfloat16, s": "ours, s", "float32, s": "theirs, s"}
            row = timed.row()
            shown = {new: row[old] for new, old in named.items()}
            rest = {name: row[name] for name in ("times faster", "over rounds")}
            rows.append({"what": what, "model": size_of(made), **shown, **rest})
    return rows


def compare(quick: bool, size: str) -> list[dict[str, str | float]]:
    return run(quick, (size,))


def train(made: Any, pairs: Any, steps: int, precision: str) -> None:
    fresh = copy.deepcopy(made)
    lower = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
    with lower, fast_products(fresh):
        finetuning.finetune(fresh, pairs, steps=steps, batch_size=BATCH, learning_rate=RATE, seed=0)


def score(made: Any, items: Any, precision: Any) -> None:
    Engine(made, tokenizer(), precision).choice_scores(items)
