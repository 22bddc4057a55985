"""Options of multiple-choice items, scored by the engine and by lm-eval's own `HFLM`."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from pairing import best_batch, paired
from texts import choice_items, model, size_of, tokenizer
from w2s_bench.models.encoding import encode
from w2s_bench.models.engine import Engine
from w2s_bench.types import Item

TITLE = "Scoring: a task of four options against lm-eval's `HFLM`"
TARGET = (
    "From texts to one log-likelihood per option, tokenizing included, the same model on one thread; the same numbers to "
    "1e-4 of the largest (checked in every run, the largest difference is shown). `HFLM` has the batch size that is fastest "
    "for it, found by a search over 1, 4, 8, 16, 32, 64 and 256, and its cache of shared contexts. Prompts are of 8 to 20 "
    "tokens (`short`, and `long options`, which have 40 to 80) or of 200 to 400 (`long`); other options have 1 to 5. `32k` "
    "is `short` with a vocabulary of 32,000. Target ≥ 3 × on short and long prompts, ≥ 1.5 × with long options. `states` is "
    "what recipe `head` reads of the same items, in times of scoring them: target ≤ 1.2. `fewer tokens` is how many times as "
    "many tokens `HFLM` takes through the model, as it reads the prompt with each option, and the engine once: where both "
    "multiply equally fast, little more than that is to be had."
)
NEEDS = ("lm_eval",)
BATCHES = (1, 4, 8, 16, 32, 64, 256)
SHAPES = {"1M": (128, 4), "5M": (256, 6), "11M": (384, 6)}
#: Kind → (prompts' least and most tokens, options', items for a model of a million parameters, vocabulary).
KINDS: dict[str, tuple[tuple[int, int], tuple[int, int], int, int | None]] = {
    "short": ((8, 20), (1, 5), 800, None),
    "long": ((200, 400), (1, 5), 60, None),
    "long options": ((8, 20), (40, 80), 60, None),
    "32k": ((8, 20), (1, 5), 200, 32_000),
}


def run(quick: bool, sizes: tuple[str, ...] = ("1M", "5M")) -> list[dict[str, str | float]]:
    rows = []
    for size in sizes:
        for what, ((shortest, longest), of_options, count, vocabulary) in KINDS.items():
            made = model(*SHAPES[size], vocabulary)
            count = count // 10 if quick else count // 2 if size == "11M" else count
            lengths = np.random.default_rng(0).integers(shortest, longest + 1, size=count).tolist()
            items = choice_items(lengths, of_options=of_options)
            facts = {"items": what, "number": count, "model": size_of(made)}
            rows.append({**facts, **compared(made, items, 1 if quick else 3)})
    return rows


def compare(quick: bool, size: str) -> list[dict[str, str | float]]:
    return run(quick, (size,))


def compared(made: Any, items: list[Item], rounds: int) -> dict[str, str | float]:
    from lm_eval.models.huggingface import HFLM

    engine = Engine(made, tokenizer())
    requests = [instance(item, place) for item in items for place in range(len(item.choices or ()))]

    def theirs(batch: int) -> list[float]:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            lm = HFLM(pretrained=made, tokenizer=tokenizer(), batch_size=batch, device="cpu")
            return [float(score) for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]

    def ours() -> list[float]:
        return np.concatenate(engine.choice_scores(items)).tolist()

    best = best_batch(theirs, BATCHES, start=16)
    found, expected = np.array(ours()), np.array(theirs(best))
    difference = float(np.abs(found - expected).max())
    if difference > 1e-4 * max(1.0, float(np.abs(expected).max()) / 100):
        raise SystemExit(f"log-likelihoods differ by up to {difference:.2e} of {np.abs(expected).max():.0f}")
    timed = paired(ours, lambda: theirs(best), rounds=rounds)
    states = paired(ours, lambda: engine.option_states(items), rounds=rounds)
    return {
        **timed.row(),
        "their batch": best,
        "fewer tokens": round(fewer_tokens(items), 2),
        "largest difference": f"{difference:.0e}",
        "states": round(states.ratio, 2),
    }


def fewer_tokens(items: list[Item]) -> float:
    """Tokens that `HFLM` takes through the model, in times of the engine's; padding of either is left out.

    Of prompt and option together nobody needs the last token.
    """
    theirs = ours = 0
    for item in items:
        assert item.choices is not None
        prompt, *options = (len(ids) for ids in encode(tokenizer(), [item.prompt, *item.choices]))
        theirs += sum(prompt + option - 1 for option in options)
        ours += prompt + sum(option - 1 for option in options)
    return theirs / ours


def instance(item: Item, place: int) -> Any:
    from lm_eval.api.instance import Instance

    assert item.choices is not None
    return Instance("loglikelihood", doc={}, arguments=(item.prompt, item.choices[place]), idx=place)
