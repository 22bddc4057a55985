"""Options of multiple-choice items, scored by the engine and by lm-eval's own `HFLM`."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from pairing import paired
from texts import choice_items, model, size_of, tokenizer
from w2s_bench.models.reader import Reader
from w2s_bench.types import Item

TITLE = "Scoring: a task of four options against lm-eval's `HFLM`"
TARGET = (
    "From texts to one log-likelihood an option, tokenizing included, the same model on one thread; the same numbers to 1e-4"
    " (checked in every run, the largest difference is shown). `HFLM` has the batch size that is fastest for it of 16, 64 and"
    " 256, and its cache of shared contexts. Target ≥ 3 × on short prompts (8 to 20 tokens), ≥ 2 × on long ones (200 to 400)."
)
BATCHES = (16, 64, 256)


def run(quick: bool) -> list[dict[str, str | float]]:
    rows = []
    for width, layers in ((128, 4), (256, 6)):
        made = model(width, layers)
        for what, shortest, longest, count in (("short", 8, 20, 800), ("long", 200, 400, 60)):
            count = count // 10 if quick else count
            lengths = np.random.default_rng(0).integers(shortest, longest + 1, size=count).tolist()
            items = choice_items(lengths)
            rows.append(
                {"prompts": what, "items": count, "model": size_of(made), **compared(made, items, 1 if quick else 5)}
            )
    return rows


def compared(made: Any, items: list[Item], rounds: int) -> dict[str, str | float]:
    from lm_eval.models.huggingface import HFLM

    reader = Reader(made, tokenizer())
    requests = [instance(item, place) for item in items for place in range(len(item.choices or ()))]

    def theirs(batch: int) -> list[float]:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            lm = HFLM(pretrained=made, tokenizer=tokenizer(), batch_size=batch)
            return [float(score) for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]

    def ours() -> list[float]:
        return np.concatenate(reader.choice_scores(items)).tolist()

    tried = {batch: paired(lambda: None, lambda batch=batch: theirs(batch), rounds=1, warm=False) for batch in BATCHES}
    best = min(tried, key=lambda batch: tried[batch].theirs)
    difference = float(np.abs(np.array(ours()) - np.array(theirs(best))).max())
    if difference > 1e-4:
        raise SystemExit(f"log-likelihoods differ by up to {difference:.2e}, more than 1e-4")
    timed = paired(ours, lambda: theirs(best), rounds=rounds)
    return {**timed.row(), "their batch": best, "largest difference": f"{difference:.0e}"}


def instance(item: Item, place: int) -> Any:
    from lm_eval.api.instance import Instance

    assert item.choices is not None
    return Instance("loglikelihood", doc={}, arguments=(item.prompt, item.choices[place]), idx=place)
