"""Greedy answers, decoded by the engine and by transformers' `generate` on left-padded batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from pairing import paired
from texts import model, size_of, texts, tokenizer
from w2s_bench.models import generation
from w2s_bench.models.encoding import encode
from w2s_bench.models.products import fast_products

TITLE = "Generation: greedy answers against left-padded `model.generate`"
TARGET = (
    "From prompts to texts, the same model on one thread, both in batches of like length; the same answers, text for text (checked"
    " in every run). `generate` has the batch size that is fastest for it of 32, 128 and 256, and stops when every row of"
    " a batch has ended. `math` are the domain's own prompts and its student, which ends its answers; the others are"
    " prompts of 20 to 60 tokens and untrained models, which run to the limit or, with a few more end tokens, end anywhere. Target ≥ 1.5 ×."
)
BATCHES = (32, 128, 256)


def run(quick: bool) -> list[dict[str, str | float]]:
    from w2s_bench.registry import Registry

    registry = Registry.load()
    domain = registry.domain("math")
    task = domain.task()
    math = [task.doc_to_text(document) for document in list(task.eval_docs)[: 60 if quick else 1000]]
    trained, words = registry.model("tiny/math-l").load()
    rounds = 1 if quick else 5
    rows = [{"prompts": "math", **compared(trained, words, math, int(domain.max_new_tokens or 0), rounds)}]
    lengths = np.random.default_rng(0).integers(20, 61, size=16 if quick else 128).tolist()
    prompts = texts(lengths, 3)
    for width, layers in ((128, 4), (256, 6)):
        made = model(width, layers)
        rows.append({"prompts": "to the limit", **compared(made, tokenizer(), prompts, 32, rounds)})
        made.generation_config.eos_token_id = made.config.eos_token_id = ends_of(made, prompts)
        rows.append({"prompts": "ending anywhere", **compared(made, tokenizer(), prompts, 32, rounds)})
    return rows


def ends_of(made: Any, prompts: list[str]) -> list[int]:
    """Tokens that an untrained model says now and then, one answer in twenty a step: answers end at all lengths."""
    from collections import Counter

    answers = generation.generate(made, tokenizer(), prompts, max_new_tokens=32, until=[])
    said = Counter(token for one in answers for token in encode(tokenizer(), [one.text])[0])
    chosen: list[int] = []
    while sum(said[token] for token in chosen) < sum(said.values()) / 20:
        chosen = [token for token, _ in said.most_common()[5 : 6 + len(chosen)]]
    return [*chosen, tokenizer().eos_token_id]


def compared(made: Any, words: Any, prompts: list[str], limit: int, rounds: int) -> dict[str, str | float]:
    words.padding_side = "left"

    def theirs(size: int) -> list[str]:
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        out = [""] * len(prompts)
        for start in range(0, len(prompts), size):
            batch = order[start : start + size]
            inputs = words([prompts[i] for i in batch], return_tensors="pt", padding=True)
            ids = made.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=False,
                max_new_tokens=limit,
                pad_token_id=words.pad_token_id,
            )
            new = ids[:, inputs["input_ids"].shape[1] :]
            for i, text in zip(batch, words.batch_decode(new, skip_special_tokens=True), strict=True):
                out[i] = text
        return out

    def ours() -> list[str]:
        with fast_products(made):
            return [one.text for one in generation.generate(made, words, prompts, max_new_tokens=limit, until=[])]

    tried = {size: paired(lambda: None, lambda size=size: theirs(size), rounds=1, warm=False) for size in BATCHES}
    best = min(tried, key=lambda size: tried[size].theirs)
    differing = sum(a != b for a, b in zip(ours(), theirs(best), strict=True))
    if differing:
        raise SystemExit(f"{differing} of {len(prompts)} answers differ")
    lengths = [len(ids) for ids in encode(words, prompts)]
    facts = {"answers": len(prompts), "tokens": f"{min(lengths)}–{max(lengths)} + {limit}", "model": size_of(made)}
    return {**facts, **paired(ours, lambda: theirs(best), rounds=rounds).row(), "their batch": best}
